//! The storage engine of one node: commit log, memtables, SSTables, compaction, snapshots, hints.
//!
//! **What it is.** [`Storage`] keeps partitions of tables and gives them back, merged. It is synchronous and shared: every
//! method takes `&self`. All I/O goes through one injected [`quorate_env::Disk`]. **What it refuses to do.** It spawns no
//! thread, reads no clock, draws no randomness, sends nothing, and knows neither replicas nor schemas: it compares bytes,
//! and is told what an index is on. Work that takes long is handed out as a [`StorageJob`], which its owner runs in steps, on a pool or inline.
//!
//! **A write's life.** [`Storage::append`] puts the encoded mutation into the commit log; [`Storage::sync_log`] makes it
//! durable (one committer calls it for all that wait); [`Storage::apply`] makes it visible. Nothing that is not durable is
//! ever visible. A position that was appended is applied or [abandoned](Storage::abandon) exactly once.
//!
//! **Invariants.**
//! - The SSTables that serve reads are exactly those of the last manifest edit, before and after any crash.
//! - A commit log segment goes only when every mutation in it is in an SSTable of the manifest, or abandoned.
//! - One mutation is visible wholly or not at all to any one read of its partition.
//! - Flush and compaction never change what a read answers.
//! - An [index](Storage::set_indexes) that is built has an entry for every value of every row that can be read; a read by it
//!   gives exactly the rows that have the value.
//! - No byte from disk is used before its checksum, which includes the file's number and the offset, has been verified.
//!   A file that failed it never serves again: its token range is [lost](Storage::lost_ranges), and reads of it are
//!   refused, until the node has rebuilt it. Damage of the log is [remembered](Storage::log_damage) until it is made
//!   [every table's loss](Storage::lose_with_log).
//!
//! **Limits.** Named in [`limits`]; sizes that an operator or a simulation sets are in [`StorageOptions`].
//!
//! **What it assumes of disks.** `sync` makes content and length durable, `sync_dir` makes entries durable, a rename is
//! atomic; unsynced writes may be lost, torn or reordered; bytes may rot and reads may fail at any time. After a sync
//! that failed, nothing more is written ([`StorageError::Poisoned`]).
//!
//! **Tests.** Unit tests beside the code; whole-engine properties (crashes at every operation, model comparison, bit rot,
//! full disk) in `tests/`.

pub mod commit_log;
pub mod hints;

mod cache;
mod checksum;
pub mod compaction;
mod engine;
mod error;
mod index;
pub mod limits;
mod manifest;
mod memtable;
mod options;
mod read;
mod snapshot;
pub mod sstable;
mod stats;

pub use commit_log::LogPosition;
pub use engine::{Access, JobKind, JobReport, JobResult, OpenReport, Pressure, Storage, StorageJob};
pub use error::{CorruptionError, ReadError, StorageError};
pub use options::{CompactionSettings, Compression, StorageOptions, TableSettings};
pub use snapshot::SnapshotDescription;
pub use stats::{LostRange, StorageStats, TableStats, TaskStats};
