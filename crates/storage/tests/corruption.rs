//! Damage anywhere in what the engine keeps: commit log, SSTables, manifest, hints. Never a panic, never a wrong answer:
//! either what was written, or an error that names the file and the place.
//!
//! A thousand tries in all unless `QUORATE_CORRUPTION_TRIES` says otherwise; `QUORATE_CORRUPTION_SEED` draws others. With
//! `--nocapture` a table shows what came of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;
#[path = "common/harm.rs"]
mod harm;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use common::*;
use harm::{Outcomes, Region, damage, draw, from_environment};
use quorate_env::sim_disk::SimDisk;
use quorate_env::{Disk, OpenMode, Random};
use quorate_model::wire::Wire;
use quorate_model::{DecoratedKey, Mutation, NodeId, Partition, ReadCommand, Seconds};
use quorate_storage::commit_log::{CommitLog, CommitLogOptions, DamagedRange, ReplayReport};
use quorate_storage::hints::{HintLog, HintPosition};
use quorate_storage::{Access, Compression, ReadError, Storage, StorageError, StorageOptions, TableSettings};

/// Sweeps that share the tries.
const SWEEPS: u64 = 5;

/// The files of a data directory.
type Files = BTreeMap<String, Vec<u8>>;

/// Where hints and records stand: file, bytes, batch (what one sync made durable), what is written there.
struct Written<T> {
    path: String,
    bytes: std::ops::Range<usize>,
    batch: u32,
    what: T,
}

fn files_of(disk: &SimDisk) -> Files {
    let paths = disk.snapshot_paths().into_iter();
    paths.map(|(path, _)| (path.clone(), disk.content(&path).unwrap())).collect()
}

/// A disk with these files, all durable.
fn disk_with(files: &Files) -> Arc<SimDisk> {
    let disk = disk(1);
    for (path, bytes) in files {
        let parent = quorate_env::disk::parent(path);
        disk.create_dir(parent).unwrap();
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync().unwrap();
        let mut directory = parent;
        while !directory.is_empty() {
            disk.sync_dir(directory).unwrap();
            directory = quorate_env::disk::parent(directory);
        }
        disk.sync_dir("").unwrap();
    }
    disk
}

/// Damages one region after the other and judges each; this test's share of all tries.
fn sweep(
    title: &str,
    files: &Files,
    regions: &[Region],
    judge: impl Fn(&Files, &str, u64) -> Result<&'static str, String>,
) {
    let tries = from_environment("QUORATE_CORRUPTION_TRIES", 1000).div_ceil(SWEEPS);
    let seed = from_environment("QUORATE_CORRUPTION_SEED", 1);
    let mut outcomes = Outcomes::default();
    for number in 0..tries {
        let mut random = Random::new(seed.wrapping_mul(1 << 32).wrapping_add(number));
        let region = draw(&mut random, regions);
        let mut damaged = files.clone();
        let said = damage(&mut random, damaged.get_mut(&region.path).unwrap(), &region.range);
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&damaged, &region.path, number)));
        match judged.unwrap_or_else(|_| Err("a panic".to_owned())) {
            Ok(outcome) => outcomes.add(region.kind, outcome),
            Err(wrong) => panic!("seed {seed}, try {number}: {} ({}), {said}: {wrong}", region.path, region.kind),
        }
    }
    outcomes.print(title);
}

fn found_once<T: Ord + Clone>(items: impl Iterator<Item = T>) -> Result<BTreeSet<T>, String> {
    let mut found = BTreeSet::new();
    for item in items {
        if !found.insert(item) {
            return Err("something came twice".to_owned());
        }
    }
    Ok(found)
}

/// What is missing must be covered: by damage that was reported, or else by an end behind which nothing of a later batch
/// is whole any more. Gives whether that was so at all.
fn judge_missing<T>(
    damaged: &Files,
    original: &Files,
    written: &[Written<T>],
    reported: &[DamagedRange],
    is_missing: impl Fn(&Written<T>) -> bool,
) -> Result<&'static str, String> {
    for range in reported {
        let Some(file) = original.get(&range.path) else { return Err(format!("no such file: {range:?}")) };
        if range.from > range.to || range.from > file.len() as u64 {
            return Err(format!("no such place: {range:?}"));
        }
    }
    let covered = |one: &Written<T>| {
        // What is lost up to the file's end is lost beyond it, too.
        let len = damaged.get(&one.path).map_or(0, |file| file.len() as u64);
        let overlaps = |range: &DamagedRange| {
            range.from < one.bytes.end as u64 && (one.bytes.start as u64 <= range.to || range.to >= len)
        };
        reported.iter().any(|range| range.path == one.path && overlaps(range))
    };
    let is_whole = |one: &Written<T>| {
        damaged.get(&one.path).and_then(|file| file.get(one.bytes.clone()))
            == original[&one.path].get(one.bytes.clone())
    };
    let mut first: Option<&Written<T>> = None;
    for one in written {
        match first {
            None if is_missing(one) && !covered(one) => first = Some(one),
            Some(first) if is_whole(one) && one.batch != first.batch => {
                return Err(format!(
                    "{} byte {}: taken for the end, though byte {} of {} is whole; reported: {reported:?}",
                    first.path, first.bytes.start, one.bytes.start, one.path
                ));
            }
            _ => {}
        }
    }
    let missing = written.iter().any(is_missing);
    Ok(match (first, missing, reported.is_empty()) {
        (Some(_), ..) => "torn end, nothing whole behind it",
        (None, true, _) => "what is missing is reported",
        (None, false, false) => "reported, nothing is missing",
        (None, false, true) => "all there",
    })
}

/// Options under which everything stays in the log.
fn log_options() -> StorageOptions {
    StorageOptions {
        memtable_flush_bytes: 1 << 20,
        memtable_bytes_max: 2 << 20,
        log_flush_bytes: 1 << 20,
        ..StorageOptions::tiny()
    }
}

/// A log of several segments, as a crash or an orderly stop leaves it.
fn log_fixture(closed: bool) -> (Files, Vec<Written<Mutation>>) {
    let disk = disk(1);
    let storage = Storage::open(disk.clone(), log_options(), NOW).unwrap().0;
    let mut written = Vec::new();
    let mut random = Random::new(7);
    for batch in 0..60u32 {
        let mut waiting = Vec::new();
        for _ in 0..random.between(1, 4) {
            let number = written.len() as u16 + waiting.len() as u16;
            let mutation =
                insert(1, u64::from(number), number, 5, &vec![number as u8; random.between(1, 600) as usize]);
            let encoded = mutation.to_bytes();
            let position = storage.append(&encoded).unwrap();
            let start = position.offset as usize;
            let path = format!("commit_log/{:016x}.log", position.segment);
            let bytes = start..start + 16 + encoded.len();
            waiting.push((position, Written { path, bytes, batch, what: mutation }));
        }
        storage.sync_log().unwrap();
        for (position, one) in waiting {
            storage.apply(position, &one.what).unwrap();
            written.push(one);
        }
    }
    if closed {
        storage.close().unwrap();
    }
    drop(storage);
    disk.crash();
    (files_of(&disk), written)
}

fn log_regions(files: &Files, written: &[Written<Mutation>]) -> Vec<Region> {
    let mut regions = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".log")) {
        let path = path.clone();
        let end = written.iter().filter(|one| one.path == path).map(|one| one.bytes.end).max().unwrap_or(512);
        regions.push(Region { kind: "log: segment header", path: path.clone(), range: 0..512 });
        regions.push(Region { kind: "log: behind the last record", path, range: end..bytes.len() });
    }
    for one in written {
        let (path, start) = (one.path.clone(), one.bytes.start);
        regions.push(Region { kind: "log: record header", path: path.clone(), range: start..start + 16 });
        regions.push(Region { kind: "log: record payload", path, range: start + 16..one.bytes.end });
    }
    regions
}

fn judge_log(damaged: &Files, original: &Files, written: &[Written<Mutation>]) -> Result<&'static str, String> {
    // The log alone says where; the engine over it, what is left.
    let options = CommitLogOptions { segment_bytes: log_options().log_segment_bytes, ..CommitLogOptions::default() };
    let opened = CommitLog::open(disk_with(damaged), "commit_log", options, &mut |_, _| Ok(()));
    let report: ReplayReport = opened.map_err(|error| error.to_string())?.1;
    let disk = disk_with(damaged);
    let open = || Storage::open(disk.clone(), log_options(), NOW).map_err(|error| error.to_string());
    let (storage, found) = open()?;
    if found.log_damaged.len() != report.damaged.len() || found.log_dropped.is_some() != report.torn.is_some() {
        return Err(format!("the engine says {found:?}, the log {report:?}"));
    }
    let kept = content(&storage, 1);
    let all: BTreeMap<&DecoratedKey, &Partition> =
        written.iter().map(|one| (&one.what.key, &one.what.update)).collect();
    if let Some((key, _)) = kept.iter().find(|(key, partition)| all.get(key) != Some(partition)) {
        return Err(format!("{key:?} was never written so"));
    }
    drop(storage);
    // Once more: what was seen the first time is not forgotten, nothing else comes or goes.
    disk.crash();
    let (storage, again) = open()?;
    if content(&storage, 1) != kept || found.log_damaged.iter().any(|known| !storage.log_damage().contains(known)) {
        return Err(format!("another answer after another start: {again:?}"));
    }
    judge_missing(damaged, original, written, &report.damaged, |one| !kept.contains_key(&one.what.key))
}

#[test]
fn damage_of_the_commit_log_is_found() {
    for (title, closed) in [("commit log after a crash", false), ("commit log after an orderly stop", true)] {
        let (files, written) = log_fixture(closed);
        assert!(files.len() >= 3, "several segments");
        assert_eq!(judge_log(&files, &files, &written), Ok("all there"));
        sweep(title, &files, &log_regions(&files, &written), |damaged, _, _| judge_log(damaged, &files, &written));
    }
}

/// Two SSTables, one over the other, with blocks of every compression and a partition of many blocks.
fn tables_fixture() -> (Files, Model) {
    let disk = disk(1);
    let storage = Storage::open(disk.clone(), log_options(), NOW).unwrap().0;
    let mut model = Model::default();
    let mut random = Random::new(3);
    for (file, compression) in [Compression::None, Compression::Lz4, Compression::Zstd(1)].into_iter().enumerate() {
        storage.configure_table(table(1), TableSettings { compression, ..TableSettings::default() });
        for number in 0..150u16 {
            let partition = if number % 2 == 0 { 1 } else { random.below(30) };
            let value = vec![number as u8; random.between(1, 200) as usize];
            let mutation = insert(1, partition, number, file as i64 + 1, &value);
            model.apply(&mutation);
            storage.write(mutation).unwrap();
        }
        for _ in 0..20 {
            let mut mutation = random_mutation(&mut random, 1);
            mutation.table = table(1);
            model.apply(&mutation);
            storage.write(mutation).unwrap();
        }
        run_all(storage.flush_all()).unwrap();
    }
    storage.close().unwrap();
    drop(storage);
    disk.crash();
    let mut files = files_of(&disk);
    // The log would give again what the tables lose.
    files.retain(|path, _| path.starts_with("tables/"));
    (files, model)
}

fn table_regions(files: &Files) -> Vec<Region> {
    let mut regions = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".sst")) {
        let footer = bytes.len() - 64;
        let mut at = 0;
        while at < footer {
            let stored = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            let kind = match bytes[at + 9] {
                1 => "SSTable: data block",
                2 => "SSTable: index block",
                3 => "SSTable: root of the index",
                4 => "SSTable: filter",
                5 => "SSTable: statistics",
                other => panic!("a frame of kind {other}"),
            };
            let end = at + 12 + stored + 4;
            regions.push(Region { kind, path: path.clone(), range: at..end });
            at = end;
        }
        regions.push(Region { kind: "SSTable: footer", path: path.clone(), range: footer..bytes.len() });
    }
    regions
}

/// The questions, each with its answer.
fn questions(model: &Model) -> Vec<(ReadCommand, quorate_model::ReadResponse)> {
    let mut asked = vec![whole(1), ReadCommand { row_limit: 7, ..one(1, 1) }];
    asked.push(ReadCommand { slices: vec![(position(20), position(90))], reversed: true, ..one(1, 1) });
    asked.extend((0..40).map(|partition| one(1, partition)));
    asked.into_iter().map(|command| (command.clone(), model.read(&command, 1))).collect()
}

fn judge_tables(
    damaged: &Files,
    original: &Files,
    questions: &[(ReadCommand, quorate_model::ReadResponse)],
    path: &str,
    number: u64,
) -> Result<&'static str, String> {
    let len = original[path].len() as u64;
    let right = |file: &str, offset: u64| {
        if file == path && offset <= len { Ok(()) } else { Err(format!("{file} at {offset} is blamed")) }
    };
    // Every other time the damage comes after the file was opened.
    let (disk, opened) = if number.is_multiple_of(2) {
        let disk = disk_with(damaged);
        let opened = Storage::open(disk.clone(), log_options(), NOW);
        (disk, opened)
    } else {
        let disk = disk_with(original);
        let opened = Storage::open(disk.clone(), log_options(), NOW);
        let file = disk.open(path, OpenMode::ReadWrite).unwrap();
        file.set_len(0).unwrap();
        file.write_at(0, &damaged[path]).unwrap();
        file.sync().unwrap();
        (disk, opened)
    };
    let storage = match opened {
        Ok((storage, _)) => storage,
        Err(StorageError::Corrupt(error)) => {
            right(&error.path, error.offset)?;
            return Ok("refused to start");
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut refused = 0;
    for (command, answer) in questions {
        match storage.read(command, Access::Disk) {
            Ok(found) if found == *answer => {}
            Ok(found) => return Err(format!("{command:?} is answered {found:?}, not {answer:?}")),
            Err(ReadError::Corrupt(error)) => {
                right(&error.path, error.offset)?;
                refused += 1;
            }
            // A file that ends too early.
            Err(ReadError::Disk(error)) => return Err(format!("not found to be corrupt: {error}")),
            Err(error) => return Err(error.to_string()),
        }
    }
    let lost = storage.lost_ranges();
    if (refused > 0) != lost.iter().any(|range| range.path == path) {
        return Err(format!("{refused} reads refused, but lost: {lost:?}"));
    }
    drop(storage);
    disk.crash();
    let (storage, _) = Storage::open(disk.clone(), log_options(), NOW).map_err(|error| error.to_string())?;
    if lost.iter().any(|range| !storage.lost_ranges().contains(range)) {
        return Err("the loss is forgotten after a start".to_owned());
    }
    Ok(if refused > 0 { "refused by file and offset" } else { "right answers" })
}

#[test]
fn damage_of_an_sstable_is_found() {
    let (files, model) = tables_fixture();
    let regions = table_regions(&files);
    assert!(
        ["data block", "index block", "filter"]
            .iter()
            .all(|kind| regions.iter().any(|region| region.kind.ends_with(kind)))
    );
    let questions = questions(&model);
    sweep("SSTables", &files, &regions, |damaged, path, number| {
        judge_tables(damaged, &files, &questions, path, number)
    });
}

#[test]
fn damage_of_the_manifest_is_found() {
    let (files, model) = tables_fixture();
    let path = "tables/MANIFEST".to_owned();
    let regions = [
        Region { kind: "manifest: header", path: path.clone(), range: 0..16 },
        Region { kind: "manifest: content", path: path.clone(), range: 16..files[&path].len() },
    ];
    let questions = questions(&model);
    sweep("manifest", &files, &regions, |damaged, path, _| judge_tables(damaged, &files, &questions, path, 0));
}

fn target(number: u8) -> NodeId {
    NodeId([number; 16])
}

type HintKey = (NodeId, i64);

/// Hints of two targets, in several segments, and for one of them the mark that hints were dropped.
fn hints_fixture() -> (Files, Vec<Written<HintKey>>) {
    let disk = disk(1);
    let limits = StorageOptions::tiny().hints;
    let (hints, _) = HintLog::open(disk.clone(), "hints", limits.clone()).unwrap();
    let mut random = Random::new(5);
    let mut whats: Vec<(u32, HintKey)> = Vec::new();
    for batch in 0..60u32 {
        for _ in 0..random.between(1, 4) {
            let what = (target(1 + random.below(2) as u8), whats.len() as i64);
            let mutation = insert(1, what.1 as u64, 1, 1, &vec![what.1 as u8; random.between(1, 400) as usize]);
            hints.append(what.0, Seconds(what.1), &mutation.to_bytes()).unwrap();
            whats.push((batch, what));
        }
        hints.sync().unwrap();
    }
    let too_much = bytes::Bytes::from(vec![0; limits.target_bytes_max as usize + 1]);
    assert!(hints.append(target(2), Seconds(1), &too_much).is_err());
    hints.sync().unwrap();
    let mut written = Vec::new();
    for node in [target(1), target(2)] {
        for (place, hint) in all_hints(&hints, node).unwrap().0 {
            let path = format!("hints/{node}/{:016x}.hints", place.segment);
            let start = place.offset as usize;
            let bytes = start..start + 16 + 8 + hint.1;
            let (batch, what) = whats.iter().find(|(_, what)| what.1 == hint.0).unwrap();
            written.push(Written { path, bytes, batch: *batch, what: *what });
        }
    }
    drop(hints);
    disk.crash();
    (files_of(&disk), written)
}

/// Hints, each with its place, creation time and length, and the places that were damaged.
type ReadHints = (Vec<(HintPosition, (i64, usize))>, Vec<DamagedRange>);

/// Everything for a target.
fn all_hints(hints: &HintLog, node: NodeId) -> Result<ReadHints, String> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    let mut cursor = HintPosition::default();
    loop {
        let batch = hints.read_batch(node, cursor, 2000).map_err(|error| error.to_string())?;
        damaged.extend(batch.damaged);
        for (place, hint) in batch.hints {
            let whole = insert(1, hint.created_at.0 as u64, 1, 1, &[]);
            let decoded = Mutation::from_bytes(&hint.mutation).map_err(|error| error.to_string())?;
            if decoded.key != whole.key {
                return Err(format!("the hint of {:?} is that of {:?}", hint.created_at, decoded.key));
            }
            found.push((place, (hint.created_at.0, hint.mutation.len())));
        }
        if batch.next == cursor {
            return Ok((found, damaged));
        }
        cursor = batch.next;
    }
}

fn judge_hints(damaged: &Files, original: &Files, written: &[Written<HintKey>]) -> Result<&'static str, String> {
    let disk = disk_with(damaged);
    let open = || HintLog::open(disk.clone(), "hints", StorageOptions::tiny().hints).map_err(|error| error.to_string());
    let (hints, report) = open()?;
    let mut reported = report.damaged;
    let mut kept = BTreeSet::new();
    for node in [target(1), target(2)] {
        let (found, damaged) = all_hints(&hints, node)?;
        if !damaged.is_empty() && hints.pending(node).dropped == 0 {
            return Err("damage without a mark".to_owned());
        }
        reported.extend(damaged);
        let numbers = found_once(found.iter().map(|(_, (number, _))| *number))?;
        kept.extend(numbers.into_iter().map(|number| (node, number)));
    }
    if let Some(wrong) = kept.iter().find(|key| !written.iter().any(|one| one.what == **key)) {
        return Err(format!("{wrong:?} was never written"));
    }
    if hints.pending(target(2)).dropped == 0 {
        return Err("the mark is gone".to_owned());
    }
    for range in &reported {
        let node = if range.path.contains(&target(1).to_string()) { target(1) } else { target(2) };
        if hints.pending(node).dropped == 0 {
            return Err(format!("no mark, but {range:?}"));
        }
    }
    drop(hints);
    disk.crash();
    let (hints, _) = open()?;
    for node in [target(1), target(2)] {
        let again: BTreeSet<i64> = all_hints(&hints, node)?.0.iter().map(|(_, (number, _))| *number).collect();
        if again != kept.iter().filter(|(of, _)| *of == node).map(|(_, number)| *number).collect() {
            return Err("another answer after another start".to_owned());
        }
    }
    // The targets' hints are apart: the end of one says nothing of the other.
    let mut outcome = "all there";
    for node in [target(1), target(2)] {
        let of_node: Vec<Written<HintKey>> = written
            .iter()
            .filter(|one| one.what.0 == node)
            .map(|one| Written { path: one.path.clone(), bytes: one.bytes.clone(), ..*one })
            .collect();
        let of: Vec<DamagedRange> =
            reported.iter().filter(|range| range.path.contains(&node.to_string())).cloned().collect();
        let judged = judge_missing(damaged, original, &of_node, &of, |one| !kept.contains(&one.what))?;
        if judged != "all there" {
            outcome = judged;
        }
    }
    Ok(outcome)
}

#[test]
fn damage_of_hints_is_found() {
    let (files, written) = hints_fixture();
    assert_eq!(judge_hints(&files, &files, &written), Ok("all there"));
    let mut regions = Vec::new();
    for (path, bytes) in &files {
        let path = path.clone();
        if path.ends_with("/overflow") {
            regions.push(Region { kind: "hints: mark", path, range: 0..bytes.len() });
        } else {
            regions.push(Region { kind: "hints: segment header", path, range: 0..512 });
        }
    }
    for one in &written {
        let (path, start) = (one.path.clone(), one.bytes.start);
        regions.push(Region { kind: "hints: record header", path: path.clone(), range: start..start + 16 });
        regions.push(Region { kind: "hints: record payload", path, range: start + 16..one.bytes.end });
    }
    sweep("hints", &files, &regions, |damaged, _, _| judge_hints(damaged, &files, &written));
}
