//! One process a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data directory {} is in use by {}: stop that process, or choose another directory",
        directory.display(), holder.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process, if it has written its number.
        holder: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock the data directory {}: {error}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// An exclusive lock on a data directory. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Locks a directory, which is created if it is missing.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io { directory: directory.to_owned(), error };
        std::fs::create_dir_all(directory).map_err(io)?;
        let path = directory.join("lock");
        // Not truncated: the holder's number stands in it.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = (&mut file).take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::InUse { directory: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDirLock::acquire(&directory.path().join("node")).unwrap();
        let refused = DataDirLock::acquire(&directory.path().join("node")).unwrap_err();
        assert!(refused.to_string().contains(&format!("in use by process {}:", std::process::id())), "{refused}");
        drop(first);
        DataDirLock::acquire(&directory.path().join("node")).unwrap();
    }
}
