//! The block cache: parsed blocks of all SSTables, bounded by bytes. Its policy (S3-FIFO-like, `quick_cache`) keeps a scan
//! from washing out what is read again and again.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::sstable::{DataBlock, IndexBlock};

/// A block as it is used.
#[derive(Clone)]
pub(crate) enum CachedBlock {
    Data(Arc<DataBlock>),
    Index(Arc<IndexBlock>),
}

/// File number and offset.
type BlockKey = (u64, u64);

#[derive(Clone)]
struct ByteWeighter;

impl Weighter<BlockKey, CachedBlock> for ByteWeighter {
    fn weight(&self, _: &BlockKey, block: &CachedBlock) -> u64 {
        let size = match block {
            CachedBlock::Data(block) => block.memory_size(),
            CachedBlock::Index(block) => block.memory_size(),
        };
        size as u64 + 64
    }
}

/// A fixed hash, so that the same run evicts the same blocks.
#[derive(Clone, Default)]
struct FixedHash;

#[derive(Default)]
struct FixedHasher(u64);

impl BuildHasher for FixedHash {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher::default()
    }
}

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn finish(&self) -> u64 {
        let mixed = self.0.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }
}

/// The cache.
pub(crate) struct BlockCache {
    cache: Cache<BlockKey, CachedBlock, ByteWeighter, FixedHash>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let items = (bytes / 4096).clamp(16, 1 << 20) as usize;
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(bytes);
        // Few shards when the cache is small: a shard smaller than a block would keep nothing.
        options.shards(if bytes >= 16 << 20 { 16 } else { 1 });
        let lifecycle = DefaultLifecycle::default();
        let cache = match options.build() {
            Ok(options) => Cache::with_options(options, ByteWeighter, FixedHash, lifecycle),
            Err(_) => Cache::with(items, bytes, ByteWeighter, FixedHash, lifecycle),
        };
        Self { cache, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<CachedBlock> {
        let found = self.cache.get(&(file, offset));
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(crate) fn insert(&self, file: u64, offset: u64, block: CachedBlock) {
        self.cache.insert((file, offset), block);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Hits and misses so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }
}
