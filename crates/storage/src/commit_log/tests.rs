use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_env::Random;
use quorate_env::sim_disk::{SimDisk, SimDiskOptions};

use super::*;

const DIR: &str = "log";

fn options() -> CommitLogOptions {
    CommitLogOptions { segment_bytes: 2048, unsynced_bytes_max: 4096, spares_max: 1, ..CommitLogOptions::default() }
}

fn disk(seed: u64) -> Arc<SimDisk> {
    SimDisk::new(seed, SimDiskOptions::default())
}

type Replayed = Vec<(LogPosition, Vec<u8>)>;

fn open_with(
    disk: &Arc<SimDisk>,
    options: CommitLogOptions,
) -> Result<(CommitLog, Replayed, ReplayReport), StorageError> {
    let mut replayed = Vec::new();
    let mut sink = |position, bytes: Bytes| {
        replayed.push((position, bytes.to_vec()));
        Ok(())
    };
    let (log, report) = CommitLog::open(Arc::<SimDisk>::clone(disk), DIR, options, &mut sink)?;
    Ok((log, replayed, report))
}

fn open(disk: &Arc<SimDisk>) -> Result<(CommitLog, Replayed, ReplayReport), StorageError> {
    open_with(disk, options())
}

/// A recognisable payload of its own length.
fn payload(number: u64) -> Vec<u8> {
    let len = 8 + (number * 37 % 180) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len, number as u8 | 1);
    bytes
}

#[test]
fn a_segment_that_was_cut_is_damage_wherever_it_was_cut() {
    for len in [0, 79, 512, 700, 1024, 2040] {
        let disk = disk(1);
        let (log, ..) = open(&disk).unwrap();
        for number in 0..4 {
            log.append(&payload(number)).unwrap();
            log.sync().unwrap();
        }
        drop(log);
        let (path, _) = disk.snapshot_paths().into_iter().find(|(path, _)| path.ends_with("1.log")).unwrap();
        let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
        file.set_len(len).and_then(|()| file.sync()).unwrap();
        // Twice: nothing that the first start writes hides it from the second.
        for start in 0..2 {
            let (_, _, report) = open(&disk).unwrap();
            assert!(report.damaged.iter().any(|range| range.path == path), "cut at {len}, start {start}: {report:?}");
            disk.crash();
        }
    }
}

/// What a node would remember of its log.
#[derive(Default)]
struct Ledger {
    appended: BTreeMap<LogPosition, Vec<u8>>,
    durable: LogPosition,
    discarded: LogPosition,
    numbers: u64,
}

impl Ledger {
    /// Appends, syncs, prepares and discards until it is done or the power fails.
    fn work(&mut self, log: &CommitLog, random: &mut Random, steps: u64) -> Result<(), StorageError> {
        for _ in 0..steps {
            for _ in 0..random.between(1, 4) {
                self.numbers += 1;
                let bytes = payload(self.numbers);
                self.appended.insert(log.append(&bytes)?, bytes);
            }
            if random.chance(1, 2) && log.wants_segment() {
                log.prepare()?;
            }
            if random.chance(3, 4) {
                self.durable = log.sync()?;
            }
            if random.chance(1, 4) {
                let known: Vec<LogPosition> = self.appended.keys().copied().collect();
                self.discarded = self.discarded.max(random.pick(&known).copied().unwrap_or_default().min(self.durable));
                log.discard_before(self.discarded)?;
            }
        }
        Ok(())
    }

    fn check(&self, replayed: &Replayed, report: &ReplayReport, context: &str) {
        assert_eq!(report.damaged, [], "{context}");
        assert!(replayed.is_sorted_by_key(|(position, _)| *position), "{context}");
        for (position, bytes) in replayed {
            assert_eq!(self.appended.get(position), Some(bytes), "{context}: {position:?} was never appended so");
        }
        let replayed: BTreeMap<_, _> = replayed.iter().cloned().collect();
        for position in self.appended.range(self.discarded..self.durable).map(|(position, _)| position) {
            assert!(replayed.contains_key(position), "{context}: {position:?} was durable and is gone");
        }
        // Whole unsynced records may be there, but only before the first that is not.
        let unsynced: Vec<bool> =
            self.appended.range(self.durable..).map(|(position, _)| replayed.contains_key(position)).collect();
        assert!(unsynced.is_sorted_by(|a, b| a >= b), "{context}: a hole among unsynced records");
    }
}

#[test]
fn power_may_fail_at_every_operation() {
    fail_at_every_operation(SimDisk::crash, "power");
}

/// What the process did last is then in the cache alone when the power fails during the recovery.
#[test]
fn the_process_may_die_at_every_operation() {
    fail_at_every_operation(SimDisk::kill, "process");
}

fn fail_at_every_operation(end: fn(&SimDisk), what: &str) {
    let mut crashes = 0;
    for seed in 0..60 {
        for at in 1.. {
            let disk = disk(seed * 1000 + at);
            let mut ledger = Ledger::default();
            let mut random = Random::new(seed);
            disk.crash_after(at);
            let context = format!("seed {seed}, {what} lost at operation {at}");
            let finished = open(&disk).and_then(|(log, _, _)| ledger.work(&log, &mut random, 14)).is_ok();
            assert_eq!(disk.power_lost(), !finished, "{context}");
            end(&disk);
            crashes += 1;
            // The power fails again while the log is opened, then the node works on and loses power once more.
            disk.crash_after(random.between(1, 20));
            drop(open(&disk));
            disk.crash();
            let (log, replayed, report) = open(&disk).unwrap();
            ledger.check(&replayed, &report, &context);
            // What was replayed is acknowledged from now on; what was not is no part of the history.
            let replayed: BTreeMap<_, _> = replayed.into_iter().collect();
            ledger.appended = replayed.clone();
            ledger.durable = log.position();
            disk.crash_after(random.between(1, 40));
            let _ = ledger.work(&log, &mut random, 8);
            end(&disk);
            let (_, replayed, report) = open(&disk).unwrap();
            ledger.check(&replayed, &report, &format!("{context}, second life"));
            disk.crash();
            let (_, again, report) = open(&disk).unwrap();
            assert_eq!((again, report.damaged), (replayed, vec![]), "{context}: replay is idempotent");
            if finished {
                break;
            }
        }
    }
    assert!(crashes > 500, "{crashes}");
}

#[test]
fn death_of_the_process_loses_nothing_synced_and_reports_nothing() {
    let disk = disk(1);
    let mut ledger = Ledger::default();
    for life in 0..20 {
        let (log, replayed, report) = open(&disk).unwrap();
        ledger.check(&replayed, &report, &format!("life {life}"));
        assert_eq!(report.torn, None);
        ledger.appended = replayed.into_iter().collect();
        ledger.work(&log, &mut Random::new(life), 10).unwrap();
        disk.kill();
    }
}

/// A log whose records are all durable, and the bytes of its segments.
fn small_log(close: bool) -> (Replayed, BTreeMap<String, Vec<u8>>) {
    let disk = disk(7);
    let (log, _, _) = open(&disk).unwrap();
    let mut written = Vec::new();
    for number in 0..44 {
        let bytes = payload(number);
        written.push((log.append(&bytes).unwrap(), bytes));
        if number % 3 == 2 || number == 43 {
            log.sync().unwrap();
        }
    }
    if close {
        log.close().unwrap();
    }
    let files =
        disk.snapshot_paths().into_iter().map(|(path, _)| (path.clone(), disk.content(&path).unwrap())).collect();
    (written, files)
}

fn disk_with(files: &BTreeMap<String, Vec<u8>>) -> Arc<SimDisk> {
    let disk = disk(0);
    disk.create_dir(DIR).unwrap();
    for (path, bytes) in files {
        disk.open(path, OpenMode::CreateNew).unwrap().write_at(0, bytes).unwrap();
    }
    disk
}

/// Segments with records, and the end of what is written in them.
fn written_ends(written: &Replayed) -> BTreeMap<u64, u64> {
    let mut ends = BTreeMap::new();
    for (position, bytes) in written {
        // The terminator behind the last record, or the end record, counts as written.
        ends.insert(position.segment, position.offset + framed_len(bytes.len() as u64) + RECORD_HEADER_BYTES);
    }
    ends
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    for close in [false, true] {
        let (written, files) = small_log(close);
        let ends = written_ends(&written);
        assert!(ends.len() > 1, "several segments");
        for (segment, end) in ends {
            for offset in 0..end {
                let disk = disk_with(&files);
                assert!(disk.flip_bit(&segment_path(DIR, segment), offset, (offset % 8) as u8));
                let (_, replayed, report) = open(&disk).unwrap();
                let context = format!("segment {segment}, byte {offset}, closed {close}: {report:?}");
                assert!(!report.damaged.is_empty() || report.torn.is_some(), "unreported: {context}");
                assert!(replayed.iter().all(|record| written.contains(record)), "a wrong record: {context}");
                let missing: Vec<_> = written.iter().filter(|record| !replayed.contains(record)).collect();
                if close {
                    assert!(
                        !report.damaged.is_empty() || missing.is_empty(),
                        "a closed log has no torn tail: {context}"
                    );
                    assert!(missing.len() <= 1, "one flip costs one record: {context}");
                }
                for (position, _) in missing {
                    let damaged = report.damaged.iter().any(|range| {
                        range.path == segment_path(DIR, segment)
                            && range.from <= position.offset
                            && position.offset < range.to
                    });
                    let torn = report.torn.as_ref().is_some_and(|torn| position.offset >= torn.offset);
                    assert!(damaged || torn, "{position:?} is missing and nothing says so: {context}");
                }
            }
        }
    }
}

#[test]
fn a_lost_segment_and_a_lost_tail_are_damage() {
    let (written, files) = small_log(false);
    let segments: Vec<u64> = written_ends(&written).into_keys().collect();
    assert!(segments.len() >= 3);
    let disk = disk_with(&files);
    disk.remove(&segment_path(DIR, segments[1])).unwrap();
    let (_, _, report) = open(&disk).unwrap();
    assert_eq!(report.damaged.iter().map(|range| range.problem).collect::<Vec<_>>(), ["the segment is missing"]);

    // The second half of a segment reads as zeros, as if its writes had never reached the medium.
    let disk = disk_with(&files);
    let path = segment_path(DIR, segments[0]);
    disk.open(&path, OpenMode::ReadWrite).unwrap().write_at(1024, &[0; 1024]).unwrap();
    let (_, replayed, report) = open(&disk).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!((report.damaged[0].path.as_str(), report.damaged[0].to), (path.as_str(), 2048));
    assert!(replayed.iter().any(|(position, _)| position.segment > segments[0]), "later records are still delivered");
}

#[test]
fn a_write_that_went_astray_is_never_a_record() {
    let (written, files) = small_log(false);
    let segments: Vec<u64> = written_ends(&written).into_keys().collect();
    let disk = disk_with(&files);
    let stray = &files[&segment_path(DIR, segments[0])][512..1536];
    let file = disk.open(&segment_path(DIR, segments[1]), OpenMode::ReadWrite).unwrap();
    file.write_at(512, stray).unwrap();
    let (_, replayed, report) = open(&disk).unwrap();
    assert!(replayed.iter().all(|record| written.contains(record)));
    assert!(!report.damaged.is_empty());
}

#[test]
fn what_the_disk_cannot_read_is_damage_and_is_not_written_over() {
    let (written, files) = small_log(false);
    let disk = disk_with(&files);
    // Every read fails, in the first life alone.
    disk.set_options(SimDiskOptions { read_errors_ppm: 1_000_000, ..Default::default() });
    let (log, replayed, report) = open(&disk).unwrap();
    assert_eq!(replayed, []);
    assert!(report.damaged.iter().any(|range| range.problem == "the disk cannot read it"));
    drop(log);
    disk.set_options(SimDiskOptions::default());
    let (_, replayed, _) = open(&disk).unwrap();
    assert_eq!(replayed, written);
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_the_log_is_opened_again() {
    for operation in ["sync", "write"] {
        let disk = disk(3);
        let (log, _, _) = open(&disk).unwrap();
        log.append(b"first").unwrap();
        let durable = log.sync().unwrap();
        log.append(b"second").unwrap();
        if operation == "sync" {
            disk.fail_next_sync(".log");
        } else {
            disk.set_options(SimDiskOptions { write_errors_ppm: 1_000_000, ..Default::default() });
        }
        let first = log.sync().unwrap_err();
        disk.set_options(SimDiskOptions::default());
        assert!(matches!(&first, StorageError::Poisoned(cause) if cause.contains(operation)), "{first}");
        assert_eq!(log.append(b"third").unwrap_err(), first, "the first cause, for ever");
        assert_eq!(log.sync().unwrap_err(), first);
        assert_eq!(log.durable(), durable);
        disk.crash();
        let (_, replayed, report) = open(&disk).unwrap();
        assert_eq!(replayed[0].1, b"first");
        assert_eq!(report.damaged, []);
    }
}

#[test]
fn a_full_volume_refuses_before_it_writes_and_recovers_when_room_returns() {
    let disk = disk(5);
    let (log, _, _) = open(&disk).unwrap();
    let used: u64 = disk.snapshot_paths().iter().map(|(_, len)| len).sum();
    disk.set_capacity(Some(used + 1000));
    let mut taken = Vec::new();
    // Noticed ahead: the active segment is still usable, then appends are refused without any effect.
    assert!(matches!(log.prepare(), Err(StorageError::NoSpace(_))));
    assert!(log.wants_segment());
    let refused = loop {
        match log.append(&[1; 100]) {
            Ok(position) => taken.push(position),
            Err(error) => break error,
        }
        log.sync().unwrap();
    };
    assert!(matches!(refused, StorageError::NoSpace(_)), "{refused}");
    assert_eq!(taken.len(), 12);
    disk.set_capacity(None);
    log.prepare().unwrap();
    taken.push(log.append(&[1; 100]).unwrap());
    log.sync().unwrap();
    disk.crash();
    let (_, replayed, report) = open(&disk).unwrap();
    assert_eq!(
        (replayed.into_iter().map(|(position, _)| position).collect::<Vec<_>>(), report.damaged),
        (taken, vec![])
    );
}

#[test]
fn records_that_wait_for_room_are_written_when_it_returns() {
    let disk = disk(6);
    let (log, _, _) = open(&disk).unwrap();
    let used: u64 = disk.snapshot_paths().iter().map(|(_, len)| len).sum();
    disk.set_capacity(Some(used));
    // Nobody prepared: the need is found by the committer, with records of both segments waiting.
    let positions: Vec<_> = (0..20).map(|_| log.append(&[2; 100]).unwrap()).collect();
    assert!(positions[19].segment > positions[0].segment);
    assert!(matches!(log.sync(), Err(StorageError::NoSpace(_))));
    assert!(matches!(log.sync(), Err(StorageError::NoSpace(_))), "it may be tried again");
    assert!(log.durable() > positions[5] && log.durable() < positions[19], "what had room is durable");
    disk.set_capacity(None);
    log.append(&[2; 100]).unwrap();
    assert!(log.sync().unwrap() > positions[19]);
    disk.crash();
    assert_eq!(open(&disk).unwrap().1.len(), 21);
}

#[test]
fn limits_are_refusals() {
    let disk = disk(8);
    let (log, _, _) = open(&disk).unwrap();
    assert!(matches!(log.append(&[0; 1025]), Err(StorageError::Invalid(_))));
    log.append(&[0; 1024]).unwrap();
    let refused = loop {
        match log.append(&[0; 500]) {
            Ok(_) => assert!(log.unsynced_bytes() <= 4096),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StorageError::Overloaded { limit: 4096, .. }), "{refused}");
    log.sync().unwrap();
    assert_eq!(log.unsynced_bytes(), 0);
    log.append(&[0; 500]).unwrap();
    for segment_bytes in [0, 511, 2049, 2 << 30] {
        let odd = CommitLogOptions { segment_bytes, ..options() };
        assert!(matches!(open_with(&SimDisk::new(0, SimDiskOptions::default()), odd), Err(StorageError::Invalid(_))));
    }
}

#[test]
fn segments_are_recycled_and_their_old_records_never_return() {
    let disk = disk(9);
    let (log, _, _) = open(&disk).unwrap();
    for number in 0..200 {
        log.append(&payload(number)).unwrap();
        let durable = log.sync().unwrap();
        log.discard_before(durable).unwrap();
    }
    let files = disk.snapshot_paths();
    assert!(files.len() <= 3, "{files:?}");
    assert!(log.size() <= 2 * 2048);
    disk.kill();
    let (_, replayed, report) = open(&disk).unwrap();
    assert!(replayed.len() < 20 && report.damaged.is_empty());
    assert_eq!(replayed.last().unwrap().1, payload(199));
}

#[test]
fn restarts_without_writes_pile_nothing_up_and_positions_only_grow() {
    let disk = disk(10);
    let mut last = LogPosition::default();
    for _ in 0..10 {
        let (log, _, _) = open(&disk).unwrap();
        assert!(log.position() > last);
        last = log.position();
        disk.kill();
    }
    assert!(disk.snapshot_paths().len() <= 2);
    let floor = CommitLogOptions { segment_min: 1000, ..options() };
    assert_eq!(open_with(&disk, floor).unwrap().0.position().segment, 1000);
}

#[test]
fn a_disk_that_lies_about_syncs_loses_writes() {
    let lost = (0..30).filter(|seed| {
        let disk = disk(*seed);
        let (log, _, _) = open(&disk).unwrap();
        disk.set_options(SimDiskOptions { lying_sync: true, ..SimDiskOptions::default() });
        log.append(b"acknowledged").unwrap();
        log.sync().unwrap();
        disk.crash();
        open(&disk).unwrap().1.is_empty()
    });
    assert!(lost.count() > 5);
}

#[test]
fn many_threads_append_while_one_syncs() {
    let disk = disk(11);
    let big = CommitLogOptions { segment_bytes: 16 << 10, unsynced_bytes_max: 1 << 20, ..options() };
    let (log, _, _) = open_with(&disk, big).unwrap();
    let log = &log;
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for number in 0..500_u64 {
                    let bytes = [thread.to_le_bytes(), number.to_le_bytes()].concat();
                    let position = log.append(&bytes).unwrap();
                    if number % 16 == 0 {
                        assert!(log.sync().unwrap() > position);
                    }
                }
            });
        }
    });
    log.sync().unwrap();
    disk.crash();
    let (_, replayed, report) = open(&disk).unwrap();
    assert_eq!((replayed.len(), report.damaged), (2000, vec![]));
    // Each thread's records are in its own order.
    let mut next = [0_u64; 4];
    for (_, bytes) in replayed {
        let thread = usize::from(bytes[0]);
        assert_eq!(bytes[8..], next[thread].to_le_bytes());
        next[thread] += 1;
    }
}

/// A sync that fails drops what was written, and the cache goes on showing it: recovery must not build on that.
#[test]
fn recovery_makes_durable_what_it_builds_on() {
    for (seed, failures) in (0..60).flat_map(|seed| (0..4).map(move |failures| (seed, failures))) {
        let context = format!("seed {seed}, {failures} syncs of the recovery failed");
        let disk = disk(seed);
        let (log, _, _) = open(&disk).unwrap();
        log.append(b"acknowledged").unwrap();
        log.sync().unwrap();
        let active = segment_path(DIR, log.position().segment);
        if seed % 2 == 0 {
            // Written, but not on the medium; the cache shows it, and so does the next replay.
            log.append(&[7; 900]).unwrap();
            disk.fail_next_sync(&active);
            log.sync().unwrap_err();
        }
        drop(log);
        disk.kill();
        for _ in 0..failures {
            disk.fail_next_sync(&active);
            assert!(open(&disk).is_err(), "{context}");
            if seed % 3 == 0 {
                disk.kill();
            }
        }
        if seed % 5 == 0 {
            // The power fails in the middle of it.
            disk.crash_after(1 + seed / 5 % 5);
            assert!(open(&disk).is_err(), "{context}");
            disk.crash();
        }
        let (log, mut expected, report) = open(&disk).unwrap();
        assert_eq!((expected[0].1.as_slice(), report.damaged), (&b"acknowledged"[..], vec![]), "{context}");
        let position = log.append(b"after").unwrap();
        log.sync().unwrap();
        expected.push((position, b"after".to_vec()));
        drop(log);
        disk.crash();
        let (_, replayed, report) = open(&disk).unwrap();
        assert_eq!((replayed, report.damaged), (expected, vec![]), "{context}");
    }
}
