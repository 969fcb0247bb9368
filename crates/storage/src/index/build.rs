//! The building of an index over what its base table holds already.

use std::sync::Arc;

use quorate_model::{Position, ReadCommand, ReadTarget, Resume, RowChoice, Seconds, Token};

use super::TableIndex;
use crate::engine::{Access, Engine, Table};
use crate::error::{ReadError, StorageError};
use crate::limits::INDEX_BUILD_ROWS;

/// A building in progress.
pub(crate) struct IndexBuild {
    pub(crate) base: Arc<Table>,
    pub(crate) index: Arc<TableIndex>,
    generation: u64,
    /// Where it goes on; `None` at the beginning.
    from: Option<Resume>,
}

impl IndexBuild {
    /// Goes on where an earlier one had come to on disk.
    pub(crate) fn new(base: Arc<Table>, index: Arc<TableIndex>, from: Option<Resume>) -> Self {
        let generation = index.generation();
        Self { base, index, generation, from }
    }

    /// Reads some rows and gives them entries; whether all is done.
    pub(crate) fn step(&mut self, engine: &Arc<Engine>) -> Result<bool, StorageError> {
        let command = ReadCommand {
            table: self.base.id,
            target: ReadTarget::Range { after: None, last: Token::MAX, from: self.from.clone() },
            slices: vec![(Position::START, Position::END)],
            reversed: false,
            row_limit: INDEX_BUILD_ROWS,
            per_partition_limit: u32::MAX,
            byte_limit: u32::try_from(engine.options.job_step_bytes).unwrap_or(u32::MAX),
            now: Seconds(i64::MIN),
            rows: RowChoice::All,
        };
        // A new view each time: what was written after the index was made has its entries already.
        let answer = crate::read::execute(&self.base.view(), &command, Access::Disk).map_err(|error| {
            if matches!(error, ReadError::Corrupt(_)) {
                engine.quarantine(&self.base);
            }
            error
        })?;
        for (key, partition) in &answer.partitions {
            engine.index_stored(&self.index, key, partition);
        }
        self.from = answer.stopped_at;
        let done = self.from.is_none();
        // Entries are not logged: how far it has come counts only once they are in a file.
        if done || engine.wants_index_flush(&self.index) {
            engine.flush_index(&self.index)?;
            return engine.note_index_progress(&self.base, &self.index, self.generation, self.from.clone());
        }
        Ok(false)
    }
}
