//! The facade and what it composes.

mod core;
mod due;
mod indexes;
mod job;
mod open;
mod pending;
mod tables;
mod tasks;

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use quorate_env::Disk;
use quorate_model::wire::Wire;
use quorate_model::{
    DecoratedKey, IndexDefinition, LiveRows, Mutation, Position, ReadCommand, ReadResponse, ReadTarget, RowChoice,
    Seconds, TableId, Timestamp,
};

pub(crate) use self::core::{Engine, Table};
use self::core::{lock, write};
pub(crate) use self::indexes::is_long_expired;
pub use self::job::StorageJob;
use crate::hints::{HintLog, HintOpenReport};
use crate::snapshot;
use crate::{
    LogPosition, LostRange, ReadError, SnapshotDescription, StorageError, StorageOptions, StorageStats, TableSettings,
    TaskStats,
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
    /// An index is given entries of what was there before it.
    BuildIndex,
    /// The commit log's next segment is made ahead of need.
    PrepareLog,
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
    /// The log's torn end, in words: normal after a crash, for it was never durable.
    pub log_dropped: Option<String>,
    /// Durable records of the log that cannot be read any more, in words: the node has lost writes of it knows not which
    /// tables, and must say so of all ([`Storage::lose_with_log`]) before it serves.
    pub log_damaged: Vec<String>,
    /// Files removed because no manifest edit listed them.
    pub files_removed: u64,
    /// Files found damaged, now or earlier, and not yet rebuilt.
    pub lost: Vec<LostRange>,
    /// What opening the hints found.
    pub hints: HintOpenReport,
    /// The greatest timestamp of anything stored: whoever stamps writes goes on after it.
    pub timestamp_max: Option<Timestamp>,
}

/// What a job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// Its kind.
    pub kind: JobKind,
    /// Its table, if it worked on one.
    pub table: Option<TableId>,
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

/// A node's storage. All methods may be called from any thread.
pub struct Storage {
    /// Mutations kept for replicas that did not answer.
    pub hints: HintLog,
    engine: Arc<Engine>,
}

impl Storage {
    /// Opens what the disk holds, or an empty storage, and replays the commit log.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StorageOptions,
        now: Seconds,
    ) -> Result<(Self, OpenReport), StorageError> {
        let hint_limits = options.hints.clone();
        let (engine, mut report) = open::open(disk.clone(), options, now)?;
        let (hints, found) = HintLog::open(disk, "hints", hint_limits)?;
        report.hints = found;
        Ok((Self { hints, engine }, report))
    }

    /// Puts an encoded [`Mutation`] into the commit log. It is not durable before [`Self::sync_log`] has returned its
    /// position or a later one.
    pub fn append(&self, encoded: &Bytes) -> Result<LogPosition, StorageError> {
        let refused = |error: StorageError| {
            self.engine.counters.writes_refused.fetch_add(1, Ordering::Relaxed);
            error
        };
        self.engine.refuse_if_full().map_err(refused)?;
        let log = self.engine.log()?;
        // Under the lock, so that no position is ever neither below the log's end nor in the set.
        let mut pending = lock(&self.engine.pending);
        let position = log.append(encoded).map_err(refused)?;
        pending.push(position);
        Ok(position)
    }

    /// Makes the log durable; every position up to and including the returned one is. Blocks. Only the committer calls
    /// it. After `NoSpace` what waits keeps waiting, and its writers must be told 'unknown'.
    pub fn sync_log(&self) -> Result<LogPosition, StorageError> {
        let end = self.engine.log()?.sync()?;
        // The log's end is exclusive; no record begins right before it.
        Ok(LogPosition { segment: end.segment, offset: end.offset.saturating_sub(1) })
    }

    /// Makes a durable mutation visible. To a table that was dropped it does nothing; a table that is not known is made.
    pub fn apply(&self, position: LogPosition, mutation: impl Borrow<Mutation>) -> Result<(), StorageError> {
        self.engine.insert(position, mutation.borrow());
        lock(&self.engine.pending).remove(position);
        Ok(())
    }

    /// Gives up an appended mutation that will never be applied.
    pub fn abandon(&self, position: LogPosition) {
        lock(&self.engine.pending).remove(position);
    }

    /// Appends, syncs and applies one mutation, here and now: for loading, tests and system tables.
    pub fn write(&self, mutation: Mutation) -> Result<(), StorageError> {
        let position = self.append(&mutation.to_bytes())?;
        match self.sync_log() {
            Ok(_) => self.apply(position, mutation),
            Err(error) => {
                self.abandon(position);
                Err(error)
            }
        }
    }

    /// Reads. A read that touches a [lost range](Self::lost_ranges) is refused as corrupt: an answer without what was
    /// lost would be stale without saying so.
    pub fn read(&self, command: &ReadCommand, access: Access) -> Result<ReadResponse, ReadError> {
        let Some(table) = self.engine.find_table(command.table) else {
            return match command.rows {
                RowChoice::Index(_) => Err(ReadError::IndexUnavailable("the index is not known yet".to_owned())),
                RowChoice::All | RowChoice::Named(_) => Ok(ReadResponse::default()),
            };
        };
        table.view_unless(|lost| touches(&command.target, lost))?;
        if let RowChoice::Index(search) = &command.rows {
            return self.engine.search(&table, command, search, access);
        }
        self.read_remains(command, access)
    }

    /// Reads what lives of one partition, within these slices and the command's limits, at its `now`: for whoever asks no
    /// other replica and merges it with nothing. It says what [`Self::read`] says, at a fraction of the cost.
    pub fn read_live(
        &self,
        command: &ReadCommand,
        key: &DecoratedKey,
        slices: &[(Position, Position)],
        access: Access,
    ) -> Result<LiveRows, ReadError> {
        let Some(table) = self.engine.find_table(command.table) else { return Ok(LiveRows::default()) };
        let view = table.view_unless(|lost| lost.first <= key.token && key.token <= lost.last)?;
        let answer = crate::read::read_live(&view, command, (key, slices), access);
        if matches!(answer, Err(ReadError::Corrupt(_))) {
            self.engine.quarantine(&table);
        }
        answer
    }

    /// As [`Self::read`], but of lost ranges gives what is left. That is never an answer: only something to merge into
    /// another replica that has lost the same.
    pub fn read_remains(&self, command: &ReadCommand, access: Access) -> Result<ReadResponse, ReadError> {
        let Some(table) = self.engine.find_table(command.table) else { return Ok(ReadResponse::default()) };
        let state = table.state();
        let answer = crate::read::execute(&state.view, command, access);
        if matches!(answer, Err(ReadError::Corrupt(_))) {
            self.engine.quarantine(&table);
        }
        answer
    }

    /// Sets how a table is kept from now on. Not persistent: the node says it after each start.
    pub fn configure_table(&self, table: TableId, settings: TableSettings) {
        *write(&self.engine.table(table).settings) = settings;
    }

    /// Makes these the table's indexes from now on, persistently: entries are kept of every write from here on, and jobs
    /// are due to make those of what is there already. Others that it had are removed. `version` is that of the schema
    /// they are of; an older one than the last since the start is passed over. Blocks.
    pub fn set_indexes(
        &self,
        table: TableId,
        definitions: &[IndexDefinition],
        version: u64,
    ) -> Result<(), StorageError> {
        self.engine.set_indexes(table, definitions, version)
    }

    /// Jobs that build the table's indexes, as far as they are not built and no other job builds them.
    pub fn build_indexes(&self, table: TableId) -> Vec<StorageJob> {
        self.engine.find_table(table).into_iter().flat_map(|table| due::index_builds(&self.engine, &table)).collect()
    }

    /// Whether the table has this index, and it has been built.
    pub fn index_is_built(&self, table: TableId, index: TableId) -> bool {
        let indexes = self.engine.find_table(table).map(|table| table.state().indexes).unwrap_or_default();
        indexes.iter().any(|known| known.definition.id == index && known.is_built())
    }

    /// Removes a table with all its files. Later writes to it vanish. Blocks.
    pub fn drop_table(&self, table: TableId) -> Result<(), StorageError> {
        self.engine.drop_table(table)
    }

    /// Makes everything in the table with this timestamp or an earlier one invisible, for all time. Blocks.
    pub fn truncate(&self, table: TableId, up_to: Timestamp) -> Result<(), StorageError> {
        self.engine.truncate(table, up_to)
    }

    /// Jobs that are due. Each is handed out once until it has ended or been dropped. Call it about once a second, and
    /// after each job's end. Looks at the free space too.
    pub fn due_jobs(&self, now: Seconds) -> Vec<StorageJob> {
        due::due_jobs(&self.engine, now)
    }

    /// Flushes of everything in a table's memtables: when these jobs have ended, what was applied before is in SSTables.
    /// What a due flush already works on is written twice, and once kept: no need to wait for others.
    pub fn flush(&self, table: TableId) -> Vec<StorageJob> {
        job::flush_jobs(&self.engine, &self.engine.with_indexes(table))
    }

    /// Flushes of everything in memtables, likewise.
    pub fn flush_all(&self) -> Vec<StorageJob> {
        job::flush_jobs(&self.engine, &self.engine.all_tables())
    }

    /// A compaction of all the table's SSTables that no other job works on and for which there is room.
    pub fn major_compaction(&self, table: TableId) -> Vec<StorageJob> {
        let tables = self.engine.with_indexes(table);
        tables.iter().flat_map(|table| due::major(&self.engine, table)).collect()
    }

    /// Links the present SSTables of these tables under a tag; flush first to have everything in it. Blocks.
    pub fn snapshot(
        &self,
        tables: &[TableId],
        tag: &str,
        ttl_seconds: Option<u64>,
        now: Seconds,
    ) -> Result<Vec<SnapshotDescription>, StorageError> {
        let mut taken = Vec::new();
        for id in tables {
            let Some(table) = self.engine.find_table(*id) else { continue };
            // The view keeps its files from being removed while they are linked.
            let view = table.view();
            taken.push(snapshot::take(&self.engine.disk, *id, &view.sstables, tag, ttl_seconds, now)?);
        }
        Ok(taken)
    }

    /// All snapshots.
    pub fn list_snapshots(&self) -> Result<Vec<SnapshotDescription>, StorageError> {
        snapshot::list(&*self.engine.disk)
    }

    /// Removes snapshots: of one tag or of all tags, of these tables or of all. Returns how many went. Blocks.
    pub fn clear_snapshots(&self, tag: Option<&str>, tables: Option<&[TableId]>) -> Result<u64, StorageError> {
        let wanted = |description: &SnapshotDescription| {
            tag.is_none_or(|tag| tag == description.tag)
                && tables.is_none_or(|tables| tables.contains(&description.table))
        };
        snapshot::clear(&*self.engine.disk, wanted)
    }

    /// Removes snapshots whose time has passed. Returns how many went. Blocks; once a minute is often enough.
    pub fn clear_expired_snapshots(&self, now: Seconds) -> Result<u64, StorageError> {
        snapshot::clear(&*self.engine.disk, |description| description.expires_at.is_some_and(|at| at <= now))
    }

    /// Ranges whose SSTables were found damaged, and tables that the log's damage may have cost writes: what is left of
    /// them is not complete. Persistent.
    pub fn lost_ranges(&self) -> Vec<LostRange> {
        self.engine.all_tables().iter().flat_map(|table| table.state().lost.to_vec()).collect()
    }

    /// Says that these lost ranges have been rebuilt from peers. Others, found in the meantime, stay.
    pub fn forget_lost(&self, rebuilt: &[LostRange]) -> Result<(), StorageError> {
        self.engine.forget_lost(rebuilt)
    }

    /// Places of the commit log whose durable records could not be read at some start: writes that this node acknowledged
    /// may be missing anywhere. Persistent until it is made [the tables' loss](Self::lose_with_log).
    pub fn log_damage(&self) -> Vec<String> {
        lock(&self.engine.manifest).state().log_damage.clone()
    }

    /// Makes the damage of the log the loss of these tables, which must be all that the node knows: each is
    /// [lost](Self::lost_ranges) wholly until it is rebuilt, whatever becomes of the others. One durable step.
    pub fn lose_with_log(&self, tables: &[TableId]) -> Result<(), StorageError> {
        self.engine.lose_with_log(tables)
    }

    /// Why nothing is written any more before the next start, if so.
    pub fn failure(&self) -> Option<&str> {
        self.engine.poisoned.get().map(String::as_str)
    }

    /// How hard writers press on memory.
    pub fn pressure(&self) -> Pressure {
        self.engine.pressure()
    }

    /// Numbers.
    pub fn stats(&self) -> StorageStats {
        self.engine.stats()
    }

    /// Flushes, compactions and builds of indexes that are under way.
    pub fn tasks(&self) -> Vec<TaskStats> {
        self.engine.tasks.all()
    }

    /// Bytes of live data on disk and in memory, as `admin status` shows.
    pub fn load_bytes(&self) -> u64 {
        self.engine.load_bytes()
    }

    /// The sizes in force.
    pub fn options(&self) -> &StorageOptions {
        &self.engine.options
    }

    /// Syncs and ends the commit log: nothing can be written any more. For an orderly stop, after the flushes.
    pub fn close(&self) -> Result<(), StorageError> {
        self.engine.log()?.close().map(|_| ())
    }
}

/// Whether a read wants anything of a lost range.
fn touches(target: &ReadTarget, lost: &LostRange) -> bool {
    match target {
        ReadTarget::Partition(key) => lost.first <= key.token && key.token <= lost.last,
        ReadTarget::Range { after, last, .. } => lost.first <= *last && after.is_none_or(|after| lost.last > after),
    }
}
