//! The checksums of v5 segments.

use crc_fast::{CrcAlgorithm, Digest};

/// The generator polynomial of a segment header's CRC24, its leading bit included.
const CRC24_POLYNOMIAL: u32 = 0x0197_4F0B;
/// What it begins with.
const CRC24_INITIAL: u32 = 0x0087_5060;
/// What a payload's CRC32 digests before the payload.
const CRC32_PREFIX: [u8; 4] = [0xFA, 0x2D, 0x55, 0xCA];

/// CRC24 steps of every byte.
const CRC24_TABLE: [u32; 256] = crc24_table();

const fn crc24_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 16;
        let mut bit = 0;
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= CRC24_POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// The CRC24 of a segment's header bytes, in the order in which they are sent.
pub(crate) fn crc24(header: &[u8]) -> u32 {
    header.iter().fold(CRC24_INITIAL, |crc, byte| {
        let index = ((crc >> 16) ^ u32::from(*byte)) & 0xFF;
        (crc << 8) & 0x00FF_FFFF ^ CRC24_TABLE[index as usize]
    })
}

/// The CRC32 of a segment's payload.
pub(crate) fn crc32(payload: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    digest.update(&CRC32_PREFIX);
    digest.update(payload);
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the definition has it.
    fn slow_crc24(bytes: &[u8]) -> u32 {
        let mut crc = CRC24_INITIAL;
        for byte in bytes {
            crc ^= u32::from(*byte) << 16;
            for _ in 0..8 {
                crc <<= 1;
                if crc & 0x0100_0000 != 0 {
                    crc ^= CRC24_POLYNOMIAL;
                }
            }
        }
        crc
    }

    #[test]
    fn the_table_does_what_the_definition_says() {
        for length in 0..9_u8 {
            let bytes: Vec<u8> = (0..length).map(|index| index.wrapping_mul(91).wrapping_add(length)).collect();
            assert_eq!(crc24(&bytes), slow_crc24(&bytes));
        }
    }
}
