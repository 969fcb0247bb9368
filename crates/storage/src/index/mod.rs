//! Secondary indexes: hidden tables of hints, kept beside their base table.
//!
//! **How one is kept.** Every mutation of the base table is read for indexed values as it is applied, from memory, from
//! the replayed log or from a peer alike, and an entry for each goes into the hidden table's memtable, with the cell's own
//! timestamp and expiry, before the mutation is visible. There is no log record of its own: the base mutation's is enough,
//! for a segment is kept until both memtables are flushed. Nothing is read before a write, and nothing removed by one: an
//! entry is a hint. **How one is searched.** A term's entries are read in the order of the base table's keys; each row is
//! then read from the base table, and given only if it has the term. What the row proves wrong for all time is removed on
//! the way. **How one begins.** What was there before the index is read through by a job, in steps that survive a crash;
//! until it has ended, searches are refused.
//!
//! Loss of a hidden table's file costs nothing but another build.

pub(crate) mod build;
pub(crate) mod entry;
pub(crate) mod search;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quorate_model::IndexDefinition;

use crate::engine::Table;

/// An index of a table.
pub(crate) struct TableIndex {
    pub(crate) definition: IndexDefinition,
    /// Its hidden table.
    pub(crate) table: Arc<Table>,
    built: AtomicBool,
    /// Whether a job builds it.
    building: AtomicBool,
    /// Grows when it is begun anew, so that a job of before does not say that it is built.
    generation: AtomicU64,
}

impl TableIndex {
    pub(crate) fn new(definition: IndexDefinition, table: Arc<Table>, built: bool) -> Self {
        let (built, building) = (AtomicBool::new(built), AtomicBool::new(false));
        Self { definition, table, built, building, generation: AtomicU64::new(0) }
    }

    /// Whether it has an entry for everything that is in the base table.
    pub(crate) fn is_built(&self) -> bool {
        self.built.load(Ordering::Acquire)
    }

    pub(crate) fn set_built(&self) {
        self.built.store(true, Ordering::Release);
    }

    /// It is begun anew.
    pub(crate) fn reset(&self) {
        self.built.store(false, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes it for a job; false if another has it.
    pub(crate) fn claim(&self) -> bool {
        !self.building.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn release(&self) {
        self.building.store(false, Ordering::Release);
    }
}
