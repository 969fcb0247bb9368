//! The commit log: every write is here, synced, before anybody hears of it.
//!
//! **Files.** `DIR/<number in 16 hex digits>.log`, of one size, zero-filled ahead (it halves the cost of a sync);
//! `.spare` files wait to be used again. Numbers have no holes: a missing one is damage. `framed` has the bytes.
//!
//! **Appending** frames a record into a bounded buffer; [`CommitLog::sync`], called by one committer at a time, writes and
//! syncs all that waits; other threads append meanwhile. A *position* is where a record begins; the position that `sync`
//! returns is exclusive: every record whose position is less than it is durable.
//!
//! **Failure.** After a write or sync that failed nothing is known of the file, and the log takes nothing more until it is
//! opened again ([`StorageError::Poisoned`] with the first cause). Only one failure mends itself: no room for the *next*
//! segment. It is found before any byte of a record is written; what waits keeps waiting (its writers must be told
//! 'unknown', for a later sync may still make it durable), appends that would need the segment are refused with
//! [`StorageError::NoSpace`], and the next successful [`CommitLog::prepare`] or [`CommitLog::sync`] ends it. To find it
//! early, the owner calls `prepare` in the background whenever [`CommitLog::wants_segment`] says so.
//!
//! **Replay** delivers all that was durable and, of the last unfinished sync, the whole records before its first torn one.
//! Damage before that is never taken for the end: see [`ReplayReport`]. Replaying again delivers the same or, after new
//! writes, more.

pub(crate) mod framed;
pub(crate) mod replay;
mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_env::{Disk, DiskError, OpenMode};

use crate::StorageError;
use framed::{
    RECORD_HEADER_BYTES, RECORDS_START, RecordKind, SEGMENT_BYTES_MAX, encode_record, framed_len, payload_check,
};
pub use replay::{DamagedRange, ReplayReport, ReplaySink, TornTail};
use segment::{ReadySegment, SegmentPool};

const COMMIT_LOG_KIND: u32 = 1;
/// Smallest segment: a header's sector and room for some records.
const SEGMENT_BYTES_MIN: u64 = 2048;
/// A write buffer up to this size is kept for the next batch.
const BUFFER_KEPT_BYTES_MAX: usize = 1 << 20;

/// A place in the commit log: everything before it was appended earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The segment's number.
    pub segment: u64,
    /// Byte offset within it.
    pub offset: u64,
}

/// Sizes of a commit log.
#[derive(Clone, Debug)]
pub struct CommitLogOptions {
    /// Size of a segment. A record may take half of one.
    pub segment_bytes: u64,
    /// Records appended and not yet synced; beyond it appends are refused.
    pub unsynced_bytes_max: u64,
    /// Files kept for reuse.
    pub spares_max: usize,
    /// No segment gets a smaller number: whoever remembers positions elsewhere passes one more than the greatest, so
    /// that positions stay unique even if the log's directory was lost.
    pub segment_min: u64,
}

impl Default for CommitLogOptions {
    fn default() -> Self {
        Self { segment_bytes: 32 << 20, unsynced_bytes_max: 64 << 20, spares_max: 2, segment_min: 1 }
    }
}

/// An open commit log. Shared; see the module's words.
pub struct CommitLog {
    options: CommitLogOptions,
    state: Mutex<State>,
    committer: Mutex<ReadySegment>,
    pool: Mutex<SegmentPool>,
}

/// What appenders share. Locked for a copy at most.
struct State {
    /// Where the next record goes.
    position: LogPosition,
    /// Records that wait for a sync, in order.
    waiting: VecDeque<Chunk>,
    /// Bytes appended and not durable, those being synced included.
    unsynced_bytes: u64,
    /// Every record before it is durable.
    durable: LogPosition,
    /// Whether the segment after the current one is on disk.
    next_is_ready: bool,
    /// Why it could not be made.
    no_space: Option<DiskError>,
    /// Why nothing is taken any more.
    poisoned: Option<String>,
    /// Segments behind the active one, with their files' sizes.
    closed: BTreeMap<u64, u64>,
    /// Kept from the last batch.
    buffer: Vec<u8>,
}

/// Consecutive records of one segment that are written and synced together.
struct Chunk {
    start: LogPosition,
    bytes: Vec<u8>,
    ended: bool,
}

impl CommitLog {
    /// Opens or creates the log in a directory: replays what is there, then begins a new segment.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &str,
        options: CommitLogOptions,
        replay: &mut ReplaySink<'_>,
    ) -> Result<(Self, ReplayReport), StorageError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes)
            || !options.segment_bytes.is_multiple_of(512)
        {
            let problem = format!(
                "a commit log segment has {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes, a multiple of 512, not {}",
                options.segment_bytes
            );
            return Err(StorageError::Invalid(problem));
        }
        create_dir_durably(&disk, dir)?;
        let names = disk.list(dir)?;
        let segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        let mut replayer = replay::Replayer { disk: &disk, dir, sink: replay, report: ReplayReport::default() };
        replayer.run(&segments)?;
        let report = replayer.report;

        let next = segments.last().map_or(1, |last| last + 1).max(options.segment_min).max(1);
        let (segment_bytes, spares_max) = (options.segment_bytes, options.spares_max);
        let mut pool = SegmentPool {
            disk: Arc::clone(&disk),
            dir: dir.to_owned(),
            segment_bytes,
            spares_max,
            next,
            ready: None,
            spares: Vec::new(),
        };
        let spares: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.ends_with(".spare")).collect();
        pool.adopt_spares(&spares)?;
        let active = pool.take()?;
        let mut closed = BTreeMap::new();
        for segment in segments {
            closed.insert(segment, disk.open(&segment_path(dir, segment), OpenMode::Read)?.len()?);
        }
        let position = LogPosition { segment: active.segment, offset: RECORDS_START };
        let state = State {
            position,
            waiting: VecDeque::new(),
            unsynced_bytes: 0,
            durable: position,
            next_is_ready: false,
            no_space: None,
            poisoned: None,
            closed,
            buffer: Vec::new(),
        };
        let log = Self { options, state: Mutex::new(state), committer: Mutex::new(active), pool: Mutex::new(pool) };
        if report.records == 0 && report.damaged.is_empty() {
            // Restarts without writes must not pile up empty segments.
            log.discard_before(position)?;
        }
        Ok((log, report))
    }

    /// Puts a record into the log, not durably. Returns where it begins.
    pub fn append(&self, payload: &[u8]) -> Result<LogPosition, StorageError> {
        let len = payload.len() as u64;
        if len > self.record_bytes_max() {
            let limit = self.record_bytes_max();
            return Err(StorageError::Invalid(format!(
                "a record of {len} bytes exceeds the commit log's limit of {limit}"
            )));
        }
        let check = payload_check(payload);
        let framed = framed_len(len);
        let mut state = lock(&self.state);
        state.refuse_if_poisoned()?;
        let unsynced = state.unsynced_bytes.saturating_add(framed);
        // A record that is alone is taken whatever the limit, or it could never be written.
        if unsynced > self.options.unsynced_bytes_max && state.unsynced_bytes > 0 {
            let (used, limit) = (state.unsynced_bytes, self.options.unsynced_bytes_max);
            return Err(StorageError::Overloaded { what: "the commit log's buffer", used, limit });
        }
        // An end record always has room.
        if state.position.offset + framed + RECORD_HEADER_BYTES > self.options.segment_bytes {
            if let Some(error) = state.no_space.as_ref().filter(|_| !state.next_is_ready) {
                return Err(error.clone().into());
            }
            state.end_segment();
        }
        state.unsynced_bytes += framed;
        Ok(state.frame(RecordKind::Data, (payload, check), framed))
    }

    /// Makes what was appended durable: one write and one sync a segment. Blocks. Returns the exclusive end of what is
    /// durable. Callers may be many; they take turns, and those that come late find their records done.
    pub fn sync(&self) -> Result<LogPosition, StorageError> {
        let mut active = lock(&self.committer);
        let mut waiting = {
            let mut state = lock(&self.state);
            state.refuse_if_poisoned()?;
            std::mem::take(&mut state.waiting)
        };
        while let Some(mut chunk) = waiting.pop_front() {
            if chunk.start.segment != active.segment
                && let Err(error) = self.roll(&mut active)
            {
                waiting.push_front(chunk);
                let mut state = lock(&self.state);
                if !error.is_no_space() {
                    return Err(state.poison(&error));
                }
                // Nothing of these records was written: they wait on, before what came meanwhile.
                waiting.append(&mut state.waiting);
                state.waiting = waiting;
                state.no_space = Some(error.clone());
                return Err(error.into());
            }
            let len = chunk.bytes.len() as u64;
            if !chunk.ended {
                // Zeros say where the log ends: whatever else stands there was being written.
                chunk.bytes.resize(chunk.bytes.len() + RECORD_HEADER_BYTES as usize, 0);
            }
            assert_eq!(chunk.start.segment, active.segment, "segments are numbered without holes");
            let mut result = active.file.write_at(chunk.start.offset, &chunk.bytes);
            if result.is_ok() {
                result = active.file.sync();
            }
            let mut state = lock(&self.state);
            if let Err(error) = result {
                return Err(state.poison(&error));
            }
            let end_bytes = if chunk.ended { RECORD_HEADER_BYTES } else { 0 };
            state.unsynced_bytes = state.unsynced_bytes.saturating_sub(len - end_bytes);
            state.durable = LogPosition { segment: chunk.start.segment, offset: chunk.start.offset + len };
            if chunk.bytes.capacity() <= BUFFER_KEPT_BYTES_MAX {
                chunk.bytes.clear();
                state.buffer = chunk.bytes;
            }
        }
        Ok(lock(&self.state).durable)
    }

    /// Whether [`CommitLog::prepare`] should be called: the active segment is half full, or room was missing.
    pub fn wants_segment(&self) -> bool {
        let state = lock(&self.state);
        state.poisoned.is_none()
            && !state.next_is_ready
            && (state.no_space.is_some() || state.position.offset > self.options.segment_bytes / 2)
    }

    /// Makes the next segment ahead of need. Blocks for as long as writing a segment of zeros takes, and no appender or
    /// committer with it unless they need the segment.
    pub fn prepare(&self) -> Result<(), StorageError> {
        let mut pool = lock(&self.pool);
        lock(&self.state).refuse_if_poisoned()?;
        let result = pool.prepare();
        let mut state = lock(&self.state);
        match result {
            Ok(()) => {
                state.next_is_ready = true;
                state.no_space = None;
                Ok(())
            }
            Err(error) if error.is_no_space() => {
                state.no_space = Some(error.clone());
                Err(error.into())
            }
            Err(error) => Err(state.poison(&error)),
        }
    }

    /// Gives back the segments that lie wholly before a position: their records are elsewhere, durably.
    pub fn discard_before(&self, position: LogPosition) -> Result<(), StorageError> {
        let mut pool = lock(&self.pool);
        let gone: Vec<(u64, u64)> = {
            let state = lock(&self.state);
            state.refuse_if_poisoned()?;
            state.closed.range(..position.segment).map(|(segment, len)| (*segment, *len)).collect()
        };
        if gone.is_empty() {
            return Ok(());
        }
        // Oldest first and each for good before the next, so that no crash leaves a hole that replay takes for damage.
        for (segment, len) in gone {
            pool.retire(segment, len)?;
            lock(&self.state).closed.remove(&segment);
        }
        Ok(())
    }

    /// Syncs and ends the log for good, so that the next replay can tell damage in the last batch from a torn write.
    pub fn close(&self) -> Result<LogPosition, StorageError> {
        {
            let mut state = lock(&self.state);
            state.refuse_if_poisoned()?;
            state.end_segment();
        }
        let result = self.sync();
        lock(&self.state).poisoned.get_or_insert_with(|| "the log was closed".to_owned());
        result
    }

    /// Every record before this is durable.
    pub fn durable(&self) -> LogPosition {
        lock(&self.state).durable
    }

    /// Where the next record would go.
    pub fn position(&self) -> LogPosition {
        lock(&self.state).position
    }

    /// Bytes on disk that hold records or are ready to: segments, not spares.
    pub fn size(&self) -> u64 {
        let state = lock(&self.state);
        let ahead = 1 + u64::from(state.next_is_ready);
        state.closed.values().sum::<u64>().saturating_add(ahead * self.options.segment_bytes)
    }

    /// Bytes appended and not yet durable.
    pub fn unsynced_bytes(&self) -> u64 {
        lock(&self.state).unsynced_bytes
    }

    /// The greatest record.
    pub fn record_bytes_max(&self) -> u64 {
        self.options.segment_bytes / 2
    }

    /// Goes to the next segment, made now if need be.
    fn roll(&self, active: &mut ReadySegment) -> Result<(), DiskError> {
        let next = lock(&self.pool).take()?;
        let before = std::mem::replace(active, next);
        let mut state = lock(&self.state);
        state.closed.insert(before.segment, self.options.segment_bytes);
        state.next_is_ready = false;
        state.no_space = None;
        Ok(())
    }
}

impl State {
    fn refuse_if_poisoned(&self) -> Result<(), StorageError> {
        self.poisoned.as_ref().map_or(Ok(()), |cause| Err(StorageError::Poisoned(cause.clone())))
    }

    /// Takes nothing more; what waits will never be durable.
    fn poison(&mut self, error: &DiskError) -> StorageError {
        let cause = self.poisoned.get_or_insert_with(|| error.to_string()).clone();
        self.waiting.clear();
        self.unsynced_bytes = 0;
        StorageError::Poisoned(cause)
    }

    /// Frames a record at the current position, into the batch that the next sync writes.
    fn frame(&mut self, kind: RecordKind, payload: (&[u8], u32), framed: u64) -> LogPosition {
        let position = self.position;
        let joins = self.waiting.back().is_some_and(|last| last.start.segment == position.segment);
        if !joins {
            let bytes = std::mem::take(&mut self.buffer);
            self.waiting.push_back(Chunk { start: position, bytes, ended: false });
        }
        let Some(chunk) = self.waiting.back_mut() else { return position };
        let place = (position.segment, position.offset, chunk.start.offset);
        encode_record(&mut chunk.bytes, place, kind, payload);
        chunk.ended = kind == RecordKind::End;
        self.position.offset += framed;
        position
    }

    fn end_segment(&mut self) {
        self.frame(RecordKind::End, (&[], payload_check(&[])), RECORD_HEADER_BYTES);
        self.position = LogPosition { segment: self.position.segment + 1, offset: RECORDS_START };
    }
}

fn segment_path(dir: &str, segment: u64) -> String {
    format!("{dir}/{segment:016x}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|number| *number < u64::MAX / 2)
}

/// Creates a directory and makes its name, and those of its parents, durable; if it was there, its entries too: what a
/// listing shows may be the work of a process that died before it had synced it, and must not be built on.
pub(crate) fn create_dir_durably(disk: &Arc<dyn Disk>, dir: &str) -> Result<(), DiskError> {
    disk.create_dir(dir)?;
    disk.sync_dir(dir)?;
    let mut path = dir;
    while !path.is_empty() {
        path = quorate_env::disk::parent(path);
        disk.sync_dir(path)?;
    }
    Ok(())
}

/// A panic under one of our locks is a bug that has been reported by its thread; the state is only changed whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
