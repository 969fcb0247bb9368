//! Hints: mutations kept, durably, for replicas that did not answer.
//!
//! **Files.** `DIR/<node id>/<number in 16 hex digits>.hints`: segments of the framing that the commit log has
//! (`commit_log::framed`, kind 2, owner = the target), growing files of bounded size; and `DIR/<node id>/overflow`, the mark
//! that hints were dropped. A record's payload is the hint's creation time in seconds (i64, little-endian) and then the
//! mutation's encoding.
//!
//! **Use.** [`HintLog::append`] buffers, [`HintLog::sync`] makes durable: only then may a hint count for a write at `ANY`.
//! [`HintLog::read_batch`] reads what is durable, [`HintLog::advance`] drops whole segments that are delivered. The place
//! within a segment is not kept: after a restart up to one segment is delivered again, which is harmless, for hints carry
//! their own timestamps.
//!
//! **What is dropped** — beyond the limits, older than the window, or for want of room — is counted and leaves the
//! target's mark, durable with the next sync: its ranges miss writes and need repair. Damaged hints are stepped over, reported
//! with file and offset, and leave the mark too.
//!
//! **Failure.** As with the commit log: after a failed write or sync nothing more is taken, except that a full volume only
//! drops the hints that were being written.

mod overflow;
mod read;
mod recover;
mod write;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quorate_env::{Disk, DiskError, DiskFile};
use quorate_model::{NodeId, Seconds};

use crate::StorageError;
use crate::commit_log::framed::{
    RECORD_HEADER_BYTES, RECORDS_START, RecordKind, SEGMENT_BYTES_MAX, encode_record, framed_len, payload_check,
};
use crate::commit_log::{DamagedRange, create_dir_durably, lock};

const HINTS_KIND: u32 = 2;
/// What a segment's header promises: an end record, once another segment follows.
const ENDS_BY_RECORD: u32 = 1;
const CREATED_AT_BYTES: usize = 8;

/// Bounds of a hint log.
#[derive(Clone, Debug)]
pub struct HintLimits {
    /// A segment ends when it reaches this size. Also what one read takes from disk at most, a greater hint aside.
    pub segment_bytes: u64,
    /// Bytes kept for one target.
    pub target_bytes_max: u64,
    /// Bytes appended and not yet synced, over all targets.
    pub unsynced_bytes_max: u64,
    /// Hints older than this are dropped by [`HintLog::expire`] (Cassandra's `max_hint_window`).
    pub window_seconds: i64,
}

impl Default for HintLimits {
    fn default() -> Self {
        Self {
            segment_bytes: 4 << 20,
            target_bytes_max: 4 << 30,
            unsynced_bytes_max: 32 << 20,
            window_seconds: 3 * 60 * 60,
        }
    }
}

/// A place in one target's hints; the default is their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HintPosition {
    /// The segment's number.
    pub segment: u64,
    /// Byte offset within it.
    pub offset: u64,
}

/// A mutation that a replica missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// When it was written.
    pub created_at: Seconds,
    /// The mutation's encoding.
    pub mutation: Bytes,
}

/// Hints read in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HintBatch {
    /// The hints with their places.
    pub hints: Vec<(HintPosition, Hint)>,
    /// Where to read on, and what to [advance](HintLog::advance) to when all are delivered. Equal to the cursor that was
    /// given: there is nothing more.
    pub next: HintPosition,
    /// Damaged places that were stepped over.
    pub damaged: Vec<DamagedRange>,
}

/// What waits for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingHints {
    /// Durable and buffered hints, those of partly delivered segments included.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was written.
    pub oldest: Option<Seconds>,
    /// Hints that were dropped (or damaged places): more than zero means that the target misses writes for good.
    pub dropped: u64,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HintOpenReport {
    /// Hints that wait.
    pub hints: u64,
    /// Places where durable hints are gone.
    pub damaged: Vec<DamagedRange>,
    /// Writes that had not ended when the process or the power died.
    pub torn: u64,
}

/// The segment that is being written for each target.
type OpenFiles = BTreeMap<NodeId, (u64, Arc<dyn DiskFile>)>;

/// The hints of all targets. Shared.
pub struct HintLog {
    disk: Arc<dyn Disk>,
    dir: String,
    limits: HintLimits,
    state: Mutex<State>,
    /// Open files of the segments that are being written. Held for as long as files are changed.
    writer: Mutex<OpenFiles>,
}

#[derive(Default)]
struct State {
    targets: BTreeMap<NodeId, Target>,
    unsynced_bytes: u64,
    poisoned: Option<String>,
}

struct Target {
    dir: String,
    /// Durable segments.
    segments: BTreeMap<u64, Summary>,
    /// Where the next hint goes.
    position: HintPosition,
    waiting: VecDeque<Chunk>,
    dropped: u64,
    mark_is_unsaved: bool,
}

struct Chunk {
    start: HintPosition,
    bytes: Vec<u8>,
    summary: Summary,
}

/// What a segment, or a part of one, holds.
#[derive(Clone, Copy, Default)]
struct Summary {
    end: u64,
    count: u64,
    bytes: u64,
    oldest: Option<Seconds>,
    newest: Option<Seconds>,
}

impl HintLog {
    /// Opens or creates the log in a directory.
    pub fn open(disk: Arc<dyn Disk>, dir: &str, limits: HintLimits) -> Result<(Self, HintOpenReport), StorageError> {
        if limits.segment_bytes > SEGMENT_BYTES_MAX {
            return Err(StorageError::Invalid(format!("a hint segment has at most {SEGMENT_BYTES_MAX} bytes")));
        }
        create_dir_durably(&disk, dir)?;
        let mut state = State::default();
        let mut report = HintOpenReport::default();
        for name in disk.list(dir)? {
            let Some(node) = name.strip_suffix('/').and_then(NodeId::parse) else { continue };
            let target = recover::target(&disk, &target_dir(dir, node), node, &mut report)?;
            state.targets.insert(node, target);
        }
        let dir = dir.to_owned();
        Ok((Self { disk, dir, limits, state: Mutex::new(state), writer: Mutex::default() }, report))
    }

    /// Keeps a hint, not durably yet. A hint beyond the limits is refused, counted, and leaves the target's mark.
    pub fn append(&self, target: NodeId, created_at: Seconds, mutation: &Bytes) -> Result<(), StorageError> {
        let mut payload = Vec::with_capacity(CREATED_AT_BYTES + mutation.len());
        payload.extend_from_slice(&created_at.0.to_le_bytes());
        payload.extend_from_slice(mutation);
        let check = payload_check(&payload);
        let framed = framed_len(payload.len() as u64);

        let mut state = lock(&self.state);
        state.refuse_if_poisoned()?;
        let unsynced = state.unsynced_bytes;
        let dir = &self.dir;
        let entry = state.targets.entry(target).or_insert_with(|| Target::new(target_dir(dir, target)));
        let kept = entry.pending().bytes;
        let refusal = if framed > self.limits.target_bytes_max.min(SEGMENT_BYTES_MAX / 2).saturating_sub(kept) {
            Some(("the hints of one node", kept, self.limits.target_bytes_max))
        } else if framed > self.limits.unsynced_bytes_max.saturating_sub(unsynced) {
            Some(("the hints' buffer", unsynced, self.limits.unsynced_bytes_max))
        } else {
            None
        };
        if let Some((what, used, limit)) = refusal {
            entry.mark(1);
            return Err(StorageError::Overloaded { what, used, limit });
        }
        if entry.position.offset > RECORDS_START && entry.position.offset + framed > self.limits.segment_bytes {
            entry.end_segment();
            state.unsynced_bytes += RECORD_HEADER_BYTES;
        }
        let Some(entry) = state.targets.get_mut(&target) else { return Ok(()) };
        entry.frame((&payload, check), framed, created_at);
        state.unsynced_bytes += framed;
        Ok(())
    }

    /// Makes every hint that was appended, and every mark, durable. Blocks.
    pub fn sync(&self) -> Result<(), StorageError> {
        let mut files = lock(&self.writer);
        let targets: Vec<NodeId> = {
            let state = lock(&self.state);
            state.refuse_if_poisoned()?;
            let dirty = |target: &Target| !target.waiting.is_empty() || target.mark_is_unsaved;
            state.targets.iter().filter(|(_, target)| dirty(target)).map(|(node, _)| *node).collect()
        };
        let mut no_space = None;
        for node in targets {
            match self.sync_target(node, &mut files) {
                Err(error) if error.is_no_space() => no_space = Some(error),
                Err(error) => return Err(lock(&self.state).poison(&error)),
                Ok(()) => {}
            }
        }
        no_space.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Reads durable hints from a cursor on: at least one if there is any, else as many as fit the bytes.
    pub fn read_batch(&self, target: NodeId, cursor: HintPosition, bytes_max: u64) -> Result<HintBatch, StorageError> {
        // Files are neither removed nor cut while this is held.
        let _writer = lock(&self.writer);
        let mut batch = HintBatch { next: cursor, ..HintBatch::default() };
        let mut used = 0;
        loop {
            let found = {
                let state = lock(&self.state);
                let Some(entry) = state.targets.get(&target) else { return Ok(batch) };
                let mut ahead =
                    entry.segments.range(batch.next.segment..).map(|(segment, summary)| (*segment, summary.end));
                let unread = ahead.find(|(segment, end)| *segment > batch.next.segment || batch.next.offset < *end);
                unread.map(|(segment, end)| (entry.dir.clone(), segment, end))
            };
            let Some((dir, segment, end)) = found else { return Ok(batch) };
            if segment != batch.next.segment {
                batch.next = HintPosition { segment, offset: RECORDS_START };
            }
            batch.next.offset = batch.next.offset.max(RECORDS_START).next_multiple_of(8);
            if self.read_segment(&segment_path(&dir, segment), end, bytes_max, &mut used, &mut batch)? {
                return Ok(batch);
            }
        }
    }

    /// Everything before the cursor is delivered: drops the segments that are so as a whole.
    pub fn advance(&self, target: NodeId, cursor: HintPosition) -> Result<(), StorageError> {
        let mut files = lock(&self.writer);
        let done: Vec<(String, u64)> = {
            let mut state = lock(&self.state);
            let Some(entry) = state.targets.get_mut(&target) else { return Ok(()) };
            let waiting = entry.waiting.front().map(|chunk| chunk.start.segment);
            let delivered = |segment: u64, summary: &Summary| {
                segment < cursor.segment
                    || segment == cursor.segment && cursor.offset >= summary.end && waiting != Some(segment)
            };
            let done = entry.segments.iter().filter(|(segment, summary)| delivered(**segment, summary));
            let done: Vec<u64> = done.map(|(segment, _)| *segment).collect();
            if done.contains(&entry.position.segment) {
                entry.next_segment();
            }
            done.into_iter().map(|segment| (segment_path(&entry.dir, segment), segment)).collect()
        };
        self.remove_segments(target, &done, &mut files)
    }

    /// Drops the segments whose hints are all older than the window, and marks their targets. Returns how many hints went.
    pub fn expire(&self, now: Seconds) -> Result<u64, StorageError> {
        let mut files = lock(&self.writer);
        let horizon = Seconds(now.0.saturating_sub(self.limits.window_seconds));
        let targets: Vec<NodeId> = lock(&self.state).targets.keys().copied().collect();
        let mut hints = 0;
        for node in targets {
            let old: Vec<(String, u64)> = {
                let mut state = lock(&self.state);
                let Some(entry) = state.targets.get_mut(&node) else { continue };
                let waiting = entry.waiting.front().map(|chunk| chunk.start.segment);
                let old = |segment: u64, summary: &Summary| {
                    summary.newest.is_some_and(|newest| newest < horizon) && waiting != Some(segment)
                };
                let old: Vec<(u64, u64)> = entry
                    .segments
                    .iter()
                    .filter(|(segment, summary)| old(**segment, summary))
                    .map(|(segment, summary)| (*segment, summary.count))
                    .collect();
                if old.iter().any(|(segment, _)| *segment == entry.position.segment) {
                    entry.next_segment();
                }
                let count: u64 = old.iter().map(|(_, count)| count).sum();
                if count > 0 {
                    entry.mark(count);
                }
                hints += count;
                old.into_iter().map(|(segment, _)| (segment_path(&entry.dir, segment), segment)).collect()
            };
            if !old.is_empty() {
                // The mark is durable before what it speaks of is gone.
                self.save_mark(node)?;
                self.remove_segments(node, &old, &mut files)?;
            }
        }
        Ok(hints)
    }

    /// What waits for a target.
    pub fn pending(&self, target: NodeId) -> PendingHints {
        lock(&self.state).targets.get(&target).map(Target::pending).unwrap_or_default()
    }

    /// All targets with hints or a mark.
    pub fn targets(&self) -> Vec<NodeId> {
        let state = lock(&self.state);
        let some = |target: &Target| target.pending() != PendingHints::default();
        state.targets.iter().filter(|(_, target)| some(target)).map(|(node, _)| *node).collect()
    }

    /// Takes the mark off: the target's ranges were repaired.
    pub fn clear_mark(&self, target: NodeId) -> Result<(), StorageError> {
        let _writer = lock(&self.writer);
        if let Some(entry) = lock(&self.state).targets.get_mut(&target) {
            entry.dropped = 0;
            entry.mark_is_unsaved = true;
        }
        Ok(self.save_mark(target)?)
    }

    /// Forgets a target and everything kept for it.
    pub fn drop_target(&self, target: NodeId) -> Result<(), StorageError> {
        let mut files = lock(&self.writer);
        files.remove(&target);
        let dir = target_dir(&self.dir, target);
        {
            let mut state = lock(&self.state);
            let Some(entry) = state.targets.remove(&target) else { return Ok(()) };
            let waiting: u64 = entry.waiting.iter().map(|chunk| chunk.bytes.len() as u64).sum();
            state.unsynced_bytes = state.unsynced_bytes.saturating_sub(waiting);
        }
        match self.disk.list(&dir) {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(names) => {
                for name in names {
                    self.disk.remove(&format!("{dir}/{name}"))?;
                }
            }
        }
        self.disk.sync_dir(&dir)?;
        self.disk.remove_dir(&dir)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(())
    }

    fn remove_segments(
        &self,
        node: NodeId,
        segments: &[(String, u64)],
        files: &mut OpenFiles,
    ) -> Result<(), StorageError> {
        for (path, segment) in segments {
            if files.get(&node).is_some_and(|(open, _)| open == segment) {
                files.remove(&node);
            }
            // Not synced: a name that comes back after a power loss is delivered again.
            self.disk.remove(path)?;
            if let Some(entry) = lock(&self.state).targets.get_mut(&node) {
                entry.segments.remove(segment);
            }
        }
        Ok(())
    }
}

impl State {
    fn refuse_if_poisoned(&self) -> Result<(), StorageError> {
        self.poisoned.as_ref().map_or(Ok(()), |cause| Err(StorageError::Poisoned(cause.clone())))
    }

    fn poison(&mut self, error: &DiskError) -> StorageError {
        let cause = self.poisoned.get_or_insert_with(|| error.to_string()).clone();
        for target in self.targets.values_mut() {
            target.waiting.clear();
        }
        self.unsynced_bytes = 0;
        StorageError::Poisoned(cause)
    }
}

impl Target {
    fn new(dir: String) -> Self {
        let position = HintPosition { segment: 1, offset: RECORDS_START };
        Self { dir, segments: BTreeMap::new(), position, waiting: VecDeque::new(), dropped: 0, mark_is_unsaved: false }
    }

    fn mark(&mut self, hints: u64) {
        self.dropped = self.dropped.saturating_add(hints);
        self.mark_is_unsaved = true;
    }

    fn next_segment(&mut self) {
        self.position = HintPosition { segment: self.position.segment + 1, offset: RECORDS_START };
    }

    /// Goes to the next segment, and says so in the present one.
    fn end_segment(&mut self) {
        self.encode(RecordKind::End, (&[], payload_check(&[])), RECORD_HEADER_BYTES);
        self.next_segment();
    }

    fn frame(&mut self, payload: (&[u8], u32), framed: u64, created_at: Seconds) {
        self.encode(RecordKind::Data, payload, framed);
        if let Some(chunk) = self.waiting.back_mut() {
            chunk.summary.add(payload.0.len() as u64, created_at);
        }
    }

    fn encode(&mut self, kind: RecordKind, payload: (&[u8], u32), framed: u64) {
        let position = self.position;
        if self.waiting.back().is_none_or(|chunk| chunk.start.segment != position.segment) {
            self.waiting.push_back(Chunk { start: position, bytes: Vec::new(), summary: Summary::default() });
        }
        if let Some(chunk) = self.waiting.back_mut() {
            let place = (position.segment, position.offset, chunk.start.offset);
            encode_record(&mut chunk.bytes, place, kind, payload);
        }
        self.position.offset += framed;
    }

    fn pending(&self) -> PendingHints {
        let mut all = Summary::default();
        self.segments.values().chain(self.waiting.iter().map(|chunk| &chunk.summary)).for_each(|part| all.merge(part));
        PendingHints { count: all.count, bytes: all.bytes, oldest: all.oldest, dropped: self.dropped }
    }
}

impl Summary {
    fn add(&mut self, bytes: u64, created_at: Seconds) {
        self.merge(&Self { end: 0, count: 1, bytes, oldest: Some(created_at), newest: Some(created_at) });
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        self.newest = self.newest.max(other.newest);
    }
}

fn target_dir(dir: &str, node: NodeId) -> String {
    format!("{dir}/{node}")
}

fn segment_path(dir: &str, segment: u64) -> String {
    format!("{dir}/{segment:016x}.hints")
}

/// The creation time in a payload; zero if it is too short to have one.
fn created_at(payload: &[u8]) -> Seconds {
    let bytes = payload.get(..CREATED_AT_BYTES).and_then(|bytes| bytes.try_into().ok());
    Seconds(bytes.map_or(0, i64::from_le_bytes))
}

#[cfg(test)]
mod tests;
