//! Merges SSTables into new ones, in steps of bounded work.

use std::sync::Arc;

use quorate_env::Disk;
use quorate_model::{DecoratedKey, Partition, Position, Seconds, Timestamp, Token};

use crate::engine::is_long_expired;
use crate::error::{ReadError, StorageError};
use crate::limits::SSTABLE_PARTITIONS_MAX;
use crate::read::{MergedRow, RowMerger, RowSource};
use crate::sstable::TableCursor;
use crate::sstable::{BlockMode, KeyBound, RowCursor, SsTable, SsTableWriter, WriterSettings};

/// A file that nobody lists yet: removed when dropped, unless kept.
pub(crate) struct PartialFile {
    disk: Arc<dyn Disk>,
    pub(crate) number: u64,
    pub(crate) path: String,
    kept: bool,
}

impl PartialFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, number: u64, path: String) -> Self {
        Self { disk, number, path, kept: false }
    }

    /// The file is listed now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.kept {
            // A failure costs space until the next start, which removes what no manifest lists.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// The partition that is being merged.
struct Current {
    key: DecoratedKey,
    head: Partition,
    rows: RowMerger,
    begun: bool,
}

/// Names files for the merge.
pub(crate) type NewFile<'a> = dyn Fn() -> PartialFile + 'a;

/// How a merge writes.
#[derive(Clone, Copy)]
pub(crate) struct MergeSettings {
    pub(crate) writer: WriterSettings,
    pub(crate) truncated: Option<Timestamp>,
    pub(crate) output_bytes_max: u64,
    /// For an index: tombstones go, and what expired before this.
    pub(crate) purge_before: Option<Seconds>,
}

/// A merge in progress.
pub(crate) struct TableMerge {
    disk: Arc<dyn Disk>,
    settings: MergeSettings,
    cursors: Vec<TableCursor>,
    nexts: Vec<Option<DecoratedKey>>,
    bound: KeyBound,
    current: Option<Current>,
    writer: Option<(SsTableWriter, PartialFile)>,
    /// Finished outputs.
    pub(crate) outputs: Vec<PartialFile>,
    bytes_before: u64,
}

impl TableMerge {
    pub(crate) fn new(disk: Arc<dyn Disk>, inputs: &[Arc<SsTable>], settings: MergeSettings) -> Self {
        let cursors: Vec<TableCursor> =
            inputs.iter().map(|table| TableCursor::new(table.clone(), BlockMode::Pass)).collect();
        Self {
            disk,
            settings,
            nexts: cursors.iter().map(|_| None).collect(),
            cursors,
            bound: KeyBound::FromToken(Token::MIN),
            current: None,
            writer: None,
            outputs: Vec::new(),
            bytes_before: 0,
        }
    }

    /// Bytes written so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_before + self.writer.as_ref().map_or(0, |(writer, _)| writer.bytes_written())
    }

    /// Merges about so many bytes; whether all is done.
    pub(crate) fn step(&mut self, bytes: u64, new_file: &NewFile<'_>) -> Result<bool, StorageError> {
        let mut left = i128::from(bytes);
        while left > 0 {
            let Some(current) = &mut self.current else {
                if !self.next_partition()? {
                    self.finish_output()?;
                    return Ok(true);
                }
                left -= 64;
                continue;
            };
            match current.rows.next(&current.head, &mut self.cursors)? {
                MergedRow::Row(key, mut row) => {
                    left -= row.memory_size() as i128;
                    if let Some(before) = self.settings.purge_before {
                        row.deletion = None;
                        row.liveness = row.liveness.filter(|liveness| !is_long_expired(liveness, before));
                        if row.is_empty() {
                            continue;
                        }
                    }
                    self.begin(new_file)?;
                    if let Some((writer, _)) = &mut self.writer {
                        writer.row(&key.0, &row)?;
                    }
                }
                MergedRow::Gone(_) => left -= 16,
                MergedRow::End | MergedRow::Cut => self.end_partition(new_file)?,
            }
        }
        Ok(false)
    }

    /// Finds the next partition in any input and merges its head.
    fn next_partition(&mut self) -> Result<bool, ReadError> {
        for (cursor, next) in self.cursors.iter_mut().zip(&mut self.nexts) {
            if next.is_none() {
                *next = cursor.next_key(&self.bound)?;
            }
        }
        let Some(key) = self.nexts.iter().flatten().min().cloned() else { return Ok(false) };
        let all = [(Position::START, Position::END)];
        let mut head = Partition::default();
        let mut sources = Vec::new();
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            if self.nexts[index].as_ref() != Some(&key) {
                continue;
            }
            self.nexts[index] = None;
            if let Some(found) = cursor.head(&key)? {
                head.merge_owned(found);
            }
            sources.push(RowSource::Table { cursor: index, rows: RowCursor::new(key.clone(), &all, false) });
        }
        if let Some(truncated) = self.settings.truncated {
            head.drop_up_to(truncated);
        }
        self.bound = KeyBound::After(key.clone());
        let rows = RowMerger::new(sources, false, self.settings.truncated);
        self.current = Some(Current { key, head, rows, begun: false });
        Ok(true)
    }

    /// Writes the partition's head, in a new file if there is none.
    fn begin(&mut self, new_file: &NewFile<'_>) -> Result<(), StorageError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.begun {
            return Ok(());
        }
        if self.writer.is_none() {
            let file = new_file();
            let writer = SsTableWriter::create(&*self.disk, &file.path, file.number, self.settings.writer)?;
            self.writer = Some((writer, file));
        }
        if let Some((writer, _)) = &mut self.writer {
            writer.begin(&current.key, &current.head)?;
            current.begun = true;
        }
        Ok(())
    }

    fn end_partition(&mut self, new_file: &NewFile<'_>) -> Result<(), StorageError> {
        if self.current.as_ref().is_some_and(|current| !current.head.is_empty()) {
            self.begin(new_file)?;
        }
        let Some(current) = self.current.take() else { return Ok(()) };
        let Some((writer, _)) = self.writer.as_mut().filter(|_| current.begun) else { return Ok(()) };
        writer.end()?;
        if writer.bytes_written() >= self.settings.output_bytes_max || writer.partitions() >= SSTABLE_PARTITIONS_MAX {
            self.finish_output()?;
        }
        Ok(())
    }

    fn finish_output(&mut self) -> Result<(), StorageError> {
        if let Some((writer, file)) = self.writer.take() {
            let (_, bytes) = writer.finish()?;
            self.bytes_before += bytes;
            self.outputs.push(file);
        }
        Ok(())
    }
}
