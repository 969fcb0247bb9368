//! Making hints and marks durable.

use std::sync::Arc;

use quorate_env::{DiskError, OpenMode};
use quorate_model::NodeId;

use super::{Chunk, ENDS_BY_RECORD, HINTS_KIND, HintLog, HintPosition, OpenFiles, overflow, segment_path, target_dir};
use crate::commit_log::framed::{RECORDS_START, SegmentEnd, SegmentHeader};
use crate::commit_log::replay::seal;
use crate::commit_log::{create_dir_durably, lock};

impl HintLog {
    pub(super) fn sync_target(&self, node: NodeId, files: &mut OpenFiles) -> Result<(), DiskError> {
        let mut waiting = match lock(&self.state).targets.get_mut(&node) {
            Some(entry) => std::mem::take(&mut entry.waiting),
            None => return Ok(()),
        };
        while let Some(chunk) = waiting.pop_front() {
            let result = self.write_chunk(node, &chunk, files);
            let mut state = lock(&self.state);
            state.unsynced_bytes = state.unsynced_bytes.saturating_sub(chunk.bytes.len() as u64);
            let Some(entry) = state.targets.get_mut(&node) else { return result };
            match &result {
                Ok(()) => {
                    let end = chunk.start.offset + chunk.bytes.len() as u64;
                    let summary = entry.segments.entry(chunk.start.segment).or_default();
                    summary.merge(&chunk.summary);
                    summary.end = end;
                }
                Err(error) if error.is_no_space() => {
                    // Dropped, with whatever waits behind in the same segment; the next hint begins a new one.
                    let mut rest: Vec<Chunk> = waiting.drain(..).collect();
                    rest.extend(entry.waiting.drain(..));
                    let bytes: u64 = rest.iter().map(|chunk| chunk.bytes.len() as u64).sum();
                    let count: u64 = rest.iter().map(|chunk| chunk.summary.count).sum();
                    entry.mark(count + chunk.summary.count);
                    entry.next_segment();
                    state.unsynced_bytes = state.unsynced_bytes.saturating_sub(bytes);
                    drop(state);
                    self.cut(node, chunk.start, files);
                    return result;
                }
                Err(_) => return result,
            }
        }
        self.save_mark(node)
    }

    fn write_chunk(&self, node: NodeId, chunk: &Chunk, files: &mut OpenFiles) -> Result<(), DiskError> {
        let dir = target_dir(&self.dir, node);
        let HintPosition { segment, offset } = chunk.start;
        if offset > RECORDS_START {
            let file = match files.get(&node) {
                Some((open, file)) if *open == segment => Arc::clone(file),
                _ => self.disk.open(&segment_path(&dir, segment), OpenMode::ReadWrite)?,
            };
            file.write_at(offset, &chunk.bytes)?;
            return file.sync();
        }
        create_dir_durably(&self.disk, &dir)?;
        let file = self.disk.open(&segment_path(&dir, segment), OpenMode::CreateNew)?;
        files.insert(node, (segment, Arc::clone(&file)));
        let mut bytes = SegmentHeader { kind: HINTS_KIND, segment, owner: node.0, promise: ENDS_BY_RECORD }.encode();
        bytes.truncate(RECORDS_START as usize);
        bytes.extend_from_slice(&chunk.bytes);
        file.write_at(0, &bytes)?;
        file.sync()?;
        self.disk.sync_dir(&dir)
    }

    /// After a write for which there was no room: the segment ends where it was durable.
    fn cut(&self, node: NodeId, start: HintPosition, files: &mut OpenFiles) {
        files.remove(&node);
        let path = segment_path(&target_dir(&self.dir, node), start.segment);
        // Best effort: what remains is no valid hint, and opening cuts it off again.
        if start.offset == RECORDS_START {
            let _ = self.disk.remove(&path);
        } else if let Ok(file) = self.disk.open(&path, OpenMode::ReadWrite) {
            let end = SegmentEnd::Open { offset: start.offset, traces: true };
            let _ = file.set_len(start.offset).and_then(|()| seal(&*file, start.segment, &[], start.offset, end));
        }
    }

    pub(super) fn save_mark(&self, node: NodeId) -> Result<(), DiskError> {
        let dropped = match lock(&self.state).targets.get(&node) {
            Some(entry) if entry.mark_is_unsaved => entry.dropped,
            _ => return Ok(()),
        };
        let dir = target_dir(&self.dir, node);
        create_dir_durably(&self.disk, &dir)?;
        overflow::save(&self.disk, &dir, dropped)?;
        if let Some(entry) = lock(&self.state).targets.get_mut(&node) {
            entry.mark_is_unsaved = entry.dropped != dropped;
        }
        Ok(())
    }
}
