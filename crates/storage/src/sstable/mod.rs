//! SSTables: immutable files of partitions in token order.
//!
//! ```text
//!   +--------------+ 0
//!   | data block   |  partitions in (token, key) order, cut into fragments (see `block`)
//!   | ...          |
//!   +--------------+
//!   | index block  |  first (token, key, clustering) of each data block, and where it is (see `index`)
//!   | ...          |
//!   +--------------+
//!   | root         |  the same for index blocks; held in memory
//!   +--------------+
//!   | filter       |  blocked Bloom filter over partition keys; held in memory
//!   +--------------+
//!   | statistics   |  bounds and counts; held in memory
//!   +--------------+
//!   | footer, 64 B |  where the last three are (see `format`)
//!   +--------------+
//! ```
//!
//! Everything but the footer is a *frame* (see `format`): header, payload, CRC-32C over file number, offset and bytes.
//! A wide partition spans many data blocks; each has its own index entry with its first clustering key, so that one row
//! of any partition takes one index block and one data block, and one more for the partition's head.

mod block;
mod cursor;
mod filter;
mod format;
mod index;
mod reader;
mod stats;
mod writer;

pub(crate) use block::DataBlock;
pub(crate) use cursor::{BlockMode, KeyBound, RowCursor, TableCursor};
pub(crate) use index::IndexBlock;
pub(crate) use reader::{FileHandles, SsTable, SsTableContext};
pub use stats::SsTableStats;
pub(crate) use writer::{SsTableWriter, WriterSettings};
