//! Compaction: which files to merge, and merging them in steps.

pub(crate) mod merge;
pub mod picker;
