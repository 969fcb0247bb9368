//! The partitioner: from a partition key to its token.

use quorate_model::{DecoratedKey, PartitionKey, Token};

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The token of a serialised partition key: the first half of MurmurHash3 x64 128 with seed 0 (Austin Appleby, public
/// domain), except that the bytes after the last whole block are sign-extended, as Cassandra does it. Drivers compute
/// the same to find replicas, so it can never change. No key hashes to [`Token::MIN`], but the empty key gets it.
pub fn token(key: &[u8]) -> Token {
    if key.is_empty() {
        return Token::MIN;
    }
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = key.as_chunks::<16>();
    for block in blocks {
        let (k1, k2) = halves(block);
        h1 ^= scramble_first(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble_second(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (mut k1, mut k2) = (0u64, 0u64);
    for (index, byte) in tail.iter().enumerate() {
        // The sign extension is what sets this apart from the published hash.
        let extended = i64::from(*byte as i8) as u64;
        if index < 8 {
            k1 ^= extended << (8 * index);
        } else {
            k2 ^= extended << (8 * (index - 8));
        }
    }
    h2 ^= scramble_second(k2);
    h1 ^= scramble_first(k1);
    let len = key.len() as u64;
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1).wrapping_add(finish(h2));
    match h1 as i64 {
        i64::MIN => Token::MAX,
        token => Token(token),
    }
}

/// A key with its token.
pub fn decorate(key: PartitionKey) -> DecoratedKey {
    DecoratedKey { token: token(&key.0), key }
}

fn halves(block: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*block);
    (both as u64, (both >> 64) as u64)
}

fn scramble_first(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_second(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests;
