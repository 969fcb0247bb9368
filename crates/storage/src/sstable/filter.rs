//! A blocked Bloom filter over partition keys: one cache line a probe.
//!
//! ```text
//! payload   0  u32  probes a key (0: no filter, everything may be there)
//!           4  u32  0
//!           8  n x 64 B  blocks of 512 bits
//! ```
//!
//! A key's 64-bit hash chooses the block by its upper half (multiply-shift) and the bits within it by double hashing of
//! the lower half.

use bytes::Bytes;

const BLOCK_BYTES: usize = 64;
const BLOCK_BITS: u32 = 512;

/// The hash of a partition key. Part of the format.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// A filter as it is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    probes: u32,
    blocks: Bytes,
}

impl Filter {
    /// Builds the payload for these hashes.
    pub(crate) fn build(hashes: &[u64], fp_chance: f64) -> Vec<u8> {
        let (bits_per_key, probes) = sizing(fp_chance);
        let block_count = ((hashes.len() as f64 * bits_per_key) / f64::from(BLOCK_BITS)).ceil().max(1.0) as usize;
        let block_count = if probes == 0 { 0 } else { block_count };
        let mut out = vec![0; 8 + block_count * BLOCK_BYTES];
        out[..4].copy_from_slice(&probes.to_le_bytes());
        for &hash in hashes.iter().take(if probes == 0 { 0 } else { usize::MAX }) {
            let start = 8 + block_index(hash, block_count) * BLOCK_BYTES;
            for bit in bits(hash, probes) {
                out[start + (bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        out
    }

    /// Reads a payload.
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, &'static str> {
        let Some((head, blocks)) = payload.split_at_checked(8) else { return Err("a filter without its header") };
        let probes = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        if probes > 32 || blocks.len() % BLOCK_BYTES != 0 || (probes > 0 && blocks.is_empty()) {
            return Err("a filter of impossible size");
        }
        Ok(Self { probes, blocks: payload.slice(8..) })
    }

    /// Whether the key may be there.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        if self.probes == 0 {
            return true;
        }
        let start = block_index(hash, self.blocks.len() / BLOCK_BYTES) * BLOCK_BYTES;
        let Some(block) = self.blocks.get(start..start + BLOCK_BYTES) else { return true };
        bits(hash, self.probes).all(|bit| block[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
    }

    /// Bytes held in memory.
    pub(crate) fn memory_size(&self) -> u64 {
        self.blocks.len() as u64
    }
}

/// Bits a key and probes for a wanted chance of a false positive. Blocking costs some: about a fifth more bits than the
/// plain filter's `log2(1 / p) / ln 2`.
fn sizing(fp_chance: f64) -> (f64, u32) {
    if fp_chance.is_nan() || fp_chance >= 1.0 {
        return (0.0, 0);
    }
    let wanted = fp_chance.max(0.0001);
    let plain = (1.0 / wanted).log2() / std::f64::consts::LN_2;
    let probes = (1.0 / wanted).log2().round().clamp(1.0, 16.0) as u32;
    (plain * 1.2, probes)
}

fn block_index(hash: u64, block_count: usize) -> usize {
    (((hash >> 32) * block_count as u64) >> 32) as usize
}

fn bits(hash: u64, probes: u32) -> impl Iterator<Item = u32> {
    let first = (hash as u32) & 0xffff;
    let step = ((hash as u32) >> 16) | 1;
    (0..probes).map(move |probe| {
        let mixed = first.wrapping_add(step.wrapping_mul(probe)).wrapping_mul(0x9e37_79b1);
        mixed >> 23
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_and_few_are_wrongly_found() {
        for (chance, allowed) in [(0.1, 0.13), (0.01, 0.016), (0.001, 0.003)] {
            let hashes: Vec<u64> = (0..20_000u64).map(|n| key_hash(&n.to_le_bytes())).collect();
            let filter = Filter::parse(&Filter::build(&hashes, chance).into()).unwrap();
            assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
            let wrong = (20_000..120_000u64).filter(|n| filter.may_contain(key_hash(&n.to_le_bytes()))).count();
            assert!((wrong as f64) < allowed * 100_000.0, "{chance}: {wrong} of 100000");
        }
    }

    #[test]
    fn no_filter_finds_everything() {
        let filter = Filter::parse(&Filter::build(&[1, 2, 3], 1.0).into()).unwrap();
        assert!(filter.may_contain(99));
        assert!(Filter::parse(&Bytes::from_static(b"abc")).is_err());
    }
}
