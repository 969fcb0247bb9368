//! Opening: the manifest, the files that it lists, the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use quorate_env::Disk;
use quorate_env::disk::DiskErrorKind;
use quorate_model::wire::Wire;
use quorate_model::{Mutation, Seconds, TableId, Timestamp, Token};

use super::core::{Engine, Table, lock, newest_first};
use super::job::flush_jobs;
use super::{JobResult, OpenReport};
use crate::cache::BlockCache;
use crate::commit_log::{CommitLog, CommitLogOptions, DamagedRange, create_dir_durably};
use crate::error::{CorruptionError, ReadError, StorageError};
use crate::index::TableIndex;
use crate::limits::LOG_DAMAGE_MAX;
use crate::manifest::{Manifest, ManifestState, TABLES_DIR, sstable_number, sstable_path};
use crate::memtable::Memtable;
use crate::options::StorageOptions;
use crate::read::TableView;
use crate::sstable::{FileHandles, SsTable, SsTableContext};
use crate::stats::LostRange;

/// Where the commit log lives.
const LOG_DIR: &str = "commit_log";

/// Opens the engine and replays its log.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: StorageOptions,
    now: Seconds,
) -> Result<(Arc<Engine>, OpenReport), StorageError> {
    create_dir_durably(&disk, TABLES_DIR)?;
    let mut manifest = Manifest::open(disk.clone())?;
    let files_removed = remove_unlisted(&*disk, manifest.state())?;
    let mut report = OpenReport { files_removed, ..OpenReport::default() };
    let context = Arc::new(SsTableContext {
        disk: disk.clone(),
        cache: BlockCache::new(options.cache_bytes),
        handles: FileHandles::new(options.open_files_max),
    });
    let tables = open_tables(&context, &mut manifest, options.memtable_shards)?;
    let files = tables.values().flat_map(|table| table.view().sstables.clone());
    report.timestamp_max = files.map(|file| Timestamp(file.stats.timestamp_max)).max();
    report.lost = tables.values().flat_map(|table| table.state().lost.to_vec()).collect();
    let engine = Arc::new(Engine {
        disk: disk.clone(),
        context,
        log: OnceLock::new(),
        tables: RwLock::new(tables),
        manifest: Mutex::new(manifest),
        pending: Mutex::default(),
        memtable_bytes: 0.into(),
        space_low: false.into(),
        compactions_running: 0.into(),
        tasks: Default::default(),
        preparing_log: false.into(),
        now: now.0.into(),
        poisoned: OnceLock::new(),
        counters: Default::default(),
        options,
    });
    replay(&engine, &mut report)?;
    engine.look_at_space();
    Ok((engine, report))
}

fn replay(engine: &Arc<Engine>, report: &mut OpenReport) -> Result<(), StorageError> {
    let log_options = CommitLogOptions {
        segment_bytes: engine.options.log_segment_bytes,
        unsynced_bytes_max: engine.options.memtable_bytes_max,
        ..CommitLogOptions::default()
    };
    let mut newest = report.timestamp_max;
    let mut sink = |position: crate::LogPosition, payload: bytes::Bytes| {
        let mutation = Mutation::from_bytes(&payload).map_err(|error| CorruptionError {
            path: format!("{LOG_DIR}/{:016x}.log", position.segment),
            offset: position.offset,
            problem: format!("an intact record that is no mutation: {error}"),
        })?;
        newest = newest.max(mutation.update.max_timestamp());
        engine.insert(position, &mutation);
        if engine.memtable_bytes.load(std::sync::atomic::Ordering::Relaxed) >= engine.options.memtable_flush_bytes {
            for job in flush_jobs(engine, &engine.all_tables()) {
                run(job)?;
            }
        }
        Ok(())
    };
    let (log, found) = CommitLog::open(engine.disk.clone(), LOG_DIR, log_options, &mut sink)?;
    report.timestamp_max = newest;
    report.replayed = found.records;
    report.log_damaged = found.damaged.iter().map(describe).collect();
    report.log_dropped = found
        .torn
        .map(|torn| format!("{} at byte {}, {} whole records with it", torn.path, torn.offset, torn.records_dropped));
    if !report.log_damaged.is_empty() {
        lock(&engine.manifest).edit(|state| {
            let unknown = report.log_damaged.iter().filter(|damage| !state.log_damage.contains(damage));
            let unknown: Vec<String> = unknown.take(LOG_DAMAGE_MAX).cloned().collect();
            state.log_damage.extend(unknown);
        })?;
    }
    assert!(engine.log.set(log).is_ok(), "the log is opened once");
    Ok(())
}

/// All of a table, for what the log lost.
fn lost_with_log(table: TableId) -> LostRange {
    LostRange { table, first: Token::MIN, last: Token::MAX, path: LOG_DIR.to_owned() }
}

fn describe(damage: &DamagedRange) -> String {
    format!("{} from byte {} to {}: {}", damage.path, damage.from, damage.to, damage.problem)
}

fn run(job: super::StorageJob) -> Result<(), StorageError> {
    let mut job = job;
    loop {
        match job.run() {
            JobResult::Again(next) => job = next,
            JobResult::Done(_) => return Ok(()),
            JobResult::Failed(error) => return Err(error),
        }
    }
}

/// Removes what no manifest edit lists: outputs of jobs that a crash cut short, and inputs of those that were done.
fn remove_unlisted(disk: &dyn Disk, state: &ManifestState) -> Result<u64, StorageError> {
    let listed: BTreeSet<u64> = state.tables.values().flat_map(|table| table.files.keys().copied()).collect();
    let mut removed = 0;
    for name in disk.list(TABLES_DIR)? {
        if sstable_number(&name).is_some_and(|number| !listed.contains(&number)) {
            disk.remove(&format!("{TABLES_DIR}/{name}"))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn open_tables(
    context: &Arc<SsTableContext>,
    manifest: &mut Manifest,
    shards: usize,
) -> Result<BTreeMap<TableId, Arc<Table>>, StorageError> {
    let mut tables = BTreeMap::new();
    let mut damaged: Vec<(TableId, u64)> = Vec::new();
    let indexes = manifest.state().tables.values().flat_map(|listed| &listed.indexes);
    let hidden: BTreeSet<TableId> = indexes.map(|index| index.definition.id).collect();
    for (id, listed) in &manifest.state().tables {
        let mut sstables = Vec::new();
        let mut lost = Vec::new();
        for (number, file) in &listed.files {
            let opened = if file.lost { None } else { open_file(context, *number)? };
            match opened {
                Some(table) => sstables.push(Arc::new(table)),
                None => {
                    if !file.lost {
                        damaged.push((*id, *number));
                    }
                    let path = sstable_path(*number);
                    lost.push(LostRange { table: *id, first: file.first, last: file.last, path });
                }
            }
        }
        if listed.lost_with_log {
            lost.push(lost_with_log(*id));
        }
        newest_first(&mut sstables);
        let memtables = vec![Arc::new(Memtable::new(shards))];
        let view = TableView { memtables, sstables, truncated: listed.truncated };
        if !hidden.contains(id) {
            tables.insert(*id, Arc::new(Table::new(*id, view, lost, false)));
        } else if lost.is_empty() {
            tables.insert(*id, Arc::new(Table::new_index(*id, view)));
        }
    }
    for id in &manifest.state().dropped {
        let view = TableView { memtables: Vec::new(), sstables: Vec::new(), truncated: None };
        tables.insert(*id, Arc::new(Table::new(*id, view, Vec::new(), true)));
    }
    // What is left of a damaged index is of no use: it is begun anew.
    let spoilt: Vec<TableId> = damaged.iter().map(|(id, _)| *id).filter(|id| hidden.contains(id)).collect();
    damaged.retain(|(id, _)| !hidden.contains(id));
    if !damaged.is_empty() || !spoilt.is_empty() {
        manifest.edit(|state| {
            spoilt.iter().for_each(|id| state.begin_index(*id));
            for (id, number) in &damaged {
                if let Some(file) = state.tables.get_mut(id).and_then(|table| table.files.get_mut(number)) {
                    file.lost = true;
                }
            }
        })?;
    }
    open_indexes(&mut tables, manifest.state(), shards);
    Ok(tables)
}

/// Gives the tables their indexes, so that the log's replay finds them.
fn open_indexes(tables: &mut BTreeMap<TableId, Arc<Table>>, state: &ManifestState, shards: usize) {
    for (id, listed) in state.tables.iter().filter(|(_, listed)| !listed.indexes.is_empty()) {
        let mut indexes = Vec::new();
        for index in &listed.indexes {
            let empty = || {
                let memtables = vec![Arc::new(Memtable::new(shards))];
                let view = TableView { memtables, sstables: Vec::new(), truncated: None };
                Arc::new(Table::new_index(index.definition.id, view))
            };
            let hidden = tables.entry(index.definition.id).or_insert_with(empty).clone();
            indexes.push(Arc::new(TableIndex::new(index.definition.clone(), hidden, index.built)));
        }
        if let Some(table) = tables.get(id) {
            super::core::write(&table.state).indexes = Arc::new(indexes);
        }
    }
}

/// Opens a listed file; `None` if it is damaged or gone.
fn open_file(context: &Arc<SsTableContext>, number: u64) -> Result<Option<SsTable>, StorageError> {
    match SsTable::open(context.clone(), number, sstable_path(number)) {
        Ok(table) => Ok(Some(table)),
        Err(ReadError::Corrupt(_)) => Ok(None),
        Err(ReadError::Disk(error)) if error.kind == DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Engine {
    /// Looks whether writes must be refused to keep the volume's reserve.
    pub(super) fn look_at_space(&self) -> Option<u64> {
        let available = self.disk.space().ok()?.available;
        let low = available < self.options.space_reserve_bytes;
        self.space_low.store(low, std::sync::atomic::Ordering::Relaxed);
        Some(available)
    }

    /// Makes the log's damage these tables' loss.
    pub(super) fn lose_with_log(self: &Arc<Self>, tables: &[TableId]) -> Result<(), StorageError> {
        let tables: Vec<Arc<Table>> = tables.iter().map(|id| self.table(*id)).collect();
        let mut manifest = lock(&self.manifest);
        let alive: Vec<&Arc<Table>> = tables.iter().filter(|table| !table.state().dropped).collect();
        let of_table = |table: &&Arc<Table>| {
            let indexes = table.state().indexes;
            indexes.iter().map(|index| (Arc::clone(table), index.clone())).collect::<Vec<_>>()
        };
        let indexes: Vec<(Arc<Table>, Arc<TableIndex>)> =
            alive.iter().copied().flat_map(|table| of_table(&table)).collect();
        manifest.edit(|state| {
            for table in &alive {
                state.tables.entry(table.id).or_default().lost_with_log = true;
            }
            indexes.iter().for_each(|(_, index)| state.begin_index(index.definition.id));
            state.log_damage.clear();
        })?;
        for table in alive {
            let mut state = super::core::write(&table.state);
            if !state.lost.iter().any(|range| range.path == LOG_DIR) {
                let ranges = state.lost.iter().cloned().chain([lost_with_log(table.id)]);
                state.lost = Arc::new(ranges.collect());
            }
        }
        indexes.iter().for_each(|(table, index)| self.empty_index(table, index));
        drop(manifest);
        // With the damaged segments gone, the next start does not find the same damage again. Without room for that it
        // does, and marks the same tables once more.
        let flushed = flush_jobs(self, &self.all_tables()).into_iter().try_for_each(run);
        flushed.and_then(|()| self.discard_log()).or_else(|error| match error {
            StorageError::NoSpace(_) => Ok(()),
            error => Err(error),
        })
    }

    /// Says that these lost ranges have been rebuilt.
    pub(super) fn forget_lost(&self, rebuilt: &[LostRange]) -> Result<(), StorageError> {
        for id in rebuilt.iter().map(|range| range.table).collect::<BTreeSet<TableId>>() {
            let Some(table) = self.find_table(id) else { continue };
            let is_rebuilt = |path: &str| rebuilt.iter().any(|range| range.table == id && range.path == path);
            let mut manifest = lock(&self.manifest);
            let numbers = manifest.edit(|state| {
                let Some(listed) = state.tables.get_mut(&id) else { return Vec::new() };
                listed.lost_with_log &= !is_rebuilt(LOG_DIR);
                let gone = |number: u64, lost: bool| lost && is_rebuilt(&sstable_path(number));
                let files = listed.files.iter().filter(|(number, file)| gone(**number, file.lost));
                let numbers: Vec<u64> = files.map(|(number, _)| *number).collect();
                listed.files.retain(|number, file| !gone(*number, file.lost));
                numbers
            })?;
            let mut state = super::core::write(&table.state);
            let left = state.lost.iter().filter(|range| !is_rebuilt(&range.path)).cloned().collect();
            state.lost = Arc::new(left);
            drop(state);
            for number in numbers {
                // What is left of a damaged file; the next start removes it should this fail.
                let _ = self.disk.remove(&sstable_path(number));
            }
        }
        Ok(())
    }
}
