//! The facade and what it composes.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::Disk;
use quorate_model::{Mutation, ReadCommand, ReadResponse, Seconds, TableId, Timestamp};

use crate::{
    LogPosition, LostRange, ReadError, SnapshotDescription, StorageError, StorageOptions, StorageStats, TableSettings,
};

/// What a read may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Memory and cached blocks alone; never blocks for long. What needs more is `ReadError::NeedsDisk`.
    MemoryOnly,
    /// Anything; to be called where blocking is fine.
    Disk,
}

/// Kinds of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// A memtable becomes an SSTable.
    Flush,
    /// SSTables become fewer.
    Compaction,
    /// A whole table is compacted, as an operator asked.
    MajorCompaction,
}

/// How hard writers press on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// All is well.
    None,
    /// Writers should be slowed.
    Slow,
    /// Writes are refused.
    Refuse,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Mutations replayed from the commit log.
    pub replayed: u64,
    /// What replay could not read, in words, if anything: a torn tail is normal after a crash.
    pub log_dropped: Option<String>,
    /// Files removed because no manifest edit listed them.
    pub files_removed: u64,
    /// Files found damaged while opening.
    pub lost: Vec<LostRange>,
}

/// What a job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// Its kind.
    pub kind: JobKind,
    /// Its table.
    pub table: TableId,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// How a step of a job ended.
pub enum JobResult {
    /// There is more: run it again, now or later.
    Again(StorageJob),
    /// It is done and durable.
    Done(JobReport),
    /// It failed and left nothing behind; its inputs will be offered again.
    Failed(StorageError),
}

/// Work that blocks: one flush or one compaction, in steps of bounded size. Dropping it is always safe.
pub struct StorageJob {
    kind: JobKind,
    table: TableId,
}

impl StorageJob {
    /// Its kind.
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// Its table.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Does one step.
    pub fn run(self) -> JobResult {
        JobResult::Failed(not_ready())
    }

    /// Does all steps, here and now.
    pub fn run_to_end(self) -> Result<JobReport, StorageError> {
        let mut job = self;
        loop {
            match job.run() {
                JobResult::Again(next) => job = next,
                JobResult::Done(report) => return Ok(report),
                JobResult::Failed(error) => return Err(error),
            }
        }
    }
}

fn not_ready() -> StorageError {
    StorageError::Invalid("not supported yet".to_owned())
}

/// A node's storage. All methods may be called from any thread.
pub struct Storage {
    options: StorageOptions,
}

#[allow(unused_variables, reason = "bodies follow")]
impl Storage {
    /// Opens what the disk holds, or an empty storage, and replays the commit log.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StorageOptions,
        now: Seconds,
    ) -> Result<(Self, OpenReport), StorageError> {
        Err(not_ready())
    }

    /// Puts an encoded [`Mutation`] into the commit log. It is not durable before [`Self::sync_log`] has returned its
    /// position or a later one.
    pub fn append(&self, encoded: &Bytes) -> Result<LogPosition, StorageError> {
        Err(not_ready())
    }

    /// Makes the log durable; every position up to and including the returned one is. Blocks. Only the committer calls it.
    pub fn sync_log(&self) -> Result<LogPosition, StorageError> {
        Err(not_ready())
    }

    /// Makes a durable mutation visible.
    pub fn apply(&self, position: LogPosition, mutation: Mutation) -> Result<(), StorageError> {
        Err(not_ready())
    }

    /// Gives up an appended mutation that will never be applied.
    pub fn abandon(&self, position: LogPosition) {}

    /// Reads.
    pub fn read(&self, command: &ReadCommand, access: Access) -> Result<ReadResponse, ReadError> {
        Err(ReadError::NeedsDisk)
    }

    /// Sets how a table is kept from now on. Not persistent: the node says it after each start.
    pub fn configure_table(&self, table: TableId, settings: TableSettings) {}

    /// Removes a table with all its files. Later writes to it vanish. Blocks.
    pub fn drop_table(&self, table: TableId) -> Result<(), StorageError> {
        Err(not_ready())
    }

    /// Makes everything in the table with this timestamp or an earlier one invisible, for all time. Blocks.
    pub fn truncate(&self, table: TableId, up_to: Timestamp) -> Result<(), StorageError> {
        Err(not_ready())
    }

    /// Jobs that are due. Each is handed out once until it has ended or been dropped. Call it about once a second, and
    /// after each job's end. Looks at the free space too; clears snapshots that have expired.
    pub fn due_jobs(&self, now: Seconds) -> Vec<StorageJob> {
        Vec::new()
    }

    /// Flushes of everything in a table's memtable.
    pub fn flush(&self, table: TableId) -> Vec<StorageJob> {
        Vec::new()
    }

    /// Flushes of everything in memtables.
    pub fn flush_all(&self) -> Vec<StorageJob> {
        Vec::new()
    }

    /// A compaction of all the table's SSTables that no other job works on.
    pub fn major_compaction(&self, table: TableId) -> Vec<StorageJob> {
        Vec::new()
    }

    /// Links the present SSTables of these tables under a tag; flush first to have everything in it. Blocks.
    pub fn snapshot(
        &self,
        tables: &[TableId],
        tag: &str,
        ttl_seconds: Option<u64>,
        now: Seconds,
    ) -> Result<Vec<SnapshotDescription>, StorageError> {
        Err(not_ready())
    }

    /// All snapshots.
    pub fn list_snapshots(&self) -> Result<Vec<SnapshotDescription>, StorageError> {
        Err(not_ready())
    }

    /// Removes snapshots: of one tag or of all tags, of these tables or of all. Returns how many went.
    pub fn clear_snapshots(&self, tag: Option<&str>, tables: Option<&[TableId]>) -> Result<u64, StorageError> {
        Err(not_ready())
    }

    /// Ranges whose SSTables were found damaged: what reads of them say is not complete. Persistent.
    pub fn lost_ranges(&self) -> Vec<LostRange> {
        Vec::new()
    }

    /// Says that a table's lost ranges have been rebuilt from peers.
    pub fn forget_lost(&self, table: TableId) -> Result<(), StorageError> {
        Err(not_ready())
    }

    /// How hard writers press on memory.
    pub fn pressure(&self) -> Pressure {
        Pressure::None
    }

    /// Numbers.
    pub fn stats(&self) -> StorageStats {
        StorageStats::default()
    }

    /// Bytes of live data on disk, as `admin status` shows.
    pub fn load_bytes(&self) -> u64 {
        0
    }

    /// The sizes in force.
    pub fn options(&self) -> &StorageOptions {
        &self.options
    }
}
