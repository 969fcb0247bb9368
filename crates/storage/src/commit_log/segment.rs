//! Segment files: made ready ahead of need, recycled when their records are in SSTables.

use std::sync::Arc;

use quorate_env::{Disk, DiskError, DiskFile, OpenMode};

use super::framed::SegmentHeader;
use super::{COMMIT_LOG_KIND, segment_path};

/// Bytes zero-filled with one write.
const FILL_BYTES: u64 = 1 << 20;

/// A segment that is durably there, empty, under its name.
pub(super) struct ReadySegment {
    pub segment: u64,
    pub file: Arc<dyn DiskFile>,
}

/// Makes segments and takes them back.
pub(super) struct SegmentPool {
    pub disk: Arc<dyn Disk>,
    pub dir: String,
    pub segment_bytes: u64,
    pub spares_max: usize,
    /// The number of the next segment to be made.
    pub next: u64,
    /// Made, not yet in use.
    pub ready: Option<ReadySegment>,
    /// Names of whole files that may become segments.
    pub spares: Vec<String>,
}

impl SegmentPool {
    /// Keeps the spare files that are whole, up to the bound, and removes the others.
    pub fn adopt_spares(&mut self, names: &[&str]) -> Result<(), DiskError> {
        let mut removed = false;
        for name in names {
            let path = format!("{}/{name}", self.dir);
            let len = self.disk.open(&path, OpenMode::Read)?.len()?;
            if len == self.segment_bytes && self.spares.len() < self.spares_max {
                self.spares.push(path);
            } else {
                self.disk.remove(&path)?;
                removed = true;
            }
        }
        if removed { self.disk.sync_dir(&self.dir) } else { Ok(()) }
    }

    /// The next segment; made now if it was not made before.
    pub fn take(&mut self) -> Result<ReadySegment, DiskError> {
        self.prepare()?;
        let ready = self.ready.take();
        ready.ok_or_else(|| unreachable_pool(&self.dir))
    }

    /// Makes the next segment, unless it is there. When this fails for want of room nothing has changed.
    pub fn prepare(&mut self) -> Result<(), DiskError> {
        if self.ready.is_some() {
            return Ok(());
        }
        if self.spares.is_empty() {
            let spare = format!("{}/{:016x}.spare", self.dir, self.next);
            if let Err(error) = self.fill(&spare) {
                // Half a file would hold the very space that is missing. If even removing fails, the next attempt does it.
                let _ = self.disk.remove(&spare);
                return Err(error);
            }
            self.spares.push(spare);
        }
        let Some(spare) = self.spares.last() else { return Err(unreachable_pool(&self.dir)) };
        // The new header is durable before the file has a segment's name: a named segment without one is damage.
        let promise = u32::try_from(self.segment_bytes).unwrap_or_default();
        let header = SegmentHeader { kind: COMMIT_LOG_KIND, segment: self.next, owner: [0; 16], promise };
        let file = self.disk.open(spare, OpenMode::ReadWrite)?;
        file.write_at(0, &header.encode())?;
        file.sync()?;
        let path = segment_path(&self.dir, self.next);
        self.disk.rename(spare, &path)?;
        self.spares.pop();
        self.disk.sync_dir(&self.dir)?;
        let file = self.disk.open(&path, OpenMode::ReadWrite)?;
        self.ready = Some(ReadySegment { segment: self.next, file });
        self.next += 1;
        Ok(())
    }

    /// Takes a segment whose records are not needed any more. Its old name is durably gone before the file may be used
    /// again.
    pub fn retire(&mut self, segment: u64, len: u64) -> Result<(), DiskError> {
        let path = segment_path(&self.dir, segment);
        if len == self.segment_bytes && self.spares.len() < self.spares_max {
            let spare = format!("{}/{segment:016x}.spare", self.dir);
            self.disk.rename(&path, &spare)?;
            self.disk.sync_dir(&self.dir)?;
            self.spares.push(spare);
            return Ok(());
        }
        self.disk.remove(&path)?;
        self.disk.sync_dir(&self.dir)
    }

    /// A new file of zeros: syncing writes into it later costs half of what it costs in a growing file.
    fn fill(&self, path: &str) -> Result<(), DiskError> {
        match self.disk.remove(path) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        let zeros = vec![0; FILL_BYTES.min(self.segment_bytes) as usize];
        let mut offset = 0;
        while offset < self.segment_bytes {
            let len = (self.segment_bytes - offset).min(zeros.len() as u64);
            file.write_at(offset, &zeros[..len as usize])?;
            offset += len;
        }
        file.sync()
    }
}

/// `prepare` has just succeeded, so this is a bug of ours; it must still not lose the caller's records.
fn unreachable_pool(dir: &str) -> DiskError {
    DiskError::new("prepare segment", dir, quorate_env::DiskErrorKind::Io("no segment was made ready".to_owned()))
}
