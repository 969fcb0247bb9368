//! An open simulated file.

use std::sync::Weak;

use super::{Kind, SimDisk, State};
use crate::disk::{DiskError, DiskErrorKind, DiskFile};

/// A handle; dead after a crash or kill of its disk.
pub struct SimFile {
    pub(super) disk: Weak<SimDisk>,
    pub(super) path: String,
    pub(super) number: u64,
    pub(super) generation: u64,
    pub(super) writable: bool,
}

impl SimFile {
    fn operate<T>(
        &self,
        kind: Kind,
        operation: &str,
        body: impl FnOnce(&mut State) -> Result<T, DiskErrorKind>,
    ) -> Result<T, DiskError> {
        let Some(disk) = self.disk.upgrade() else {
            let problem = DiskErrorKind::Io("the disk is gone".to_owned());
            return Err(DiskError::new(operation, &self.path, problem));
        };
        let writes = matches!(kind, Kind::Write);
        let problem = if disk.lock().generation != self.generation {
            Some("the handle is of a process that has died")
        } else if writes && !self.writable {
            Some("the file is open for reading only")
        } else {
            None
        };
        match problem {
            Some(problem) => Err(DiskError::new(operation, &self.path, DiskErrorKind::Io(problem.to_owned()))),
            None => disk.operate(kind, operation, &self.path, body),
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.operate(Kind::Read, &format!("read at {offset}"), |state| {
            let bytes = state.inode(self.number).read(offset, buffer.len()).ok_or(DiskErrorKind::UnexpectedEnd)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.operate(Kind::Write, &format!("write at {offset}"), |state| {
            let len = state.inode(self.number).len();
            let end =
                offset.checked_add(bytes.len() as u64).filter(|end| *end < 1 << 40).ok_or(DiskErrorKind::NoSpace)?;
            state.resize(self.number, if bytes.is_empty() { len } else { len.max(end) })?;
            state.inode(self.number).write(offset, bytes);
            state.counters.bytes_written += bytes.len() as u64;
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.operate(Kind::Sync, "sync", |state| {
            if !state.options.lying_sync {
                state.inode(self.number).sync();
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.operate(Kind::Write, &format!("set length {len}"), |state| {
            if len >= 1 << 40 {
                return Err(DiskErrorKind::NoSpace);
            }
            state.resize(self.number, len)?;
            state.inode(self.number).set_len(len);
            Ok(())
        })
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.operate(Kind::Look, "measure", |state| Ok(state.inode(self.number).len()))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let Some(disk) = self.disk.upgrade() else { return };
        let mut state = disk.lock();
        if state.generation == self.generation
            && let Some(inode) = state.inodes.get_mut(&self.number)
        {
            inode.handles = inode.handles.saturating_sub(1);
        }
    }
}
