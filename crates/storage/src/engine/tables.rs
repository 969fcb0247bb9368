//! What happens to tables as wholes: drop, truncate, numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_model::{TableId, Timestamp};

use super::core::{Engine, Table, lock, write};
use crate::error::StorageError;
use crate::memtable::Memtable;
use crate::read::TableView;
use crate::sstable::SsTable;
use crate::stats::{StorageStats, TableStats};

impl Engine {
    pub(super) fn drop_table(&self, id: TableId) -> Result<(), StorageError> {
        // Held until all is gone, so that no index is made in the meantime.
        let mut manifest = lock(&self.manifest);
        self.table(id);
        let tables = self.with_indexes(id);
        manifest.edit(|state| tables.iter().for_each(|table| state.drop_table(table.id)))?;
        for table in tables {
            let view = {
                let mut state = write(&table.state);
                state.dropped = true;
                state.lost = Arc::default();
                state.indexes = Arc::default();
                let empty = TableView { memtables: Vec::new(), sstables: Vec::new(), truncated: None };
                std::mem::replace(&mut state.view, Arc::new(empty))
            };
            view.sstables.iter().for_each(|file| file.retire());
            let freed: u64 = view.memtables.iter().map(|memtable| memtable.bytes()).sum();
            self.memtable_bytes.fetch_sub(freed, Ordering::Relaxed);
        }
        drop(manifest);
        self.discard_log()
    }

    /// The table, and the hidden tables of its indexes.
    pub(super) fn with_indexes(&self, id: TableId) -> Vec<Arc<Table>> {
        let Some(table) = self.find_table(id) else { return Vec::new() };
        let indexes = table.state().indexes;
        std::iter::once(table).chain(indexes.iter().map(|index| index.table.clone())).collect()
    }

    pub(super) fn truncate(&self, id: TableId, up_to: Timestamp) -> Result<(), StorageError> {
        self.truncate_one(&self.table(id), up_to)?;
        // Their entries have the timestamps of what they tell of. Should this fail, they are wrong hints.
        self.with_indexes(id).iter().skip(1).try_for_each(|index| self.truncate_one(index, up_to))
    }

    fn truncate_one(&self, table: &Arc<Table>, up_to: Timestamp) -> Result<(), StorageError> {
        let id = table.id;
        let mut gone: Vec<Arc<SsTable>> = Vec::new();
        {
            let mut manifest = lock(&self.manifest);
            let view = table.view();
            if table.state().dropped || view.truncated >= Some(up_to) {
                return Ok(());
            }
            let covered = |file: &Arc<SsTable>| file.stats.timestamp_max <= up_to.0;
            gone.extend(view.sstables.iter().filter(|file| covered(file)).cloned());
            manifest.edit(|state| {
                let listed = state.tables.entry(id).or_default();
                listed.truncated = listed.truncated.max(Some(up_to));
                gone.iter().for_each(|file| {
                    listed.files.remove(&file.number);
                });
            })?;
            let mut state = write(&table.state);
            let mut view = (*state.view).clone();
            view.truncated = Some(up_to);
            view.sstables.retain(|file| !covered(file));
            state.view = Arc::new(view);
        }
        gone.iter().for_each(|file| file.retire());
        Ok(())
    }

    pub(super) fn load_bytes(&self) -> u64 {
        let of_view = |view: &TableView| {
            view.sstables.iter().map(|file| file.bytes).sum::<u64>()
                + view.memtables.iter().map(|memtable| memtable.bytes()).sum::<u64>()
        };
        self.all_tables().iter().map(|table| of_view(&table.view())).sum()
    }

    pub(super) fn stats(&self) -> StorageStats {
        let mut stats = StorageStats {
            memtable_bytes: self.memtable_bytes.load(Ordering::Relaxed),
            log_bytes: self.log.get().map_or(0, |log| log.size()),
            cache_bytes: self.context.cache.bytes(),
            flushes: self.counters.flushes.load(Ordering::Relaxed),
            compactions: self.counters.compactions.load(Ordering::Relaxed),
            compaction_bytes: self.counters.compaction_bytes.load(Ordering::Relaxed),
            job_failures: self.counters.job_failures.load(Ordering::Relaxed),
            writes_refused: self.counters.writes_refused.load(Ordering::Relaxed),
            corruptions: self.counters.corruptions.load(Ordering::Relaxed),
            ..StorageStats::default()
        };
        (stats.cache_hits, stats.cache_misses) = self.context.cache.counts();
        for table in self.all_tables() {
            let state = table.state();
            if state.dropped {
                continue;
            }
            let is_index = table.is_index;
            let mut of_table = TableStats { memtable_bytes: table.memtable_bytes(), ..TableStats::default() };
            for file in &state.view.sstables {
                of_table.sstables += 1;
                of_table.sstable_bytes += file.bytes;
                of_table.resident_bytes += file.memory_size();
                of_table.partitions += file.stats.partitions;
                of_table.rows += file.stats.rows;
                of_table.tombstones += file.stats.tombstones;
            }
            stats.sstable_bytes += of_table.sstable_bytes;
            if !is_index {
                stats.tables.insert(table.id, of_table);
            }
        }
        stats
    }
}

/// Memtables that wait for their flush.
pub(super) fn frozen(view: &TableView) -> &[Arc<Memtable>] {
    view.memtables.get(1..).unwrap_or_default()
}
