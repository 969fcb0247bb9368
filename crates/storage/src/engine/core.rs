//! The engine's shared state: tables with their views, the manifest, the log, counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quorate_env::Disk;
use quorate_model::{Mutation, Seconds, TableId};

use super::pending::Pending;
use super::tasks::Tasks;
use crate::commit_log::CommitLog;
use crate::compaction::merge::PartialFile;
use crate::error::{CorruptionError, StorageError};
use crate::index::TableIndex;
use crate::manifest::{Manifest, sstable_path};
use crate::memtable::Memtable;
use crate::options::{StorageOptions, TableSettings};
use crate::read::TableView;
use crate::sstable::{SsTable, SsTableContext, WriterSettings};
use crate::stats::LostRange;
use crate::{LogPosition, Pressure};

/// A table: its view is replaced, never changed.
pub(crate) struct Table {
    pub(crate) id: TableId,
    /// Whether it is the hidden table of an index.
    pub(crate) is_index: bool,
    pub(super) state: RwLock<TableState>,
    pub(super) settings: RwLock<TableSettings>,
    /// What jobs work on.
    pub(super) claims: Mutex<Claims>,
}

/// What serves a table.
#[derive(Clone)]
pub(super) struct TableState {
    pub(super) view: Arc<TableView>,
    pub(super) lost: Arc<Vec<LostRange>>,
    pub(super) dropped: bool,
    pub(super) indexes: Arc<Vec<Arc<TableIndex>>>,
    /// Of what version of the schema they are.
    pub(super) indexes_version: u64,
}

/// Work in progress on a table.
#[derive(Default)]
pub(super) struct Claims {
    /// Memtables being flushed, by address.
    pub(super) flushing: BTreeSet<usize>,
    /// SSTables being compacted, by number.
    pub(super) compacting: BTreeSet<u64>,
    /// After a failure, nothing is tried before this second.
    pub(super) retry_at: Option<Seconds>,
}

/// Counters of `StorageStats`.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) flushes: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) compaction_bytes: AtomicU64,
    pub(super) job_failures: AtomicU64,
    pub(super) writes_refused: AtomicU64,
    pub(super) corruptions: AtomicU64,
}

/// The engine.
pub(crate) struct Engine {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: StorageOptions,
    pub(super) context: Arc<SsTableContext>,
    pub(super) log: OnceLock<CommitLog>,
    pub(super) tables: RwLock<BTreeMap<TableId, Arc<Table>>>,
    pub(super) manifest: Mutex<Manifest>,
    /// Positions that were appended and neither applied nor abandoned.
    pub(super) pending: Mutex<Pending>,
    pub(super) memtable_bytes: AtomicU64,
    pub(super) space_low: AtomicBool,
    pub(super) compactions_running: AtomicU64,
    pub(super) preparing_log: AtomicBool,
    pub(super) now: AtomicI64,
    /// Set once the manifest cannot be trusted to be what is on disk.
    pub(super) poisoned: OnceLock<String>,
    pub(super) counters: Counters,
    pub(super) tasks: Tasks,
}

impl Table {
    pub(super) fn new(id: TableId, view: TableView, lost: Vec<LostRange>, dropped: bool) -> Self {
        let (view, lost, indexes) = (Arc::new(view), Arc::new(lost), Arc::default());
        let state = TableState { view, lost, dropped, indexes, indexes_version: 0 };
        let (settings, claims) = (RwLock::default(), Mutex::default());
        Self { id, is_index: false, state: RwLock::new(state), settings, claims }
    }

    /// The hidden table of an index.
    pub(super) fn new_index(id: TableId, view: TableView) -> Self {
        Self { is_index: true, ..Self::new(id, view, Vec::new(), false) }
    }

    /// What serves it now.
    pub(super) fn state(&self) -> TableState {
        read(&self.state).clone()
    }

    pub(crate) fn view(&self) -> Arc<TableView> {
        read(&self.state).view.clone()
    }

    /// The view, unless a lost range is wanted: an answer without what was lost would be stale without saying so.
    pub(super) fn view_unless(
        &self,
        is_wanted: impl Fn(&LostRange) -> bool,
    ) -> Result<Arc<TableView>, CorruptionError> {
        let state = read(&self.state);
        if let Some(lost) = state.lost.iter().find(|lost| is_wanted(lost)) {
            let problem = format!("tokens {} to {} are lost here until they are rebuilt", lost.first, lost.last);
            return Err(CorruptionError { path: lost.path.clone(), offset: 0, problem });
        }
        Ok(state.view.clone())
    }

    pub(super) fn settings(&self) -> TableSettings {
        *read(&self.settings)
    }

    /// Bytes in its memtables.
    pub(crate) fn memtable_bytes(&self) -> u64 {
        read(&self.state).view.memtables.iter().map(|memtable| memtable.bytes()).sum()
    }

    /// The lowest log position of anything not yet flushed.
    pub(super) fn lowest(&self) -> Option<LogPosition> {
        read(&self.state).view.memtables.iter().filter_map(|memtable| memtable.lowest()).min()
    }

    /// Makes the memtable that takes writes one that waits to be flushed, unless it is empty.
    pub(super) fn freeze(&self, shards: usize) {
        let mut state = write(&self.state);
        if state.dropped || state.view.memtables.first().is_none_or(|active| active.is_empty()) {
            return;
        }
        let mut view = (*state.view).clone();
        view.memtables.insert(0, Arc::new(Memtable::new(shards)));
        state.view = Arc::new(view);
    }
}

impl Engine {
    /// The table, made if it is not there.
    pub(super) fn table(&self, id: TableId) -> Arc<Table> {
        if let Some(table) = self.find_table(id) {
            return table;
        }
        let mut tables = write(&self.tables);
        let made = || {
            let memtables = vec![Arc::new(Memtable::new(self.options.memtable_shards))];
            Arc::new(Table::new(id, TableView { memtables, sstables: Vec::new(), truncated: None }, Vec::new(), false))
        };
        tables.entry(id).or_insert_with(made).clone()
    }

    pub(super) fn find_table(&self, id: TableId) -> Option<Arc<Table>> {
        read(&self.tables).get(&id).cloned()
    }

    pub(super) fn all_tables(&self) -> Vec<Arc<Table>> {
        read(&self.tables).values().cloned().collect()
    }

    /// Puts a mutation into its memtable.
    pub(super) fn insert(&self, position: LogPosition, mutation: &Mutation) {
        let table = self.table(mutation.table);
        // Held while the mutation goes in, so that a memtable that was frozen never changes.
        let state = read(&table.state);
        if state.dropped {
            return;
        }
        // Entries first: whoever finds none may hold that there is no row.
        for index in state.indexes.iter() {
            self.insert_entries(position, index, &mutation.key, &mutation.update);
        }
        if let Some(active) = state.view.memtables.first() {
            let grown = active.apply(position, &mutation.key, &mutation.update);
            self.memtable_bytes.fetch_add(grown as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn log(&self) -> Result<&CommitLog, StorageError> {
        self.log.get().ok_or_else(|| StorageError::Invalid("the commit log is not open yet".to_owned()))
    }

    /// Whether memory, log or disk refuse another write.
    pub(super) fn refuse_if_full(&self) -> Result<(), StorageError> {
        if let Some(cause) = self.poisoned.get() {
            return Err(StorageError::Poisoned(cause.clone()));
        }
        let used = self.memtable_bytes.load(Ordering::Relaxed);
        let limit = self.options.memtable_bytes_max;
        if used >= limit {
            return Err(StorageError::Overloaded { what: "memtables", used, limit });
        }
        if self.space_low.load(Ordering::Relaxed) {
            return Err(StorageError::NoSpace("the volume's reserve is reached".to_owned()));
        }
        let (used, limit) = (self.log()?.size(), self.options.log_bytes_max);
        if used > limit {
            return Err(StorageError::Overloaded { what: "the commit log", used, limit });
        }
        Ok(())
    }

    pub(super) fn pressure(&self) -> Pressure {
        if self.refuse_if_full().is_err() {
            Pressure::Refuse
        } else if self.memtable_bytes.load(Ordering::Relaxed) >= self.options.memtable_slow_bytes {
            Pressure::Slow
        } else {
            Pressure::None
        }
    }

    /// Tells the log what it need not keep: everything below what is pending or in memtables.
    pub(super) fn discard_log(&self) -> Result<(), StorageError> {
        let Some(log) = self.log.get() else { return Ok(()) };
        let mut lowest = {
            // Under this lock every position is either not yet handed out, hence not below the log's end, or in the set.
            let pending = lock(&self.pending);
            let end = log.position();
            pending.first().map_or(end, |first| end.min(first))
        };
        for table in self.all_tables() {
            if let Some(position) = table.lowest() {
                lowest = lowest.min(position);
            }
        }
        log.discard_before(lowest)
    }

    /// A file that is going to be written.
    pub(super) fn new_file(&self) -> PartialFile {
        let number = lock(&self.manifest).take_number();
        PartialFile::new(self.disk.clone(), number, sstable_path(number))
    }

    /// How a table's files are written.
    pub(super) fn writer_settings(&self, table: &Table) -> WriterSettings {
        let settings = table.settings();
        WriterSettings {
            compression: settings.compression,
            fp_chance: settings.bloom_filter_fp_chance,
            block_bytes: self.options.block_bytes,
        }
    }

    /// Takes the damaged files of a table out of service, for all time.
    pub(crate) fn quarantine(&self, table: &Table) {
        if table.is_index {
            return self.reset_index_of(table);
        }
        let mut manifest = lock(&self.manifest);
        let damaged: Vec<Arc<SsTable>> =
            table.view().sstables.iter().filter(|file| file.is_corrupt()).cloned().collect();
        if damaged.is_empty() {
            return;
        }
        self.counters.corruptions.fetch_add(damaged.len() as u64, Ordering::Relaxed);
        // Should the edit fail, the next read of the file after a restart finds the damage again.
        let _ = manifest.edit(|state| {
            for file in &damaged {
                if let Some(listed) =
                    state.tables.get_mut(&table.id).and_then(|listed| listed.files.get_mut(&file.number))
                {
                    listed.lost = true;
                }
            }
        });
        let mut state = write(&table.state);
        let mut view = (*state.view).clone();
        view.sstables.retain(|file| !file.is_corrupt());
        let mut lost = (*state.lost).clone();
        lost.extend(damaged.iter().map(|file| LostRange {
            table: table.id,
            first: file.stats.first.token,
            last: file.stats.last.token,
            path: file.path.clone(),
        }));
        state.view = Arc::new(view);
        state.lost = Arc::new(lost);
    }
}

/// Files in the order in which reads look at them.
pub(super) fn newest_first(files: &mut [Arc<SsTable>]) {
    files.sort_by_key(|file| (std::cmp::Reverse(file.stats.timestamp_max), std::cmp::Reverse(file.number)));
}

/// Locks are held over short pieces of code that change state only as a whole, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
