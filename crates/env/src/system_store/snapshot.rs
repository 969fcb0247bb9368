//! A whole small store as the bytes of one file.
//!
//! ```text
//! 0  magic "QUORATES"
//! 8  version u32 = 1
//! 12 number of entries u32
//! 16 entries in key order: key length u32, value length u32, key, value
//!    FNV-1a, 64 bits, of everything before it
//! ```
//!
//! All integers are little-endian. The checksum catches rot and torn writes in a file of a few kilobytes (each changed byte
//! changes it); it is no defence against anybody.

use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"QUORATES";
const VERSION: u32 = 1;
const CHECK_BYTES: usize = 8;

/// A store's content.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The file's bytes.
pub fn encode(entries: &Entries) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (key, value) in entries {
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out.extend_from_slice(&fnv1a(&out).to_le_bytes());
    out
}

/// What the file says, or the rule that its bytes break.
pub fn decode(bytes: &[u8]) -> Result<Entries, &'static str> {
    let body_len = bytes.len().checked_sub(CHECK_BYTES).ok_or("the file is shorter than its checksum")?;
    let (body, check) = bytes.split_at(body_len);
    if fnv1a(body).to_le_bytes() != check {
        return Err("the checksum does not match");
    }
    let mut rest = body;
    if take(&mut rest, MAGIC.len())? != MAGIC {
        return Err("the magic is not that of a system store");
    }
    if take_u32(&mut rest)? != VERSION {
        return Err("the format's version is unknown");
    }
    let mut entries = Entries::new();
    for _ in 0..take_u32(&mut rest)? {
        let (key_len, value_len) = (take_u32(&mut rest)?, take_u32(&mut rest)?);
        let key = take(&mut rest, key_len as usize)?.to_vec();
        entries.insert(key, take(&mut rest, value_len as usize)?.to_vec());
    }
    if rest.is_empty() { Ok(entries) } else { Err("bytes are left over at the end") }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], &'static str> {
    let (taken, left) = rest.split_at_checked(len).ok_or("the file ends within an entry")?;
    *rest = left;
    Ok(taken)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, &'static str> {
    let bytes = take(rest, 4)?;
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| "the file ends within an entry")
}

/// Fowler, Noll and Vo's hash, variant 1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_and_no_damage_goes_unnoticed() {
        let entries: BTreeMap<_, _> =
            (0..9_u8).map(|number| (vec![number; 3], vec![number; usize::from(number)])).collect();
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Ok(entries));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_hash_is_fnv1a() {
        // Test vectors published with the hash.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
