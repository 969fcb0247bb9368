//! Every fixed limit of the engine. What an operator or a simulation may set is in `StorageOptions`.

/// Greatest block on disk, compressed or not. A block exceeds its target size only for one row or one partition header.
pub const BLOCK_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Rows that one read takes from a memtable before it looks whether it needs more.
pub const MEMTABLE_WINDOW_ROWS_MIN: usize = 64;
/// Bytes of rows that it takes before it looks whether it needs more, at least.
pub const MEMTABLE_WINDOW_BYTES_MIN: usize = 64 * 1024;
/// Bytes of rows that one read copies from memtables of one partition; a read that needs more stops there as at a limit.
pub const MEMTABLE_WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of neighbouring rows that a memtable keeps in one piece of memory; a longer row has one of its own.
pub const MEMTABLE_RUN_BYTES: usize = 4096;
/// Rows for which a read makes room when it has seen the first.
pub const LIVE_ROWS_AHEAD_MAX: u32 = 128;
/// Bytes of that room.
pub const LIVE_BYTES_AHEAD_MAX: usize = 32 * 1024;
/// Rows of one partition of which deletions leave nothing, after which a read stops as at a limit.
pub const DEAD_ROWS_MAX: usize = 1_000_000;
/// Rows and partitions merged by a read that may not block; beyond it the answer is `NeedsDisk`.
pub const MEMORY_ONLY_ROWS_MAX: usize = 2048;
/// Partitions in one SSTable: bounds the filter, and the hashes held while it is written.
pub const SSTABLE_PARTITIONS_MAX: u64 = 4 * 1024 * 1024;
/// Inputs of one compaction.
pub const COMPACTION_INPUTS_MAX: usize = 32;
/// Dropped tables remembered, so that late writes to them vanish.
pub const DROPPED_TABLES_MAX: usize = 100_000;
/// Damaged places of the commit log remembered from one start.
pub const LOG_DAMAGE_MAX: usize = 1000;
/// Memtables of one table that wait to be flushed.
pub const FROZEN_MEMTABLES_MAX: usize = 4;
/// Snapshot tags: length.
pub const SNAPSHOT_TAG_BYTES_MAX: usize = 200;
/// Greatest manifest.
pub const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Entries of an index that a read takes at once, at least and at most.
pub const INDEX_CHUNK_MIN: usize = 16;
/// See [`INDEX_CHUNK_MIN`].
pub const INDEX_CHUNK_MAX: usize = 256;
/// Entries of an index that one read looks at; a read that needs more stops there as at a limit.
pub const INDEX_CANDIDATES_MAX: usize = 10_000;
/// Wrong entries of an index that one read removes.
pub const INDEX_REMOVALS_MAX: usize = 256;
/// Rows of the base table that one step of an index's building reads.
pub const INDEX_BUILD_ROWS: u32 = 4096;
/// Indexes of one table.
pub const INDEXES_PER_TABLE_MAX: usize = 64;
/// Seconds that expired entries of an index outlive their values, for clocks that differ.
pub const INDEX_EXPIRY_SLACK_SECONDS: i64 = 3600;
