//! Reading hints back.

use bytes::Bytes;
use quorate_env::OpenMode;

use super::{CREATED_AT_BYTES, Hint, HintBatch, HintLog, HintPosition, created_at};
use crate::StorageError;
use crate::commit_log::DamagedRange;
use crate::commit_log::framed::{Parsed, parse};

impl HintLog {
    /// Reads one segment from the batch's cursor on. True: the batch is full.
    pub(super) fn read_segment(
        &self,
        path: &str,
        end: u64,
        bytes_max: u64,
        used: &mut u64,
        batch: &mut HintBatch,
    ) -> Result<bool, StorageError> {
        let start = batch.next.offset;
        let mut data = vec![0; end.saturating_sub(start) as usize];
        self.disk.open(path, OpenMode::Read)?.read_at(start, &mut data)?;
        let data = Bytes::from(data);
        let segment = batch.next.segment;
        let mut gap = None;
        while batch.next.offset < end {
            let offset = batch.next.offset;
            match parse(&data, (offset - start) as usize, segment, offset) {
                Parsed::Record { payload, next, .. } => {
                    self.close_gap(path, &mut gap, offset, batch);
                    let len = payload.len() as u64;
                    if !batch.hints.is_empty() && used.saturating_add(len) > bytes_max {
                        return Ok(true);
                    }
                    *used = used.saturating_add(len);
                    let payload = data.slice(payload);
                    if payload.len() >= CREATED_AT_BYTES {
                        let hint = Hint {
                            created_at: created_at(&payload),
                            mutation: Bytes::copy_from_slice(&payload[CREATED_AT_BYTES..]),
                        };
                        batch.hints.push((HintPosition { segment, offset }, hint));
                    }
                    batch.next.offset = next;
                }
                Parsed::BadPayload { next, .. } => {
                    gap.get_or_insert(offset);
                    batch.next.offset = next.min(end);
                }
                Parsed::Nothing => {
                    gap.get_or_insert(offset);
                    batch.next.offset = offset.saturating_add(8).min(end);
                }
            }
        }
        self.close_gap(path, &mut gap, end, batch);
        Ok(*used >= bytes_max)
    }

    fn close_gap(&self, path: &str, gap: &mut Option<u64>, to: u64, batch: &mut HintBatch) {
        if let Some(from) = gap.take() {
            batch.damaged.push(DamagedRange { path: path.to_owned(), from, to, problem: "no valid hint" });
        }
    }
}
