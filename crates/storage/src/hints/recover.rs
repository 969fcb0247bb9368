//! Opening: what every target's segments hold.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::{Disk, DiskError, OpenMode};
use quorate_model::NodeId;

use super::{ENDS_BY_RECORD, HINTS_KIND, HintOpenReport, Summary, Target, created_at, overflow, segment_path};
use crate::commit_log::DamagedRange;
use crate::commit_log::framed::{Item, RECORD_HEADER_BYTES, RECORDS_START, Scan, SegmentEnd, SegmentHeader};
use crate::commit_log::replay::seal;

/// Reads one target's folder.
pub(super) fn target(
    disk: &Arc<dyn Disk>,
    dir: &str,
    node: NodeId,
    report: &mut HintOpenReport,
) -> Result<Target, DiskError> {
    let mut target = Target::new(dir.to_owned());
    let names = disk.list(dir)?;
    let last = names.iter().filter_map(|name| segment_number(name)).max();
    for name in names {
        if name == "overflow" {
            target.dropped = target.dropped.saturating_add(overflow::load(disk, dir)?);
        } else if let Some(segment) = segment_number(&name) {
            let damaged = report.damaged.len();
            if let Some(summary) = self::segment(disk, dir, (node, segment), last == Some(segment), report)? {
                report.hints += summary.count;
                target.segments.insert(segment, summary);
            }
            if report.damaged.len() > damaged {
                target.mark(1);
            }
            target.position.segment = target.position.segment.max(segment.saturating_add(1));
        }
    }
    Ok(target)
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".hints").and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

/// Reads one segment, cuts its torn tail off and sums it up; `None` if it never held a durable hint.
fn segment(
    disk: &Arc<dyn Disk>,
    dir: &str,
    (node, segment): (NodeId, u64),
    is_last: bool,
    report: &mut HintOpenReport,
) -> Result<Option<Summary>, DiskError> {
    let path = segment_path(dir, segment);
    let file = disk.open(&path, OpenMode::ReadWrite)?;
    let len = file.len()?.min(crate::commit_log::framed::SEGMENT_BYTES_MAX);
    let mut data = vec![0; len as usize];
    file.read_at(0, &mut data)?;
    let header = SegmentHeader { kind: HINTS_KIND, segment, owner: node.0, promise: 0 }.verify(&data);
    let never_written = data.iter().take(RECORDS_START as usize).all(|byte| *byte == 0);
    let data = Bytes::from(data);
    let scan = Scan::of(&data, segment);
    if !is_last && !scan.has_records() {
        // It was durable before the next one was begun.
        report.damaged.push(DamagedRange { path, from: 0, to: len, problem: "no valid hint in the whole segment" });
        return Ok(None);
    }
    if !scan.has_records() || (is_last && never_written && scan.proven == RECORDS_START) {
        // Header and first batch are written and synced together: nothing here was ever durable, or all of it is gone.
        if header.is_ok() && len > RECORDS_START || len > 2 * RECORDS_START {
            report.torn += 1;
        }
        disk.remove(&path)?;
        return Ok(None);
    }
    // A damaged header is taken for one that promises: better one mark too many than a loss that nobody knows of.
    let promise = header.unwrap_or_else(|problem| {
        report.damaged.push(DamagedRange { path: path.clone(), from: 0, to: RECORDS_START, problem });
        ENDS_BY_RECORD
    });
    let (mut end, is_sealed) = match scan.end {
        SegmentEnd::Open { offset, .. } => (offset, false),
        SegmentEnd::Sealed { offset } => (offset.saturating_add(RECORD_HEADER_BYTES), true),
    };
    let end_is_missing = !is_last && !is_sealed && promise == ENDS_BY_RECORD;
    if end_is_missing {
        let problem = "the segment's end is missing";
        report.damaged.push(DamagedRange { path: path.clone(), from: end, to: len, problem });
    }
    // One segment is durable before the next is begun.
    let proven = if is_last { scan.proven } else { u64::MAX };
    let mut summary = Summary::default();
    for item in scan.items {
        match item {
            Item::Record { payload, .. } => summary.add(payload.len() as u64, created_at(&payload)),
            Item::Gap { from, to } => {
                if from < proven {
                    let problem = "no valid hint, but hints behind it";
                    report.damaged.push(DamagedRange { path: path.clone(), from, to: to.min(proven), problem });
                }
                if to > proven {
                    end = from.max(proven);
                    break;
                }
            }
        }
    }
    if end < len {
        report.torn += u64::from(is_last);
        file.set_len(end)?;
        file.sync()?;
    }
    if !is_sealed && !end_is_missing {
        let mark = SegmentEnd::Open { offset: end, traces: false };
        match seal(&*file, segment, &data, scan.proven, mark) {
            // Without room for it the next start takes the end for lost, and marks the target.
            Err(error) if error.is_no_space() => {}
            sealed => {
                sealed?;
                end = end.saturating_add(RECORD_HEADER_BYTES);
            }
        }
    }
    summary.end = end;
    Ok(Some(summary))
}
