//! An open SSTable: root, filter and statistics in memory, blocks through the cache.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quorate_env::{Disk, DiskError, DiskFile, OpenMode};
use quorate_model::wire::{Reader, WireError};

use super::block::DataBlock;
use super::cursor::BlockMode;
use super::filter::{Filter, key_hash};
use super::format::{Address, FOOTER_BYTES, FRAME_OVERHEAD, FrameKind, decode_footer, decode_frame};
use super::index::IndexBlock;
use super::stats::SsTableStats;
use crate::cache::{BlockCache, CachedBlock};
use crate::error::{CorruptionError, ReadError};
use crate::limits::BLOCK_BYTES_MAX;

/// What all SSTables share.
pub(crate) struct SsTableContext {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) cache: BlockCache,
    pub(crate) handles: FileHandles,
}

/// Open files, bounded in number; the one that was not used for longest is closed.
pub(crate) struct FileHandles {
    limit: usize,
    open: Mutex<OpenFiles>,
}

#[derive(Default)]
struct OpenFiles {
    uses: u64,
    files: BTreeMap<u64, (u64, Arc<dyn DiskFile>)>,
}

impl FileHandles {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), open: Mutex::default() }
    }

    fn get(&self, disk: &dyn Disk, number: u64, path: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        if let Some(file) = self.touch(number) {
            return Ok(file);
        }
        let file = disk.open(path, OpenMode::Read)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.files.len() >= self.limit {
            let oldest = open.files.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number);
            if let Some(oldest) = oldest {
                open.files.remove(&oldest);
            }
        }
        let uses = open.uses;
        open.files.insert(number, (uses, file.clone()));
        Ok(file)
    }

    fn touch(&self, number: u64) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        let (used, file) = open.files.get_mut(&number)?;
        *used = uses;
        Some(file.clone())
    }

    fn forget(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).files.remove(&number);
    }
}

/// An immutable file that serves reads.
pub(crate) struct SsTable {
    pub(crate) number: u64,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) stats: SsTableStats,
    pub(super) root: IndexBlock,
    filter: Filter,
    context: Arc<SsTableContext>,
    /// Set once no manifest lists the file: it is removed when the last reader lets go.
    obsolete: AtomicBool,
    corrupt: AtomicBool,
}

impl SsTable {
    /// Opens a file and verifies footer, root, filter and statistics.
    pub(crate) fn open(context: Arc<SsTableContext>, number: u64, path: String) -> Result<Self, ReadError> {
        let file = context.handles.get(&*context.disk, number, &path)?;
        let bytes = file.len()?;
        let corrupt = |offset: u64, problem: String| CorruptionError { path: path.clone(), offset, problem };
        let Some(footer_at) = bytes.checked_sub(FOOTER_BYTES as u64) else {
            return Err(corrupt(0, format!("{bytes} bytes are too few for a footer")).into());
        };
        let mut footer = [0; FOOTER_BYTES];
        read(&*file, &path, footer_at, &mut footer)?;
        let footer = decode_footer(&path, number, footer_at, &footer)?;
        let part = |address: Address, kind: FrameKind| read_frame(&*file, &path, number, address, kind);
        let malformed = |address: Address, error: WireError| corrupt(address.offset, error.to_string());
        let root = IndexBlock::parse(part(footer.root, FrameKind::Root)?).map_err(|e| malformed(footer.root, e))?;
        let filter = Filter::parse(&part(footer.filter, FrameKind::Filter)?)
            .map_err(|problem| corrupt(footer.filter.offset, problem.to_owned()))?;
        let mut stats = Reader::new(part(footer.stats, FrameKind::Stats)?);
        let stats = SsTableStats::decode(&mut stats).map_err(|e| malformed(footer.stats, e))?;
        Ok(Self {
            number,
            bytes,
            stats,
            root,
            filter,
            context,
            obsolete: AtomicBool::new(false),
            corrupt: AtomicBool::new(false),
            path,
        })
    }

    /// Whether the file may hold the partition.
    pub(crate) fn may_contain(&self, token: i64, key: &[u8]) -> bool {
        let place = (token, key);
        let (first, last) = (&self.stats.first, &self.stats.last);
        place >= (first.token.0, &first.key.0)
            && place <= (last.token.0, &last.key.0)
            && self.filter.may_contain(key_hash(key))
    }

    /// A data block.
    pub(super) fn data(&self, address: Address, mode: BlockMode) -> Result<Arc<DataBlock>, ReadError> {
        if let Some(CachedBlock::Data(block)) = self.context.cache.get(self.number, address.offset) {
            return Ok(block);
        }
        let raw = self.load(address, FrameKind::Data, mode)?;
        let block = DataBlock::parse(raw).map_err(|error| self.malformed(address.offset, &error))?;
        let block = Arc::new(block);
        if mode == BlockMode::Disk {
            self.context.cache.insert(self.number, address.offset, CachedBlock::Data(block.clone()));
        }
        Ok(block)
    }

    /// An index block.
    pub(super) fn index(&self, address: Address, mode: BlockMode) -> Result<Arc<IndexBlock>, ReadError> {
        if let Some(CachedBlock::Index(block)) = self.context.cache.get(self.number, address.offset) {
            return Ok(block);
        }
        let raw = self.load(address, FrameKind::Index, mode)?;
        let block = IndexBlock::parse(raw).map_err(|error| self.malformed(address.offset, &error))?;
        let block = Arc::new(block);
        self.context.cache.insert(self.number, address.offset, CachedBlock::Index(block.clone()));
        Ok(block)
    }

    fn load(&self, address: Address, kind: FrameKind, mode: BlockMode) -> Result<Bytes, ReadError> {
        if self.corrupt.load(Ordering::Acquire) {
            return Err(self.corruption(address.offset, "the file was found damaged before").into());
        }
        if mode == BlockMode::MemoryOnly {
            return Err(ReadError::NeedsDisk);
        }
        let file = self.context.handles.get(&*self.context.disk, self.number, &self.path)?;
        read_frame(&*file, &self.path, self.number, address, kind).inspect_err(|error| {
            if matches!(error, ReadError::Corrupt(_)) {
                self.corrupt.store(true, Ordering::Release);
            }
        })
    }

    /// A checksummed block whose content breaks a rule: also corruption.
    pub(crate) fn malformed(&self, offset: u64, error: &WireError) -> CorruptionError {
        self.corrupt.store(true, Ordering::Release);
        self.corruption(offset, &error.to_string())
    }

    fn corruption(&self, offset: u64, problem: &str) -> CorruptionError {
        CorruptionError { path: self.path.clone(), offset, problem: problem.to_owned() }
    }

    /// Whether a block of it failed its checksum.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.corrupt.load(Ordering::Acquire)
    }

    /// Bytes held in memory while it is open.
    pub(crate) fn memory_size(&self) -> u64 {
        self.root.memory_size() as u64 + self.filter.memory_size()
    }

    /// Removes the file once nobody reads it.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for SsTable {
    fn drop(&mut self) {
        self.context.handles.forget(self.number);
        if self.obsolete.load(Ordering::Acquire) {
            // A failure costs space until the next start, which removes what no manifest lists.
            let _ = self.context.disk.remove(&self.path);
        }
    }
}

fn read(file: &dyn DiskFile, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    file.read_at(offset, buffer).map_err(|error| match error.kind {
        quorate_env::disk::DiskErrorKind::UnexpectedEnd => {
            CorruptionError { path: path.to_owned(), offset, problem: "the file ends too early".to_owned() }.into()
        }
        _ => ReadError::Disk(error),
    })
}

fn read_frame(
    file: &dyn DiskFile,
    path: &str,
    number: u64,
    address: Address,
    kind: FrameKind,
) -> Result<Bytes, ReadError> {
    let len = address.len as usize;
    if len < FRAME_OVERHEAD || address.len > BLOCK_BYTES_MAX {
        let problem = format!("an index entry of {len} bytes");
        return Err(CorruptionError { path: path.to_owned(), offset: address.offset, problem }.into());
    }
    let mut frame = vec![0; len];
    read(file, path, address.offset, &mut frame)?;
    Ok(decode_frame(path, number, address.offset, kind, frame.into())?)
}
