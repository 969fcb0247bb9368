//! Writes one SSTable in a stream: partitions in order, rows in order, memory bounded by a block, the index and eight
//! bytes a partition.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::{Disk, DiskFile, OpenMode};
use quorate_model::wire::{Wire, Writer};
use quorate_model::{DecoratedKey, Partition, Row};

use super::block::FragmentBuilder;
use super::filter::{Filter, key_hash};
use super::format::{Address, FRAME_OVERHEAD, Footer, FrameKind, encode_footer, encode_frame};
use super::index::IndexEntry;
use super::stats::SsTableStats;
use crate::error::StorageError;
use crate::options::Compression;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriterSettings {
    pub(crate) compression: Compression,
    pub(crate) fp_chance: f64,
    pub(crate) block_bytes: usize,
}

/// Builds one level of the index.
#[derive(Default)]
struct IndexLevel {
    block: Writer,
    first: Option<IndexEntry>,
}

/// A file that is being written. Dropped before [`Self::finish`], it leaves a file that no manifest lists; the caller
/// removes it.
pub(crate) struct SsTableWriter {
    file: Arc<dyn DiskFile>,
    number: u64,
    settings: WriterSettings,
    offset: u64,
    block: Writer,
    block_first: Option<IndexEntry>,
    fragment: FragmentBuilder,
    partition: Option<DecoratedKey>,
    index: IndexLevel,
    index_blocks: Vec<(IndexEntry, Writer)>,
    hashes: Vec<u64>,
    stats: SsTableStats,
}

impl SsTableWriter {
    /// Creates the file.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &str,
        number: u64,
        settings: WriterSettings,
    ) -> Result<Self, StorageError> {
        let file = disk.open(path, OpenMode::CreateNew)?;
        Ok(Self {
            file,
            number,
            settings,
            offset: 0,
            block: Writer::default(),
            block_first: None,
            fragment: FragmentBuilder::default(),
            partition: None,
            index: IndexLevel::default(),
            index_blocks: Vec::new(),
            hashes: Vec::new(),
            stats: SsTableStats::default(),
        })
    }

    /// Bytes written to the file so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.offset
    }

    /// Partitions so far.
    pub(crate) fn partitions(&self) -> u64 {
        self.stats.partitions
    }

    /// Begins a partition; `head` is it without its rows.
    pub(crate) fn begin(&mut self, key: &DecoratedKey, head: &Partition) -> Result<(), StorageError> {
        assert!(self.partition.is_none(), "a partition begins within another");
        assert!(head.rows.is_empty(), "rows are written one by one");
        assert!(self.stats.partitions == 0 || self.stats.last < *key, "partitions are written in order");
        self.stats.observe_head(key, head);
        self.hashes.push(key_hash(&key.key.0));
        self.partition = Some(key.clone());
        self.note_place(None);
        let encoded = if head.is_empty() { Bytes::new() } else { head.to_bytes() };
        self.fragment.begin(encoded);
        self.cut_if_full()
    }

    /// Writes the next row of the partition.
    pub(crate) fn row(&mut self, clustering: &Bytes, row: &Row) -> Result<(), StorageError> {
        assert!(self.partition.is_some(), "a row outside a partition");
        self.stats.observe_row(clustering, row);
        self.note_place(Some(clustering.clone()));
        self.fragment.row(clustering, &row.to_bytes());
        self.cut_if_full()
    }

    /// Ends the partition.
    pub(crate) fn end(&mut self) -> Result<(), StorageError> {
        let Some(key) = self.partition.take() else { return Ok(()) };
        // Always written, if only to say that the partition ends: a reader then never looks further.
        if self.fragment.is_empty() && self.block_first.is_none() {
            return Ok(());
        }
        self.fragment.finish(key.token.0, &key.key.0, true, &mut self.block);
        if self.block.len() >= self.settings.block_bytes { self.cut_block() } else { Ok(()) }
    }

    /// Writes index, filter, statistics and footer, and makes all durable. The directory entry is the caller's.
    pub(crate) fn finish(mut self) -> Result<(SsTableStats, u64), StorageError> {
        assert!(self.partition.is_none(), "the last partition was not ended");
        self.cut_block()?;
        self.cut_index_block();
        let mut root = Writer::default();
        for (mut entry, block) in std::mem::take(&mut self.index_blocks) {
            entry.address = self.frame(FrameKind::Index, block.as_slice(), self.settings.compression)?;
            entry.encode(&mut root);
        }
        let root = self.frame(FrameKind::Root, root.as_slice(), Compression::None)?;
        let filter = Filter::build(&self.hashes, self.settings.fp_chance);
        let filter = self.frame(FrameKind::Filter, &filter, Compression::None)?;
        let mut stats = Writer::default();
        self.stats.encode(&mut stats);
        let stats = self.frame(FrameKind::Stats, stats.as_slice(), Compression::None)?;
        let footer = Footer { file: self.number, root, filter, stats };
        let footer = encode_footer(&footer, self.offset);
        self.file.write_at(self.offset, &footer)?;
        self.file.sync()?;
        Ok((self.stats, self.offset + footer.len() as u64))
    }

    /// Remembers the first place of a block.
    fn note_place(&mut self, row: Option<Bytes>) {
        if self.block_first.is_none()
            && let Some(key) = &self.partition
        {
            let address = Address { offset: 0, len: 0 };
            self.block_first = Some(IndexEntry { token: key.token.0, key: key.key.0.clone(), row, address });
        }
    }

    fn cut_if_full(&mut self) -> Result<(), StorageError> {
        if self.block.len() + self.fragment.len() < self.settings.block_bytes {
            return Ok(());
        }
        if let Some(key) = &self.partition {
            self.fragment.finish(key.token.0, &key.key.0, false, &mut self.block);
        }
        self.cut_block()
    }

    fn cut_block(&mut self) -> Result<(), StorageError> {
        let Some(mut first) = self.block_first.take() else { return Ok(()) };
        let block = std::mem::take(&mut self.block);
        self.stats.raw_bytes += block.len() as u64;
        first.address = self.frame(FrameKind::Data, block.as_slice(), self.settings.compression)?;
        self.block = reuse(block);
        first.encode(&mut self.index.block);
        self.index.first.get_or_insert(first);
        if self.index.block.len() >= self.settings.block_bytes {
            self.cut_index_block();
        }
        Ok(())
    }

    fn cut_index_block(&mut self) {
        let IndexLevel { block, first } = std::mem::take(&mut self.index);
        if let Some(first) = first {
            self.index_blocks.push((first, block));
        }
    }

    fn frame(&mut self, kind: FrameKind, raw: &[u8], compression: Compression) -> Result<Address, StorageError> {
        let frame = encode_frame(self.number, self.offset, kind, raw, compression)?;
        self.file.write_at(self.offset, &frame)?;
        let address = Address { offset: self.offset, len: frame.len() as u32 };
        assert!(frame.len() >= FRAME_OVERHEAD, "a frame has a header");
        self.offset += frame.len() as u64;
        Ok(address)
    }
}

/// An empty writer with the same buffer.
fn reuse(writer: Writer) -> Writer {
    let mut buffer = writer.into_inner();
    buffer.clear();
    Writer::reuse(buffer)
}
