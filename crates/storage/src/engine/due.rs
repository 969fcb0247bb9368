//! What should be done now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_model::Seconds;

use super::core::{Engine, Table, lock};
use super::job::{StorageJob, Work, claim_frozen};
use super::tables::frozen;
use crate::compaction::merge::{MergeSettings, TableMerge};
use crate::compaction::picker::{FileSummary, PickLimits, pick, pick_major};
use crate::index::build::IndexBuild;
use crate::limits::{COMPACTION_INPUTS_MAX, FROZEN_MEMTABLES_MAX, INDEX_EXPIRY_SLACK_SECONDS};
use crate::sstable::SsTable;

/// Jobs that are due.
pub(super) fn due_jobs(engine: &Arc<Engine>, now: Seconds) -> Vec<StorageJob> {
    engine.now.store(now.0, Ordering::Relaxed);
    let available = engine.look_at_space();
    let ready: Vec<Arc<Table>> = engine
        .all_tables()
        .into_iter()
        .filter(|table| lock(&table.claims).retry_at.is_none_or(|retry_at| now >= retry_at))
        .collect();
    let mut jobs = claim_frozen(engine, &ready);
    if let Some(table) = to_flush(engine, &ready) {
        table.freeze(engine.options.memtable_shards);
        jobs.extend(claim_frozen(engine, &[table]));
    }
    if let Some(log) = engine.log.get()
        && log.wants_segment()
        && !engine.preparing_log.swap(true, Ordering::Relaxed)
    {
        jobs.push(StorageJob::new(engine, None, Work::PrepareLog));
    }
    for table in &ready {
        jobs.extend(index_builds(engine, table));
    }
    for table in ready.iter().filter(|table| table.settings().auto_compaction) {
        if engine.compactions_running.load(Ordering::Relaxed) >= engine.options.compactions_at_once as u64 {
            break;
        }
        jobs.extend(compaction(engine, table, available, false));
    }
    jobs
}

/// The table whose memtable should be flushed: the one with the oldest write if the log is long, the largest one if memory
/// is used up.
fn to_flush(engine: &Engine, tables: &[Arc<Table>]) -> Option<Arc<Table>> {
    let flushable = tables.iter().filter(|table| table.view().memtables.len() <= FROZEN_MEMTABLES_MAX);
    if engine.log.get().is_some_and(|log| log.size() >= engine.options.log_flush_bytes)
        && let Some(oldest) = flushable.clone().filter(|table| table.lowest().is_some()).min_by_key(|t| t.lowest())
    {
        return Some(oldest.clone());
    }
    let waiting = |table: &Arc<Table>| frozen(&table.view()).iter().map(|memtable| memtable.bytes()).sum::<u64>();
    let waiting: u64 = tables.iter().map(waiting).sum();
    let active = engine.memtable_bytes.load(Ordering::Relaxed).saturating_sub(waiting);
    if active < engine.options.memtable_flush_bytes {
        return None;
    }
    flushable.max_by_key(|table| table.view().memtables.first().map_or(0, |memtable| memtable.bytes())).cloned()
}

/// A compaction of all of a table's files that are free.
pub(super) fn major(engine: &Arc<Engine>, table: &Arc<Table>) -> Option<StorageJob> {
    let available = engine.look_at_space();
    compaction(engine, table, available, true)
}

/// The building of a table's indexes that are not built.
pub(super) fn index_builds(engine: &Arc<Engine>, table: &Arc<Table>) -> Vec<StorageJob> {
    let indexes = table.state().indexes;
    let wanted = indexes.iter().filter(|index| !index.is_built() && index.claim());
    let jobs = wanted.map(|index| {
        let from = engine.index_progress(table.id, index.definition.id);
        let work = Work::BuildIndex(IndexBuild::new(table.clone(), index.clone(), from));
        StorageJob::new(engine, Some(&index.table), work)
    });
    jobs.collect()
}

fn compaction(engine: &Arc<Engine>, table: &Arc<Table>, available: Option<u64>, major: bool) -> Option<StorageJob> {
    let options = &engine.options;
    let view = table.view();
    let mut claims = lock(&table.claims);
    let free = |file: &&Arc<SsTable>| !claims.compacting.contains(&file.number) && !file.is_corrupt();
    let summaries: Vec<FileSummary> = view.sstables.iter().filter(free).map(|file| summary(file)).collect();
    // The output is at most as large as the inputs; half a reserve stays for flushes and the log.
    let room = available.unwrap_or(u64::MAX).saturating_sub(options.space_reserve_bytes / 2);
    let chosen = if major {
        pick_major(&summaries, room)
    } else {
        let mut settings = table.settings().compaction;
        settings.files_max = settings.files_max.min(COMPACTION_INPUTS_MAX);
        let limits = PickLimits {
            base_bytes: options.memtable_flush_bytes,
            input_bytes_max: options.compaction_input_bytes_max.min(room),
        };
        pick(&summaries, &settings, limits)
    }?;
    let inputs: Vec<Arc<SsTable>> =
        view.sstables.iter().filter(|file| chosen.contains(&file.number)).cloned().collect();
    claims.compacting.extend(chosen);
    engine.compactions_running.fetch_add(1, Ordering::Relaxed);
    // An entry that comes back for want of its tombstone is a hint like any other.
    let is_whole = table.is_index && inputs.len() == view.sstables.len();
    let now = engine.now.load(Ordering::Relaxed);
    let settings = MergeSettings {
        writer: engine.writer_settings(table),
        truncated: view.truncated,
        output_bytes_max: options.sstable_bytes_max,
        purge_before: is_whole.then(|| Seconds(now.saturating_sub(INDEX_EXPIRY_SLACK_SECONDS))),
    };
    let merge = TableMerge::new(engine.disk.clone(), &inputs, settings);
    let work = Work::Compaction { inputs, merge: Box::new(merge), major };
    Some(StorageJob::new(engine, Some(table), work))
}

fn summary(file: &SsTable) -> FileSummary {
    FileSummary {
        number: file.number,
        bytes: file.bytes,
        first: file.stats.first.token.0,
        last: file.stats.last.token.0,
    }
}
