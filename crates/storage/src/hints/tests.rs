use std::sync::Arc;

use quorate_env::Random;
use quorate_env::sim_disk::{SimDisk, SimDiskOptions};

use quorate_env::OpenMode;

use super::*;

const DIR: &str = "hints";

fn limits() -> HintLimits {
    HintLimits { segment_bytes: 1024, target_bytes_max: 64 << 10, unsynced_bytes_max: 32 << 10, window_seconds: 100 }
}

fn disk(seed: u64) -> Arc<SimDisk> {
    SimDisk::new(seed, SimDiskOptions::default())
}

fn open(disk: &Arc<SimDisk>) -> Result<(HintLog, HintOpenReport), StorageError> {
    HintLog::open(Arc::<SimDisk>::clone(disk), DIR, limits())
}

fn node(number: u128) -> NodeId {
    NodeId::from_u128(number)
}

fn mutation(number: u64) -> Bytes {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + (number * 31 % 120) as usize, number as u8 | 1);
    Bytes::from(bytes)
}

/// Everything durable for a target, read in small batches.
fn read_all(log: &HintLog, target: NodeId) -> (Vec<Bytes>, Vec<DamagedRange>) {
    let (mut hints, mut damaged) = (Vec::new(), Vec::new());
    let mut cursor = HintPosition::default();
    loop {
        let batch = log.read_batch(target, cursor, 200).unwrap();
        assert!(batch.hints.is_sorted_by_key(|(position, _)| *position));
        hints.extend(batch.hints.into_iter().map(|(_, hint)| hint.mutation));
        damaged.extend(batch.damaged);
        if batch.next == cursor {
            return (hints, damaged);
        }
        cursor = batch.next;
    }
}

#[test]
fn hints_come_back_in_order_for_each_target() {
    let disk = disk(1);
    let (log, _) = open(&disk).unwrap();
    for number in 0..60 {
        log.append(node(u128::from(number % 2)), Seconds(number as i64), &mutation(number)).unwrap();
        if number == 30 {
            log.sync().unwrap();
        }
    }
    assert_eq!(read_all(&log, node(0)).0.len(), 16, "only what is durable");
    log.sync().unwrap();
    disk.crash();
    let (log, report) = open(&disk).unwrap();
    assert_eq!((report.hints, report.damaged, report.torn), (60, vec![], 0));
    for target in 0..2 {
        let expected: Vec<Bytes> = (0..60).filter(|number| number % 2 == target).map(mutation).collect();
        assert_eq!(read_all(&log, node(u128::from(target))).0, expected);
    }
    let pending = log.pending(node(1));
    assert_eq!((pending.count, pending.oldest, pending.dropped), (30, Some(Seconds(1)), 0));
}

#[test]
fn power_may_fail_at_every_operation() {
    for seed in 0..8 {
        for at in 1.. {
            let disk = disk(seed * 1000 + at);
            let mut random = Random::new(seed);
            let (mut appended, mut durable, mut delivered) = (0, 0, 0);
            disk.crash_after(at);
            let mut run = || -> Result<(), StorageError> {
                let (log, _) = open(&disk)?;
                let mut cursor = HintPosition::default();
                for _ in 0..12 {
                    for _ in 0..random.between(1, 4) {
                        log.append(node(7), Seconds(5), &mutation(appended))?;
                        appended += 1;
                    }
                    if random.chance(3, 4) {
                        log.sync()?;
                        durable = appended;
                    }
                    if random.chance(1, 3) {
                        let batch = log.read_batch(node(7), cursor, 300)?;
                        delivered += batch.hints.len() as u64;
                        cursor = batch.next;
                        log.advance(node(7), cursor)?;
                    }
                }
                Ok(())
            };
            let finished = run().is_ok();
            let context = format!("seed {seed}, power lost at operation {at}");
            disk.crash();
            disk.crash_after(random.between(1, 8));
            drop(open(&disk));
            disk.crash();
            let (log, report) = open(&disk).unwrap();
            assert_eq!(report.damaged, [], "{context}");
            let (hints, damaged) = read_all(&log, node(7));
            assert_eq!(damaged, [], "{context}");
            let numbers: Vec<u64> =
                hints.iter().map(|hint| u64::from_le_bytes(hint[..8].try_into().unwrap())).collect();
            assert!(hints.iter().zip(&numbers).all(|(hint, number)| *hint == mutation(*number)), "{context}");
            assert!(
                (delivered..durable).all(|number| numbers.contains(&number)),
                "{context}: {numbers:?} {delivered}..{durable}"
            );
            assert!(numbers.iter().all(|number| *number < appended), "{context}");
            assert_eq!(log.pending(node(7)).dropped, 0, "{context}");
            // What was cut off is not found again, and what is new stands behind it.
            log.append(node(7), Seconds(6), &mutation(appended)).unwrap();
            log.sync().unwrap();
            disk.crash();
            let (log, report) = open(&disk).unwrap();
            assert_eq!((report.damaged, report.torn), (vec![], 0), "{context}");
            assert_eq!(read_all(&log, node(7)).0.last(), Some(&mutation(appended)), "{context}");
            if finished {
                break;
            }
        }
    }
}

#[test]
fn delivered_segments_go() {
    let disk = disk(3);
    let (log, _) = open(&disk).unwrap();
    for round in 0..5 {
        for number in 0..40 {
            log.append(node(1), Seconds(1), &mutation(round * 40 + number)).unwrap();
        }
        log.sync().unwrap();
        let mut cursor = HintPosition::default();
        let mut hints = 0;
        loop {
            let batch = log.read_batch(node(1), cursor, 500).unwrap();
            hints += batch.hints.len();
            if batch.next == cursor {
                break;
            }
            cursor = batch.next;
            log.advance(node(1), cursor).unwrap();
        }
        assert_eq!(hints, 40, "round {round}");
        assert_eq!(log.pending(node(1)), PendingHints::default());
        assert_eq!(disk.snapshot_paths(), []);
    }
    assert_eq!(log.targets(), []);
}

#[test]
fn what_is_dropped_leaves_a_durable_mark() {
    let disk = disk(4);
    let (log, _) = open(&disk).unwrap();
    let full = loop {
        if let Err(error) = log.append(node(1), Seconds(1), &Bytes::from(vec![1; 3000])) {
            break error;
        }
        log.sync().unwrap();
    };
    assert!(matches!(full, StorageError::Overloaded { .. }), "{full}");
    log.append(node(2), Seconds(1), &mutation(1)).unwrap();
    log.sync().unwrap();
    disk.crash();
    let (log, _) = open(&disk).unwrap();
    assert_eq!((log.pending(node(1)).dropped, log.pending(node(2)).dropped), (1, 0));
    // The window passes.
    assert_eq!(log.expire(Seconds(101)).unwrap(), 0);
    assert_eq!(log.expire(Seconds(102)).unwrap(), 22);
    disk.crash();
    let (log, _) = open(&disk).unwrap();
    assert_eq!((log.pending(node(1)).dropped, log.pending(node(2)).dropped), (22, 1));
    log.clear_mark(node(2)).unwrap();
    log.drop_target(node(1)).unwrap();
    disk.crash();
    let (log, _) = open(&disk).unwrap();
    assert_eq!(log.targets().iter().filter(|target| log.pending(**target).dropped > 0).count(), 0);
}

#[test]
fn a_full_volume_drops_hints_and_later_ones_are_kept() {
    let disk = disk(5);
    let (log, _) = open(&disk).unwrap();
    log.append(node(1), Seconds(1), &mutation(1)).unwrap();
    log.sync().unwrap();
    disk.set_capacity(Some(700));
    for number in 2..20 {
        log.append(node(1), Seconds(1), &mutation(number)).unwrap();
    }
    assert!(matches!(log.sync(), Err(StorageError::NoSpace(_))));
    disk.set_capacity(None);
    log.append(node(1), Seconds(1), &mutation(20)).unwrap();
    log.sync().unwrap();
    disk.crash();
    let (log, report) = open(&disk).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(read_all(&log, node(1)).0, [mutation(1), mutation(20)]);
    assert_eq!(log.pending(node(1)).dropped, 18);
}

#[test]
fn a_segment_that_ends_early_is_damage_if_another_follows() {
    let disk = disk(8);
    let (log, _) = open(&disk).unwrap();
    for number in 0..30 {
        log.append(node(1), Seconds(1), &mutation(number)).unwrap();
        log.sync().unwrap();
    }
    let (path, len) = disk.snapshot_paths()[0].clone();
    drop(log);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    file.set_len(len - RECORD_HEADER_BYTES - 8).and_then(|()| file.sync()).unwrap();
    for _ in 0..2 {
        let (log, report) = open(&disk).unwrap();
        assert_eq!((report.damaged.len(), report.damaged[0].path.as_str()), (1, path.as_str()), "{report:?}");
        assert_eq!(log.pending(node(1)).dropped, 1);
        disk.crash();
    }
}

#[test]
fn a_failed_sync_ends_the_log() {
    let disk = disk(6);
    let (log, _) = open(&disk).unwrap();
    log.append(node(1), Seconds(1), &mutation(1)).unwrap();
    disk.fail_next_sync(".hints");
    let first = log.sync().unwrap_err();
    assert!(matches!(first, StorageError::Poisoned(_)));
    assert_eq!(log.append(node(1), Seconds(1), &mutation(2)).unwrap_err(), first);
    assert_eq!(log.sync().unwrap_err(), first);
}

#[test]
fn a_flipped_bit_costs_one_hint_and_is_reported() {
    let disk = disk(7);
    let (log, _) = open(&disk).unwrap();
    for number in 0..8 {
        log.append(node(1), Seconds(1), &mutation(number)).unwrap();
        log.sync().unwrap();
    }
    let (path, len) = disk.snapshot_paths()[0].clone();
    for offset in 512..len {
        disk.flip_bit(&path, offset, 3);
        let (hints, damaged) = read_all(&log, node(1));
        // The record that ends the segment is no hint.
        let left = if offset < len - RECORD_HEADER_BYTES { 7 } else { 8 };
        assert_eq!((hints.len(), damaged.len()), (left, 1), "byte {offset}: {damaged:?}");
        assert!(damaged[0].from <= offset && offset < damaged[0].to);
        disk.flip_bit(&path, offset, 3);
    }
    // Found when opening: the target is marked.
    disk.flip_bit(&path, 540, 1);
    let (log, report) = open(&disk).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(log.pending(node(1)).dropped, 1);
    assert_eq!(log.pending(node(1)).count, 7);
}
