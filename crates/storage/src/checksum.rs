//! CRC-32C over bytes and where they belong, so that a block that ended up in another place or file is caught too.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of these parts as content of a file at an offset.
pub(crate) fn placed(file: u64, offset: u64, parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&file.to_le_bytes());
    digest.update(&offset.to_le_bytes());
    for part in parts {
        digest.update(part);
    }
    // The digest of a 32-bit CRC fits 32 bits.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_crc32c() {
        // Check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn place_matters() {
        assert_ne!(placed(1, 0, &[b"abc"]), placed(2, 0, &[b"abc"]));
        assert_ne!(placed(1, 0, &[b"abc"]), placed(1, 4096, &[b"abc"]));
        assert_eq!(placed(1, 0, &[b"a", b"bc"]), placed(1, 0, &[b"abc"]));
    }
}
