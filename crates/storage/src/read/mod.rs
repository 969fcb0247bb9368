//! Reads: memtables and SSTables merged lazily, row by row.

mod live;
mod merge;
mod partition;
mod scan;

pub(crate) use live::read_live;
pub(crate) use merge::{MergedRow, RowMerger, RowSource};
pub(crate) use scan::{Execution, execute};

use std::sync::Arc;

use quorate_model::Timestamp;

use crate::memtable::Memtable;
use crate::sstable::SsTable;

/// What serves one table's reads at one moment.
#[derive(Clone)]
pub(crate) struct TableView {
    /// The memtable that takes writes, then those that wait to be flushed.
    pub(crate) memtables: Vec<Arc<Memtable>>,
    /// Files by greatest timestamp, newest first.
    pub(crate) sstables: Vec<Arc<SsTable>>,
    /// Everything up to this timestamp is gone.
    pub(crate) truncated: Option<Timestamp>,
}
