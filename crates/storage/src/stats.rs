//! Numbers for metrics, `admin` and tests.

use std::collections::BTreeMap;

use quorate_model::{Seconds, TableId, Token};

use crate::engine::JobKind;

/// A range of a table whose content on this node is not complete any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The table.
    pub table: TableId,
    /// First token, inclusive.
    pub first: Token,
    /// Last token, inclusive.
    pub last: Token,
    /// The damaged file; the log's directory if it was the log.
    pub path: String,
}

/// The engine in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StorageStats {
    /// Bytes in memtables, those that wait for their flush included.
    pub memtable_bytes: u64,
    /// Bytes of the commit log.
    pub log_bytes: u64,
    /// Bytes of all SSTables.
    pub sstable_bytes: u64,
    /// Bytes held by the block cache.
    pub cache_bytes: u64,
    /// Blocks found in the cache.
    pub cache_hits: u64,
    /// Blocks that had to be read.
    pub cache_misses: u64,
    /// Memtables written.
    pub flushes: u64,
    /// Compactions finished.
    pub compactions: u64,
    /// Bytes that compactions wrote.
    pub compaction_bytes: u64,
    /// Jobs that failed.
    pub job_failures: u64,
    /// Writes refused for memory, log or space.
    pub writes_refused: u64,
    /// Blocks that failed their checksum.
    pub corruptions: u64,
    /// By table.
    pub tables: BTreeMap<TableId, TableStats>,
}

/// A job that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStats {
    /// Its number, from 1 at the start of the engine.
    pub id: u64,
    /// When it began.
    pub began: Seconds,
    /// What it does.
    pub kind: JobKind,
    /// The table it is done for.
    pub table: TableId,
    /// SSTables that it reads.
    pub sstables: usize,
    /// Bytes that it has written.
    pub progress_bytes: u64,
    /// Bytes that it has to go through, if that is known: about as many as it will write, or more.
    pub total_bytes: Option<u64>,
}

/// A table in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TableStats {
    /// Bytes in its memtables.
    pub memtable_bytes: u64,
    /// Its SSTables.
    pub sstables: u64,
    /// Their bytes.
    pub sstable_bytes: u64,
    /// Bytes of filters and top indexes that they hold in memory.
    pub resident_bytes: u64,
    /// Partitions in them, counted once a file.
    pub partitions: u64,
    /// Rows in them, counted once a file.
    pub rows: u64,
    /// Tombstones in them.
    pub tombstones: u64,
}
