//! The disk seam: blocking, whole-file handles, one directory tree a node.

use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reading only.
    Read,
    /// It must exist; reading and writing.
    ReadWrite,
    /// It must not exist; it is created empty, for reading and writing. The directory entry lasts after `sync_dir`.
    CreateNew,
}

/// Room on the volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the volume.
    pub total: u64,
    /// What may still be written.
    pub available: u64,
}

/// What a disk operation failed of. Every error names the operation and the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation} {path}: {kind}")]
pub struct DiskError {
    /// 'open', 'read at 4096', 'sync' and so on.
    pub operation: String,
    /// The path relative to the data directory.
    pub path: String,
    /// What happened.
    pub kind: DiskErrorKind,
}

/// Kinds of disk failure that callers tell apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskErrorKind {
    /// No such file or directory.
    #[error("it does not exist")]
    NotFound,
    /// `CreateNew` found a file.
    #[error("it exists already")]
    AlreadyExists,
    /// ENOSPC or EDQUOT.
    #[error("no space is left on the volume")]
    NoSpace,
    /// A read past the end of the file.
    #[error("the file ends before the requested bytes")]
    UnexpectedEnd,
    /// Everything else, with the system's text.
    #[error("{0}")]
    Io(String),
}

impl DiskError {
    /// An error of this kind.
    pub fn new(operation: impl Into<String>, path: &str, kind: DiskErrorKind) -> Self {
        Self { operation: operation.into(), path: path.to_owned(), kind }
    }

    /// Whether the volume is full, the one failure that mends itself.
    pub fn is_no_space(&self) -> bool {
        self.kind == DiskErrorKind::NoSpace
    }

    /// Whether the file or directory is missing.
    pub fn is_not_found(&self) -> bool {
        self.kind == DiskErrorKind::NotFound
    }
}

/// Refuses a path that could leave the data directory or that has two spellings: absolute ones, empty components, `.`
/// and `..`. The empty path is the data directory itself. Every [`Disk`] calls it first.
pub fn check_path(operation: &str, path: &str) -> Result<(), DiskError> {
    let sound = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
    if path.is_empty() || path.split('/').all(sound) {
        return Ok(());
    }
    let problem = "the path is not a plain relative one".to_owned();
    Err(DiskError::new(operation, path, DiskErrorKind::Io(problem)))
}

/// The directory that holds this file or directory; the empty path is the data directory.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// One node's data directory. Paths are relative, '/'-separated, without `..`.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &str, mode: OpenMode) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Renames a file over whatever is there; durable after `sync_dir` of both directories.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// A second name for the same file (snapshots); durable after `sync_dir`.
    fn hard_link(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&self, path: &str) -> Result<(), DiskError>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Creates a directory and its parents; fine if it exists. Durable after `sync_dir` of each parent.
    fn create_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Names of the files and directories in a directory, sorted; directories end with '/'.
    fn list(&self, path: &str) -> Result<Vec<String>, DiskError>;
    /// Makes a directory's entries durable.
    fn sync_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Room on the volume.
    fn space(&self) -> Result<Space, DiskError>;
}

/// An open file. Positioned I/O only; safe to use from several threads.
#[allow(clippy::len_without_is_empty)] // A length is an operation that can fail; nobody asks a file whether it is empty.
pub trait DiskFile: Send + Sync {
    /// Reads exactly `buffer.len()` bytes at the offset.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;
    /// Writes all bytes at the offset, extending the file if needed. Not durable until `sync`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Makes content and length durable (fdatasync). After an error nothing written since the last success may be
    /// assumed to be there, now or after a retry.
    fn sync(&self) -> Result<(), DiskError>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> Result<(), DiskError>;
    /// The file's length in bytes.
    fn len(&self) -> Result<u64, DiskError>;
}
