//! Replay: what a log on disk still says, what it lost, and what never ended.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::{Disk, DiskError, DiskFile, OpenMode};

use super::framed::{
    Item, RECORD_HEADER_BYTES, RECORDS_START, RecordKind, SEGMENT_BYTES_MAX, Scan, SegmentEnd, SegmentHeader,
    encode_record, payload_check,
};
use super::{COMMIT_LOG_KIND, LogPosition, segment_path};
use crate::StorageError;

/// Bytes read at once: what one bad place on the medium can cost.
const READ_BYTES: usize = 64 << 10;

/// A place where records that were durable are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The file.
    pub path: String,
    /// First byte that could not be read.
    pub from: u64,
    /// The first byte behind it that could; the file's end if none.
    pub to: u64,
    /// What was found.
    pub problem: &'static str,
}

/// The end of what was written when the process or the power died: a write that nobody was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: String,
    /// Where the first torn record begins.
    pub offset: u64,
    /// Whole records behind it, of the same unfinished sync, that were dropped with it.
    pub records_dropped: u64,
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: u64,
    /// Records delivered.
    pub records: u64,
    /// Their payloads' bytes.
    pub bytes: u64,
    /// What was durable once and is not readable now: the node has lost writes and must rebuild them from its peers.
    pub damaged: Vec<DamagedRange>,
    /// The unfinished write at the end, if its traces are there. The last sync before a crash cannot be told from one
    /// that never ended if *it* was damaged later; that too is reported here.
    pub torn: Option<TornTail>,
}

/// Receives replayed records in order.
pub type ReplaySink<'a> = dyn FnMut(LogPosition, Bytes) -> Result<(), StorageError> + 'a;

struct Candidate {
    segment: u64,
    len: u64,
    data: Bytes,
    scan: Scan,
    /// The size that the file had from its beginning: 0 if its header does not say, `None` if that is damaged.
    promised: Option<u64>,
    /// Whether the disk gave all of it.
    readable: bool,
}

/// Reads segments in order; tells what it found.
pub(super) struct Replayer<'a, 'b> {
    pub disk: &'a Arc<dyn Disk>,
    pub dir: &'a str,
    pub sink: &'a mut ReplaySink<'b>,
    pub report: ReplayReport,
}

impl Replayer<'_, '_> {
    /// Replays these segments (ascending) and seals what was left open, so that the next replay does not take today's
    /// torn tail for damage.
    pub fn run(&mut self, segments: &[u64]) -> Result<(), StorageError> {
        // A segment's tail is judged when it is known whether a later segment has records: those prove that it was whole.
        let mut waiting: Vec<Candidate> = Vec::new();
        let mut expected = None;
        for &segment in segments {
            if let Some(expected) = expected.filter(|expected| *expected != segment) {
                self.damage(expected, 0, 0, "the segment is missing");
            }
            expected = Some(segment + 1);
            let candidate = self.read(segment)?;
            if candidate.scan.has_records() {
                for earlier in waiting.drain(..) {
                    self.deliver(earlier, true)?;
                }
            }
            waiting.push(candidate);
        }
        for last in waiting {
            let (segment, readable, len, promised) = (last.segment, last.readable, last.len, last.promised);
            let (data, proven, end) = (last.data.clone(), last.scan.proven, last.scan.end);
            let torn = self.deliver(last, false)?;
            if !readable || promised.is_none_or(|promised| len < promised) {
                // What could not be read may be whole: nothing is written over it. What was cut, or has no
                // header, is found so again, until the damage is remembered elsewhere.
                continue;
            }
            let end = torn.map_or(end, |offset| SegmentEnd::Open { offset, traces: true });
            let file = self.disk.open(&segment_path(self.dir, segment), OpenMode::ReadWrite)?;
            seal(&*file, segment, &data, proven, end)?;
        }
        Ok(())
    }

    fn read(&mut self, segment: u64) -> Result<Candidate, DiskError> {
        let path = segment_path(self.dir, segment);
        let file = self.disk.open(&path, OpenMode::Read)?;
        let len = file.len()?.min(SEGMENT_BYTES_MAX);
        let mut data = vec![0; len as usize];
        let mut readable = true;
        let mut from = 0;
        for piece in data.chunks_mut(READ_BYTES) {
            let to = from + piece.len() as u64;
            // Once more, for what was only a moment's trouble; then the place counts as lost.
            if file.read_at(from, piece).is_err() && file.read_at(from, piece).is_err() {
                piece.fill(0);
                readable = false;
                self.damage(segment, from, to, "the disk cannot read it");
            }
            from = to;
        }
        let header = SegmentHeader { kind: COMMIT_LOG_KIND, segment, owner: [0; 16], promise: 0 };
        let promised = match header.verify(&data) {
            Ok(bytes) => Some(u64::from(bytes)),
            Err(problem) => {
                self.damage(segment, 0, RECORDS_START.min(len), problem);
                None
            }
        };
        self.report.segments += 1;
        let data = Bytes::from(data);
        let scan = Scan::of(&data, segment);
        Ok(Candidate { segment, len, data, scan, promised, readable })
    }

    /// Delivers a segment's records. Returns where its torn tail begins, if it has one.
    fn deliver(&mut self, candidate: Candidate, later_records: bool) -> Result<Option<u64>, StorageError> {
        let Candidate { segment, len, scan, promised, .. } = candidate;
        let proven = if later_records { u64::MAX } else { scan.proven };
        let mut torn: Option<TornTail> = None;
        let tail = |offset| TornTail { path: segment_path(self.dir, segment), offset, records_dropped: 0 };
        for item in scan.items {
            match item {
                Item::Record { offset, payload } => match &mut torn {
                    Some(torn) => torn.records_dropped += 1,
                    None => {
                        self.report.records += 1;
                        self.report.bytes += payload.len() as u64;
                        // A copy of its own: a slice would keep the whole segment in memory for as long as a memtable.
                        (self.sink)(LogPosition { segment, offset }, Bytes::copy_from_slice(&payload))?;
                    }
                },
                Item::Gap { from, to } => {
                    if from < proven {
                        self.damage(segment, from, to.min(proven), "no valid record, but records behind it");
                    }
                    if to > proven {
                        torn.get_or_insert_with(|| tail(from.max(proven)));
                    }
                }
            }
        }
        if let SegmentEnd::Open { offset, traces } = scan.end {
            if later_records {
                self.damage(segment, offset.min(len), len, "the segment's end is missing");
            } else if promised.is_some_and(|promised| len < promised) {
                self.damage(segment, offset.min(len), len, "the file is shorter than it was made");
            } else if traces {
                torn.get_or_insert_with(|| tail(offset));
            }
        }
        let offset = torn.as_ref().map(|torn| torn.offset);
        if torn.is_some() {
            self.report.torn = torn;
        }
        Ok(offset)
    }

    fn damage(&mut self, segment: u64, from: u64, to: u64, problem: &'static str) {
        let path = segment_path(self.dir, segment);
        self.report.damaged.push(DamagedRange { path, from, to, problem });
    }
}

/// Ends a segment for good.
///
/// What was read may stand in the cache alone: a process that was killed had not synced it, and a sync that failed
/// dropped it, cleanly as it seems. So everything that is not proven to be on the medium is written once more, the
/// end record of an earlier start too. The end record proves what is before it, hence it is written after that is
/// durable.
pub(crate) fn seal(
    file: &dyn DiskFile,
    segment: u64,
    data: &[u8],
    proven: u64,
    end: SegmentEnd,
) -> Result<(), DiskError> {
    let from = proven.max(RECORDS_START);
    let (to, is_sealed) = match end {
        SegmentEnd::Sealed { offset } => (offset.saturating_add(RECORD_HEADER_BYTES), true),
        SegmentEnd::Open { offset, .. } => (offset, false),
    };
    let unproven = data.get(from as usize..to as usize).unwrap_or_default();
    if !unproven.is_empty() {
        file.write_at(from, unproven)?;
        file.sync()?;
    }
    if is_sealed {
        return Ok(());
    }
    let mut mark = Vec::new();
    encode_record(&mut mark, (segment, to, to), RecordKind::End, (&[], payload_check(&[])));
    file.write_at(to, &mark)?;
    file.sync()
}
