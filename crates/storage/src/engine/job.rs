//! Jobs: flushes and compactions in steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_model::{DecoratedKey, Partition, Seconds, TableId, Timestamp};

use super::core::{Engine, Table, lock, newest_first, write};
use super::{JobKind, JobReport, JobResult};
use crate::compaction::merge::{PartialFile, TableMerge};
use crate::error::StorageError;
use crate::index::build::IndexBuild;
use crate::manifest::{ManifestFile, TABLES_DIR};
use crate::memtable::{Memtable, PackedPartition};
use crate::sstable::{SsTable, SsTableWriter};
use crate::stats::TaskStats;

/// Work that blocks: one flush or one compaction, in steps of bounded size. Dropping it is always safe: it leaves nothing
/// behind, and its inputs are offered again.
pub struct StorageJob {
    pub(super) engine: Arc<Engine>,
    pub(super) table: Option<Arc<Table>>,
    pub(super) work: Work,
    pub(super) failed: bool,
    /// Its name among those that are under way, once it has begun.
    task: Option<u64>,
}

/// What a job does.
pub(super) enum Work {
    Flush { memtable: Arc<Memtable>, shard: usize, output: Option<(SsTableWriter, PartialFile)> },
    Compaction { inputs: Vec<Arc<SsTable>>, merge: Box<TableMerge>, major: bool },
    BuildIndex(IndexBuild),
    PrepareLog,
}

impl StorageJob {
    pub(super) fn new(engine: &Arc<Engine>, table: Option<&Arc<Table>>, work: Work) -> Self {
        Self { engine: Arc::clone(engine), table: table.cloned(), work, failed: false, task: None }
    }

    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match &self.work {
            Work::Flush { .. } => JobKind::Flush,
            Work::Compaction { major: false, .. } => JobKind::Compaction,
            Work::Compaction { major: true, .. } => JobKind::MajorCompaction,
            Work::BuildIndex(_) => JobKind::BuildIndex,
            Work::PrepareLog => JobKind::PrepareLog,
        }
    }

    /// Its table, if it works on one.
    pub fn table(&self) -> Option<TableId> {
        self.table.as_ref().map(|table| table.id)
    }

    /// Bytes it has written so far, for throttling between steps.
    pub fn bytes_written(&self) -> u64 {
        match &self.work {
            Work::Flush { output, .. } => output.as_ref().map_or(0, |(writer, _)| writer.bytes_written()),
            Work::Compaction { merge, .. } => merge.bytes_written(),
            Work::BuildIndex(_) | Work::PrepareLog => 0,
        }
    }

    /// Does one step. Blocks.
    pub fn run(mut self) -> JobResult {
        self.note();
        match self.step() {
            Ok(true) => match self.finish() {
                Ok(report) => JobResult::Done(report),
                Err(error) => self.fail(error),
            },
            Ok(false) => {
                self.note();
                JobResult::Again(self)
            }
            Err(error) => self.fail(error),
        }
    }

    /// Does all steps, here and now.
    pub fn run_to_end(self) -> Result<JobReport, StorageError> {
        let mut job = self;
        loop {
            match job.run() {
                JobResult::Again(next) => job = next,
                JobResult::Done(report) => return Ok(report),
                JobResult::Failed(error) => return Err(error),
            }
        }
    }

    /// Shows what it does and how far it is.
    fn note(&mut self) {
        let (sstables, total_bytes) = match &self.work {
            Work::Flush { memtable, .. } => (0, Some(memtable.bytes())),
            Work::Compaction { inputs, .. } => (inputs.len(), Some(inputs.iter().map(|input| input.bytes).sum())),
            Work::BuildIndex(_) | Work::PrepareLog => (0, None),
        };
        // An index is the work of its base table.
        let table = match &self.work {
            Work::BuildIndex(build) => Some(build.base.id),
            _ => self.table(),
        };
        let Some(table) = table else { return };
        let now = Seconds(self.engine.now.load(Ordering::Relaxed));
        let (kind, progress_bytes) = (self.kind(), self.bytes_written());
        let task = TaskStats { id: 0, began: now, kind, table, sstables, progress_bytes, total_bytes };
        self.engine.tasks.note(&mut self.task, now, task);
    }

    fn fail(mut self, error: StorageError) -> JobResult {
        self.failed = true;
        self.engine.counters.job_failures.fetch_add(1, Ordering::Relaxed);
        if let StorageError::Poisoned(cause) = &error {
            self.engine.poisoned.get_or_init(|| cause.clone());
        }
        // The building of an index reads its base table, and has said itself what is damaged there.
        let of_base = matches!(self.work, Work::BuildIndex(_));
        if let (StorageError::Corrupt(_), Some(table)) = (&error, self.table.as_ref().filter(|_| !of_base)) {
            self.engine.quarantine(table);
        }
        JobResult::Failed(error)
    }

    /// Some work; whether all is done.
    fn step(&mut self) -> Result<bool, StorageError> {
        let engine = &self.engine;
        let budget = engine.options.job_step_bytes;
        match (&mut self.work, &self.table) {
            (Work::Flush { memtable, shard, output }, Some(table)) => {
                flush_step(engine, table, memtable, shard, output)
            }
            (Work::Compaction { merge, .. }, _) => merge.step(budget, &|| engine.new_file()),
            (Work::BuildIndex(build), _) => build.step(engine),
            (Work::PrepareLog, _) => engine.log()?.prepare().map(|()| true),
            (Work::Flush { .. }, None) => Ok(true),
        }
    }

    fn finish(&mut self) -> Result<JobReport, StorageError> {
        let kind = self.kind();
        let mut report = JobReport { kind, table: self.table(), bytes_read: 0, bytes_written: self.bytes_written() };
        let engine = self.engine.clone();
        match (&mut self.work, &self.table) {
            (Work::Flush { memtable, output, .. }, Some(table)) => {
                report.bytes_read = memtable.bytes();
                finish_flush(&engine, table, memtable, output.take())?;
                engine.counters.flushes.fetch_add(1, Ordering::Relaxed);
            }
            (Work::Compaction { inputs, merge, .. }, Some(table)) => {
                report.bytes_read = inputs.iter().map(|input| input.bytes).sum();
                finish_compaction(&engine, table, inputs, std::mem::take(&mut merge.outputs))?;
                engine.counters.compactions.fetch_add(1, Ordering::Relaxed);
                engine.counters.compaction_bytes.fetch_add(report.bytes_written, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(report)
    }
}

impl Drop for StorageJob {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.engine.tasks.end(task);
        }
        if let Some(table) = &self.table {
            let mut claims = lock(&table.claims);
            match &self.work {
                Work::Flush { memtable, .. } => {
                    claims.flushing.remove(&address(memtable));
                }
                Work::Compaction { inputs, .. } => {
                    inputs.iter().for_each(|input| {
                        claims.compacting.remove(&input.number);
                    });
                    self.engine.compactions_running.fetch_sub(1, Ordering::Relaxed);
                }
                Work::BuildIndex(build) => build.index.release(),
                Work::PrepareLog => {}
            }
            claims.retry_at = self.failed.then(|| Seconds(self.engine.now.load(Ordering::Relaxed).saturating_add(2)));
        }
        if matches!(self.work, Work::PrepareLog) {
            self.engine.preparing_log.store(false, Ordering::Relaxed);
        }
    }
}

fn address(memtable: &Arc<Memtable>) -> usize {
    Arc::as_ptr(memtable) as usize
}

/// Freezes the tables' memtables and flushes all that wait, claimed by another job or not: the one that ends first counts,
/// the other finds its memtable gone.
pub(super) fn flush_jobs(engine: &Arc<Engine>, tables: &[Arc<Table>]) -> Vec<StorageJob> {
    tables.iter().for_each(|table| table.freeze(engine.options.memtable_shards));
    waiting(engine, tables, |_| true)
}

/// Flushes of the memtables that wait and that no other job has claimed.
pub(super) fn claim_frozen(engine: &Arc<Engine>, tables: &[Arc<Table>]) -> Vec<StorageJob> {
    waiting(engine, tables, |newly_claimed| newly_claimed)
}

/// Jobs for memtables that wait, oldest first.
fn waiting(engine: &Arc<Engine>, tables: &[Arc<Table>], wanted: impl Fn(bool) -> bool) -> Vec<StorageJob> {
    let mut jobs = Vec::new();
    for table in tables {
        let view = table.view();
        let mut claims = lock(&table.claims);
        for memtable in view.memtables.iter().skip(1).rev() {
            if wanted(claims.flushing.insert(address(memtable))) {
                let work = Work::Flush { memtable: memtable.clone(), shard: 0, output: None };
                jobs.push(StorageJob::new(engine, Some(table), work));
            }
        }
    }
    jobs
}

/// Writes shards until a step's worth of bytes is written.
fn flush_step(
    engine: &Engine,
    table: &Table,
    memtable: &Memtable,
    shard: &mut usize,
    output: &mut Option<(SsTableWriter, PartialFile)>,
) -> Result<bool, StorageError> {
    let truncated = table.view().truncated;
    let mut left = engine.options.job_step_bytes as i128;
    while *shard < memtable.shard_count() && left > 0 {
        let Some(partitions) = memtable.shard(*shard) else { break };
        for (key, partition) in partitions.iter() {
            let key = key.decorated();
            left -= i128::from(write_partition(engine, table, (&key, partition), truncated, output)?);
        }
        *shard += 1;
    }
    Ok(*shard >= memtable.shard_count())
}

/// Writes a partition, unless nothing of it is left; gives about how many bytes it had.
fn write_partition(
    engine: &Engine,
    table: &Table,
    (key, partition): (&DecoratedKey, &PackedPartition),
    truncated: Option<Timestamp>,
    output: &mut Option<(SsTableWriter, PartialFile)>,
) -> Result<u64, StorageError> {
    if let Some(truncated) = truncated {
        let mut kept = partition.unpack();
        kept.drop_up_to(truncated);
        let mut left = PackedPartition::default();
        left.merge(&kept);
        return write_packed(engine, table, (key, &left), output);
    }
    write_packed(engine, table, (key, partition), output)
}

fn write_packed(
    engine: &Engine,
    table: &Table,
    (key, partition): (&DecoratedKey, &PackedPartition),
    output: &mut Option<(SsTableWriter, PartialFile)>,
) -> Result<u64, StorageError> {
    let mut bytes = key.key.0.len() as u64;
    if partition.is_empty() {
        return Ok(bytes);
    }
    if output.is_none() {
        let file = engine.new_file();
        let settings = engine.writer_settings(table);
        *output = Some((SsTableWriter::create(&*engine.disk, &file.path, file.number, settings)?, file));
    }
    if let Some((writer, _)) = output {
        match partition.head() {
            Some(head) => writer.begin(key, head)?,
            None => writer.begin(key, &Partition::default())?,
        }
        for packed in partition.rows() {
            bytes += packed.size() as u64;
            let (clustering, row) = packed.unpack();
            writer.row(&clustering.0, &row)?;
        }
        writer.end()?;
    }
    Ok(bytes)
}

/// Opens a finished file, which verifies what is not data, so that a file that cannot be read is never listed.
fn open_output(engine: &Engine, file: &PartialFile) -> Result<Arc<SsTable>, StorageError> {
    Ok(Arc::new(SsTable::open(engine.context.clone(), file.number, file.path.clone())?))
}

fn listing(table: &SsTable) -> ManifestFile {
    ManifestFile { bytes: table.bytes, first: table.stats.first.token, last: table.stats.last.token, lost: false }
}

fn finish_flush(
    engine: &Engine,
    table: &Table,
    memtable: &Arc<Memtable>,
    output: Option<(SsTableWriter, PartialFile)>,
) -> Result<(), StorageError> {
    let mut written = None;
    let mut listed_file = None;
    if let Some((writer, file)) = output {
        writer.finish()?;
        engine.disk.sync_dir(TABLES_DIR)?;
        written = Some((open_output(engine, &file)?, file));
    }
    {
        let mut manifest = lock(&engine.manifest);
        let still_there = table.view().memtables.iter().any(|waiting| Arc::ptr_eq(waiting, memtable));
        if !still_there {
            // The table was dropped meanwhile.
            return Ok(());
        }
        if let Some((sstable, file)) = written.take() {
            let edited = manifest.edit(|state| {
                let listed = state.tables.entry(table.id).or_default();
                listed.files.insert(sstable.number, listing(&sstable));
            });
            keep_if_maybe_listed(edited, [file])?;
            listed_file = Some(sstable);
        }
        let mut state = write(&table.state);
        let mut view = (*state.view).clone();
        view.memtables.retain(|waiting| !Arc::ptr_eq(waiting, memtable));
        if let Some(sstable) = listed_file {
            view.sstables.push(sstable);
            newest_first(&mut view.sstables);
        }
        state.view = Arc::new(view);
    }
    engine.memtable_bytes.fetch_sub(memtable.bytes(), Ordering::Relaxed);
    engine.discard_log()
}

fn finish_compaction(
    engine: &Engine,
    table: &Table,
    inputs: &[Arc<SsTable>],
    outputs: Vec<PartialFile>,
) -> Result<(), StorageError> {
    engine.disk.sync_dir(TABLES_DIR)?;
    let opened = outputs.iter().map(|file| open_output(engine, file)).collect::<Result<Vec<_>, _>>()?;
    let mut manifest = lock(&engine.manifest);
    let view = table.view();
    let present = |input: &Arc<SsTable>| view.sstables.iter().any(|file| file.number == input.number);
    if !inputs.iter().all(present) {
        // Truncated or dropped meanwhile: what would come back was meant to go. The rest is compacted another time.
        return Ok(());
    }
    let edited = manifest.edit(|state| {
        let listed = state.tables.entry(table.id).or_default();
        inputs.iter().for_each(|input| {
            listed.files.remove(&input.number);
        });
        for sstable in &opened {
            listed.files.insert(sstable.number, listing(sstable));
        }
    });
    keep_if_maybe_listed(edited, outputs)?;
    let mut state = write(&table.state);
    let mut view = (*state.view).clone();
    view.sstables.retain(|file| !inputs.iter().any(|input| input.number == file.number));
    view.sstables.extend(opened);
    newest_first(&mut view.sstables);
    state.view = Arc::new(view);
    drop(state);
    drop(manifest);
    inputs.iter().for_each(|input| input.retire());
    Ok(())
}

/// Keeps new files after the edit that lists them; also if it is not known whether the edit is durable, for then the next
/// start may find it so.
fn keep_if_maybe_listed(
    edited: Result<(), StorageError>,
    files: impl IntoIterator<Item = PartialFile>,
) -> Result<(), StorageError> {
    if matches!(edited, Ok(()) | Err(StorageError::Poisoned(_))) {
        files.into_iter().for_each(PartialFile::keep);
    }
    edited
}
