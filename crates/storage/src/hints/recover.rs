//! Opening: what every target's segments hold.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::{Disk, DiskError, OpenMode};
use quorate_model::NodeId;

use super::{HINTS_KIND, HintOpenReport, Summary, Target, created_at, overflow, segment_path};
use crate::commit_log::DamagedRange;
use crate::commit_log::framed::{Item, RECORDS_START, Scan, SegmentEnd, SegmentHeader};

/// Reads one target's folder.
pub(super) fn target(
    disk: &Arc<dyn Disk>,
    dir: &str,
    node: NodeId,
    report: &mut HintOpenReport,
) -> Result<Target, DiskError> {
    let mut target = Target::new(dir.to_owned());
    for name in disk.list(dir)? {
        if name == "overflow" {
            target.dropped = target.dropped.saturating_add(overflow::load(disk, dir)?);
        } else if let Some(segment) =
            name.strip_suffix(".hints").and_then(|digits| u64::from_str_radix(digits, 16).ok())
        {
            let damaged = report.damaged.len();
            if let Some(summary) = self::segment(disk, dir, node, segment, report)? {
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

/// Reads one segment, cuts its torn tail off and sums it up; `None` if it never held a durable hint.
fn segment(
    disk: &Arc<dyn Disk>,
    dir: &str,
    node: NodeId,
    segment: u64,
    report: &mut HintOpenReport,
) -> Result<Option<Summary>, DiskError> {
    let path = segment_path(dir, segment);
    let file = disk.open(&path, OpenMode::ReadWrite)?;
    let len = file.len()?.min(crate::commit_log::framed::SEGMENT_BYTES_MAX);
    let mut data = vec![0; len as usize];
    file.read_at(0, &mut data)?;
    let header = SegmentHeader { kind: HINTS_KIND, segment, owner: node.0 }.verify(&data);
    let never_written = data.iter().take(RECORDS_START as usize).all(|byte| *byte == 0);
    let scan = Scan::of(&Bytes::from(data), segment);
    if !scan.has_records() || (never_written && scan.proven == RECORDS_START) {
        // Header and first batch are written and synced together: nothing here was ever durable, or all of it is gone.
        if header.is_ok() && len > RECORDS_START || len > 2 * RECORDS_START {
            report.torn += 1;
        }
        disk.remove(&path)?;
        return Ok(None);
    }
    if let Err(problem) = header {
        report.damaged.push(DamagedRange { path: path.clone(), from: 0, to: RECORDS_START, problem });
    }
    let mut end = match scan.end {
        SegmentEnd::Open { offset, .. } => offset,
        SegmentEnd::Sealed { .. } => len,
    };
    let mut summary = Summary::default();
    for item in scan.items {
        match item {
            Item::Record { payload, .. } => summary.add(payload.len() as u64, created_at(&payload)),
            Item::Gap { from, to } => {
                if from < scan.proven {
                    let problem = "no valid hint, but hints behind it";
                    report.damaged.push(DamagedRange { path: path.clone(), from, to: to.min(scan.proven), problem });
                }
                if to > scan.proven {
                    end = from.max(scan.proven);
                    break;
                }
            }
        }
    }
    if end < len {
        report.torn += 1;
        file.set_len(end)?;
        file.sync()?;
    }
    summary.end = end;
    Ok(Some(summary))
}
