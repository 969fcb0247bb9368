//! Sizes of the engine and settings of tables.

use crate::hints::HintLimits;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4 block format.
    #[default]
    Lz4,
    /// Zstandard at this level.
    Zstd(i32),
}

/// Sizes of the engine. Simulations shrink them so that rare paths become common.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Memtable bytes (all tables) at which the largest memtable is flushed.
    pub memtable_flush_bytes: u64,
    /// Memtable bytes at which writers should be slowed.
    pub memtable_slow_bytes: u64,
    /// Memtable bytes at which writes are refused.
    pub memtable_bytes_max: u64,
    /// Size of a commit log segment.
    pub log_segment_bytes: u64,
    /// Log size at which the oldest dirty memtables are flushed.
    pub log_flush_bytes: u64,
    /// Log size at which writes are refused.
    pub log_bytes_max: u64,
    /// Bytes of the block cache.
    pub cache_bytes: u64,
    /// Uncompressed bytes at which a data block ends.
    pub block_bytes: usize,
    /// Bytes of an SSTable at which compaction goes on in a new file.
    pub sstable_bytes_max: u64,
    /// Input bytes that one compaction may take on (a major one aside): bounds the space it needs.
    pub compaction_input_bytes_max: u64,
    /// Bytes a job handles in one step.
    pub job_step_bytes: u64,
    /// Compactions that run at once.
    pub compactions_at_once: usize,
    /// Open file handles of SSTables.
    pub open_files_max: usize,
    /// Space left on the volume below which writes are refused.
    pub space_reserve_bytes: u64,
    /// Fixed shards of a table's memtable, a power of two.
    pub memtable_shards: usize,
    /// Bounds of the hints.
    pub hints: HintLimits,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            memtable_flush_bytes: 64 << 20,
            memtable_slow_bytes: 128 << 20,
            memtable_bytes_max: 192 << 20,
            log_segment_bytes: 32 << 20,
            log_flush_bytes: 512 << 20,
            log_bytes_max: 1 << 30,
            cache_bytes: 64 << 20,
            block_bytes: 16 << 10,
            sstable_bytes_max: 1 << 30,
            compaction_input_bytes_max: 16 << 30,
            job_step_bytes: 4 << 20,
            compactions_at_once: 2,
            open_files_max: 512,
            space_reserve_bytes: 128 << 20,
            memtable_shards: 64,
            hints: HintLimits::default(),
        }
    }
}

impl StorageOptions {
    /// Sizes for simulations and tests: everything happens after a few kilobytes.
    pub fn tiny() -> Self {
        Self {
            memtable_flush_bytes: 16 << 10,
            memtable_slow_bytes: 64 << 10,
            memtable_bytes_max: 128 << 10,
            log_segment_bytes: 16 << 10,
            log_flush_bytes: 96 << 10,
            log_bytes_max: 512 << 10,
            cache_bytes: 64 << 10,
            block_bytes: 512,
            sstable_bytes_max: 64 << 10,
            compaction_input_bytes_max: 1 << 20,
            job_step_bytes: 4 << 10,
            compactions_at_once: 2,
            open_files_max: 16,
            space_reserve_bytes: 0,
            memtable_shards: 4,
            hints: HintLimits {
                segment_bytes: 8 << 10,
                target_bytes_max: 1 << 20,
                unsynced_bytes_max: 64 << 10,
                ..HintLimits::default()
            },
        }
    }
}

/// How a table's SSTables are compacted: files are grouped into buckets of similar density, and a bucket with enough
/// files is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Files in a bucket that make a compaction worth it (Cassandra's `min_threshold`).
    pub files_min: usize,
    /// Files that one compaction takes at most (`max_threshold`).
    pub files_max: usize,
    /// Percent by which sizes in one bucket may grow from the smallest: 200 means up to twice.
    pub bucket_ratio_percent: u32,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self { files_min: 4, files_max: 32, bucket_ratio_percent: 300 }
    }
}

/// A table's settings, from its schema options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableSettings {
    /// How its blocks are compressed.
    pub compression: Compression,
    /// Chance of a false positive of its filters, in (0, 1]; 1 means no filter.
    pub bloom_filter_fp_chance: f64,
    /// How it is compacted.
    pub compaction: CompactionSettings,
    /// Whether it is compacted without being asked.
    pub auto_compaction: bool,
}

impl Default for TableSettings {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            bloom_filter_fp_chance: 0.01,
            compaction: CompactionSettings::default(),
            auto_compaction: true,
        }
    }
}
