//! The storage engine.

/// A place in the commit log: everything before it was appended earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The segment's number.
    pub segment: u64,
    /// Byte offset within it.
    pub offset: u64,
}

/// Why storage refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] quorate_env::DiskError),
}
