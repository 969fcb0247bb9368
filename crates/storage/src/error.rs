//! What storage can fail of. Errors carry the file, the offset and the rule that was broken.

use quorate_env::DiskError;
use quorate_env::disk::DiskErrorKind;

/// Bytes on disk that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is corrupt at byte {offset}: {problem}")]
pub struct CorruptionError {
    /// The file, relative to the data directory.
    pub path: String,
    /// Offset in the file of the block, record or field.
    pub offset: u64,
    /// The rule that was broken, with expected and found where they say something.
    pub problem: String,
}

/// Why storage refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The disk failed.
    #[error(transparent)]
    Disk(DiskError),
    /// The volume is full, or so nearly that only compaction and deletion may still write. Nothing was done.
    #[error("no space for writes: {0}")]
    NoSpace(String),
    /// Memory or log has reached its bound; nothing was done. Try again when a flush has ended.
    #[error("storage is overloaded: {what} holds {used} of at most {limit} bytes")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// Bytes in use.
        used: u64,
        /// The bound.
        limit: u64,
    },
    /// An earlier sync failed: what is on disk is not known any more, so nothing is written until the process restarts.
    #[error("storage takes no more writes since {0}")]
    Poisoned(String),
    /// Damaged bytes.
    #[error(transparent)]
    Corrupt(#[from] CorruptionError),
    /// A request that breaks a rule, named.
    #[error("invalid storage request: {0}")]
    Invalid(String),
}

impl From<DiskError> for StorageError {
    fn from(error: DiskError) -> Self {
        match error.kind {
            DiskErrorKind::NoSpace => Self::NoSpace(error.to_string()),
            _ => Self::Disk(error),
        }
    }
}

impl From<ReadError> for StorageError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corruption) => Self::Corrupt(corruption),
            ReadError::Disk(disk) => disk.into(),
            ReadError::IndexUnavailable(reason) => Self::Invalid(reason),
            ReadError::NeedsDisk => Self::Invalid("a job may not be limited to memory".to_owned()),
        }
    }
}

/// Why a read did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A block that is needed is not in memory, or the work is too much for in place: read again with `Access::Disk`,
    /// where blocking is fine.
    #[error("the answer is not in memory")]
    NeedsDisk,
    /// A block failed its checksum. Its file serves no more; the node must rebuild the range from peers.
    #[error(transparent)]
    Corrupt(#[from] CorruptionError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The index is not there, or not yet built.
    #[error("{0}")]
    IndexUnavailable(String),
}
