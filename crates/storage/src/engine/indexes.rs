//! A table's indexes as wholes: made, given up, begun anew, searched.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use quorate_model::index::term_key;
use quorate_model::{
    DecoratedKey, Deletion, IndexDefinition, IndexSearch, Liveness, Partition, ReadCommand, ReadResponse, Resume, Row,
    Seconds, TableId,
};

use super::Access;
use super::core::{Engine, Table, lock, read, write};
use super::job::flush_jobs;
use crate::LogPosition;
use crate::error::{ReadError, StorageError};
use crate::index::TableIndex;
use crate::index::entry;
use crate::index::search::{Found, Refuted, Search, SearchFailure};
use crate::limits::INDEXES_PER_TABLE_MAX;
use crate::manifest::ManifestIndex;
use crate::memtable::Memtable;
use crate::read::TableView;

impl Engine {
    /// See [`crate::Storage::set_indexes`].
    pub(super) fn set_indexes(
        &self,
        id: TableId,
        definitions: &[IndexDefinition],
        version: u64,
    ) -> Result<(), StorageError> {
        if definitions.len() > INDEXES_PER_TABLE_MAX {
            let message = format!("a table has at most {INDEXES_PER_TABLE_MAX} indexes, not {}", definitions.len());
            return Err(StorageError::Invalid(message));
        }
        let base = self.table(id);
        let mut manifest = lock(&self.manifest);
        let state = base.state();
        if state.dropped || version < state.indexes_version {
            return Ok(());
        }
        let same = state.indexes.len() == definitions.len()
            && state.indexes.iter().all(|known| definitions.contains(&known.definition));
        if same {
            write(&base.state).indexes_version = version;
            return Ok(());
        }
        let kept = |known: &Arc<TableIndex>| definitions.contains(&known.definition);
        let gone: Vec<TableId> =
            state.indexes.iter().filter(|known| !kept(known)).map(|known| known.definition.id).collect();
        // A definition that changed, with its type, keeps its identity, and is begun anew.
        let ended = |id: &TableId| !definitions.iter().any(|definition| definition.id == *id);
        manifest.edit(|listed| {
            for gone in &gone {
                match ended(gone) {
                    true => listed.drop_table(*gone),
                    false => listed.tables.entry(*gone).or_default().files.clear(),
                }
            }
            let listed = listed.tables.entry(id).or_default();
            listed.indexes.retain(|known| definitions.contains(&known.definition));
            for definition in definitions {
                if !listed.indexes.iter().any(|known| known.definition == *definition) {
                    listed.indexes.push(ManifestIndex::new(definition.clone()));
                }
            }
        })?;
        let mut indexes: Vec<Arc<TableIndex>> = state.indexes.iter().filter(|known| kept(known)).cloned().collect();
        for definition in definitions {
            if !indexes.iter().any(|known| known.definition == *definition) {
                let table = self.index_table(definition.id);
                indexes.push(Arc::new(TableIndex::new(definition.clone(), table, false)));
            }
        }
        {
            // From here on every write gives it entries; what was written before is there for whoever builds it.
            let mut state = write(&base.state);
            state.indexes = Arc::new(indexes);
            state.indexes_version = version;
            for gone in &gone {
                self.empty_index_table(*gone, ended(gone));
            }
        }
        drop(manifest);
        self.discard_log()
    }

    /// The hidden table of an index, made if it is not there.
    fn index_table(&self, id: TableId) -> Arc<Table> {
        let mut tables = write(&self.tables);
        let made = || {
            let memtables = vec![Arc::new(Memtable::new(self.options.memtable_shards))];
            let view = TableView { memtables, sstables: Vec::new(), truncated: None };
            Arc::new(Table::new_index(id, view))
        };
        tables.entry(id).or_insert_with(made).clone()
    }

    /// Takes everything out of a hidden table. The manifest says so already.
    fn empty_index_table(&self, id: TableId, dropped: bool) {
        let Some(table) = self.find_table(id) else { return };
        let view = {
            let mut state = write(&table.state);
            state.dropped = dropped;
            let memtables = match dropped {
                true => Vec::new(),
                false => vec![Arc::new(Memtable::new(self.options.memtable_shards))],
            };
            let empty = TableView { memtables, sstables: Vec::new(), truncated: state.view.truncated };
            std::mem::replace(&mut state.view, Arc::new(empty))
        };
        view.sstables.iter().for_each(|file| file.retire());
        let freed: u64 = view.memtables.iter().map(|memtable| memtable.bytes()).sum();
        self.memtable_bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Begins an index anew: its hidden table lost something.
    pub(crate) fn reset_index(&self, base: &Table, index: &TableIndex) -> Result<(), StorageError> {
        let mut manifest = lock(&self.manifest);
        manifest.edit(|state| state.begin_index(index.definition.id))?;
        self.empty_index(base, index);
        Ok(())
    }

    /// Takes everything out of an index. The manifest, which is locked, says so already.
    pub(super) fn empty_index(&self, base: &Table, index: &TableIndex) {
        // Under the lock of the base table: who has put entries into what goes now has also written its row, for the
        // building to find.
        let state = write(&base.state);
        index.reset();
        self.empty_index_table(index.definition.id, false);
        drop(state);
    }

    /// Begins the index anew that has this hidden table.
    pub(super) fn reset_index_of(&self, hidden: &Table) {
        for base in self.all_tables() {
            let indexes = base.state().indexes;
            if let Some(index) = indexes.iter().find(|index| index.definition.id == hidden.id) {
                self.counters.corruptions.fetch_add(1, Ordering::Relaxed);
                // Should it fail, the next read finds the damage again.
                let _ = self.reset_index(&base, index);
                return;
            }
        }
    }

    /// Gives entries to what is stored already.
    pub(crate) fn index_stored(&self, index: &TableIndex, key: &DecoratedKey, partition: &Partition) {
        if let Some(log) = self.log.get() {
            self.insert_entries(log.position(), index, key, partition);
        }
    }

    /// Whether so much of an index is in memory that it is to be flushed before more is built.
    pub(crate) fn wants_index_flush(&self, index: &TableIndex) -> bool {
        index.table.memtable_bytes() >= self.options.memtable_flush_bytes / 4 || self.refuse_if_full().is_err()
    }

    /// Writes everything that an index has in memory, here and now.
    pub(crate) fn flush_index(self: &Arc<Self>, index: &TableIndex) -> Result<(), StorageError> {
        flush_jobs(self, std::slice::from_ref(&index.table))
            .into_iter()
            .try_for_each(|job| job.run_to_end().map(|_| ()))
    }

    /// Notes how far an index is built, durably: to the end if `from` is none. Returns whether its building has ended.
    pub(crate) fn note_index_progress(
        &self,
        base: &Table,
        index: &TableIndex,
        generation: u64,
        from: Option<Resume>,
    ) -> Result<bool, StorageError> {
        let mut manifest = lock(&self.manifest);
        if index.generation() != generation {
            // Begun anew meanwhile: another job does that.
            return Ok(true);
        }
        let built = from.is_none();
        let known = manifest.edit(|state| {
            let listed = state.tables.get_mut(&base.id)?;
            let known = listed.indexes.iter_mut().find(|known| known.definition == index.definition)?;
            known.built = built;
            known.from = from;
            Some(())
        })?;
        if built && known.is_some() {
            index.set_built();
        }
        Ok(built || known.is_none())
    }

    /// How far an index was built before a stop.
    pub(super) fn index_progress(&self, base: TableId, index: TableId) -> Option<Resume> {
        let manifest = lock(&self.manifest);
        let listed = &manifest.state().tables.get(&base)?.indexes;
        listed.iter().find(|known| known.definition.id == index)?.from.clone()
    }

    /// Puts a change's entries into the hidden tables.
    pub(super) fn insert_entries(
        &self,
        position: LogPosition,
        index: &TableIndex,
        key: &DecoratedKey,
        update: &Partition,
    ) {
        let expires = index.definition.entries_expire();
        for found in index.definition.entries(key, update) {
            self.insert_hidden(position, &index.table, &found.term, entry::update(key, &found, expires));
        }
    }

    fn insert_hidden(&self, position: LogPosition, hidden: &Table, term: &Bytes, update: Partition) {
        let state = read(&hidden.state);
        if let Some(active) = state.view.memtables.first() {
            let grown = active.apply(position, &term_key(term), &update);
            self.memtable_bytes.fetch_add(grown as u64, Ordering::Relaxed);
        }
    }

    /// Reads by an index.
    pub(super) fn search(
        &self,
        base: &Table,
        command: &ReadCommand,
        search: &IndexSearch,
        access: Access,
    ) -> Result<ReadResponse, ReadError> {
        let indexes = base.state().indexes;
        let index = indexes.iter().find(|index| index.definition.id == search.index);
        let Some(index) = index.filter(|index| index.is_built()) else {
            let state = if index.is_some() { "is being built" } else { "is not known" };
            return Err(ReadError::IndexUnavailable(format!("index {} {state} on this node", search.index)));
        };
        // The index before the base: an entry is there no later than its row.
        let index_view = index.table.view();
        let view = base.view();
        let asked = Search { base: &view, index: &index_view, definition: &index.definition, command, search, access };
        match asked.run() {
            Ok(Found { response, refuted }) => {
                self.remove_refuted(index, refuted);
                Ok(response)
            }
            Err(SearchFailure::Index(ReadError::Corrupt(_))) => {
                let _ = self.reset_index(base, index);
                Err(ReadError::IndexUnavailable(format!("index {} is damaged and will be built anew", search.index)))
            }
            Err(SearchFailure::Base(error @ ReadError::Corrupt(_))) => {
                self.quarantine(base);
                Err(error)
            }
            Err(SearchFailure::Index(error) | SearchFailure::Base(error)) => Err(error),
        }
    }

    /// Takes out entries that are wrong for ever. Not logged: should it be lost, the next read finds them again.
    fn remove_refuted(&self, index: &TableIndex, refuted: Vec<Refuted>) {
        let Some(log) = self.log.get().filter(|_| !refuted.is_empty() && self.refuse_if_full().is_ok()) else { return };
        let deleted_at = Seconds(self.now.load(Ordering::Relaxed));
        for Refuted { term, row, timestamp } in refuted {
            let deletion = Some(Deletion { timestamp, deleted_at });
            let mut update = Partition::default();
            update.rows.insert(row, Row { deletion, ..Row::default() });
            self.insert_hidden(log.position(), &index.table, &term, update);
        }
    }
}

/// Whether an entry's row marker has expired so long ago that nobody takes it for alive.
pub(crate) fn is_long_expired(liveness: &Liveness, before: Seconds) -> bool {
    liveness.expiry.is_some_and(|(expires_at, _)| expires_at < before)
}
