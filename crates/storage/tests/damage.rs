//! Damage and want: flipped bits, full disks, and how much a read of a wide partition reads.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use quorate_model::{Position, ReadCommand, Seconds};
use quorate_storage::{Access, ReadError, Storage, StorageError, StorageOptions};

fn filled(disk: &std::sync::Arc<quorate_env::sim_disk::SimDisk>) -> (Storage, Model) {
    let storage = open(disk);
    let mut model = Model::default();
    for number in 0..60u16 {
        let mutation = insert(1, u64::from(number % 20), number, i64::from(number), &[number as u8; 50]);
        model.apply(&mutation);
        storage.write(mutation).unwrap();
    }
    run_all(storage.flush_all()).unwrap();
    (storage, model)
}

#[test]
fn a_flipped_bit_anywhere_in_a_file_is_never_served() {
    let probe = disk(1);
    let (storage, model) = filled(&probe);
    let expected = model.content(1);
    let (path, len) = probe.snapshot_paths().into_iter().find(|(path, _)| path.ends_with(".sst")).unwrap();
    drop(storage);
    for offset in 0..len {
        // Every region with every bit in turn, on open files and before opening.
        let disk = disk(1);
        let (storage, _) = filled(&disk);
        let storage = if offset % 2 == 0 {
            drop(storage);
            assert!(disk.flip_bit(&path, offset, (offset % 8) as u8));
            open(&disk)
        } else {
            assert!(disk.flip_bit(&path, offset, (offset % 8) as u8));
            storage
        };
        match storage.read(&whole(1), Access::Disk) {
            Ok(answer) => {
                assert_eq!(answer.partitions.into_iter().collect::<std::collections::BTreeMap<_, _>>(), expected)
            }
            Err(ReadError::Corrupt(error)) => {
                assert_eq!(error.path, path);
                let lost = storage.lost_ranges();
                assert_eq!(lost.len(), 1, "byte {offset}");
                assert!(storage.read(&one(1, 3), Access::Disk).is_err() || lost[0].first > key(3).token);
                drop(storage);
                let storage = open(&disk);
                assert_eq!(storage.lost_ranges(), lost, "the mark is persistent");
                assert!(storage.read(&whole(1), Access::Disk).is_err());
                storage.forget_lost(&[]).unwrap();
                assert_eq!(storage.lost_ranges(), lost, "only what was rebuilt is forgotten");
                storage.forget_lost(&lost).unwrap();
                // What the log still had was replayed; the rest is for peers to give.
                assert!(content(&storage, 1).into_iter().all(|found| expected.get(&found.0) == Some(&found.1)));
                drop(storage);
                assert!(open(&disk).lost_ranges().is_empty());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn compaction_never_copies_damage() {
    let disk = disk(2);
    let (storage, _) = filled(&disk);
    for number in 0..60u16 {
        storage.write(insert(1, u64::from(number % 20), number, 500, b"newer")).unwrap();
    }
    run_all(storage.flush_all()).unwrap();
    let (path, _) = disk.snapshot_paths().into_iter().find(|(path, _)| path.ends_with(".sst")).unwrap();
    assert!(disk.flip_bit(&path, 40, 1));
    let error = run_all(storage.major_compaction(table(1))).unwrap_err();
    assert!(matches!(&error, StorageError::Corrupt(corrupt) if corrupt.path == path), "{error}");
    assert_eq!(storage.lost_ranges().len(), 1);
    let listed = disk.snapshot_paths().iter().filter(|(path, _)| path.ends_with(".sst")).count();
    assert_eq!(listed, 2, "the output was removed, the damaged file kept for inspection");
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let disk = disk(3);
    let (storage, mut model) = filled(&disk);
    let used: u64 = disk.snapshot_paths().iter().map(|(_, len)| *len).sum();
    disk.set_capacity(Some(used + 8 * 1024));
    let mut refused = 0;
    for number in 0..400u16 {
        let mutation = insert(1, u64::from(number % 20), number, 1000 + i64::from(number), &[1; 400]);
        let position = match storage.append(&quorate_model::wire::Wire::to_bytes(&mutation)) {
            Ok(position) => position,
            Err(error) => {
                assert!(matches!(error, StorageError::NoSpace(_) | StorageError::Overloaded { .. }), "{error}");
                refused += 1;
                continue;
            }
        };
        model.apply(&mutation);
        match storage.sync_log() {
            Ok(_) => storage.apply(position, mutation).unwrap(),
            Err(error) => {
                // Unknown to its writer; it waits for room, as the log's contract says.
                assert!(matches!(error, StorageError::NoSpace(_)), "{error}");
                disk.set_capacity(Some(used + 64 * 1024));
                storage.sync_log().unwrap();
                storage.apply(position, mutation).unwrap();
                disk.set_capacity(Some(used + 8 * 1024));
            }
        }
        if number % 50 == 0 {
            for job in storage.due_jobs(Seconds(NOW.0 + i64::from(number))) {
                let _ = job.run_to_end();
            }
            assert_eq!(content(&storage, 1), model.content(1), "reads go on");
        }
    }
    assert!(refused > 0, "the disk never filled");
    assert_eq!(content(&storage, 1), model.content(1));
    disk.set_capacity(None);
    settle(&storage).unwrap();
    run_all(storage.flush_all()).unwrap();
    storage.write(insert(1, 1, 1, 9999, b"again")).unwrap();
    model.apply(&insert(1, 1, 1, 9999, b"again"));
    assert_eq!(content(&storage, 1), model.content(1));
    drop(storage);
    disk.crash();
    assert_eq!(content(&open(&disk), 1), model.content(1));
}

#[test]
fn a_compaction_without_room_leaves_nothing_behind() {
    let disk = disk(4);
    let (storage, model) = filled(&disk);
    for round in 0..3 {
        storage.write(insert(1, 1, 1, 100, &[round; 300])).unwrap();
        run_all(storage.flush_all()).unwrap();
    }
    let jobs = storage.major_compaction(table(1));
    let before = disk.snapshot_paths();
    let used: u64 = before.iter().map(|(_, len)| *len).sum();
    disk.set_capacity(Some(used + 600));
    let error = run_all(jobs).unwrap_err();
    assert!(matches!(error, StorageError::NoSpace(_)), "{error}");
    assert_eq!(disk.snapshot_paths(), before);
    disk.set_capacity(None);
    run_all(storage.major_compaction(table(1))).unwrap();
    let mut model = model;
    (0..3).for_each(|round| model.apply(&insert(1, 1, 1, 100, &[round; 300])));
    assert_eq!(content(&storage, 1), model.content(1));
    assert_eq!(storage.stats().tables[&table(1)].sstables, 1);
}

#[test]
fn one_row_of_a_wide_partition_takes_a_few_blocks() {
    let disk = disk(5);
    let options = StorageOptions {
        memtable_bytes_max: 1 << 30,
        memtable_flush_bytes: 1 << 30,
        log_bytes_max: 1 << 30,
        ..StorageOptions::tiny()
    };
    let storage = Storage::open(disk.clone(), options, NOW).unwrap().0;
    for number in 0..5_000u16 {
        storage.write(insert(1, 1, number, i64::from(number), &[7; 30])).unwrap();
    }
    run_all(storage.flush_all()).unwrap();
    for reversed in [false, true] {
        for number in [0u16, 1, 2_499, 4_999] {
            let slice = (position(number), Position::after(&position(number).0));
            let command = ReadCommand { slices: vec![slice], reversed, ..one(1, 1) };
            let before = disk.counters().reads;
            let answer = read(&storage, &command);
            assert_eq!(answer.partitions[0].1.rows.len(), 1);
            let reads = disk.counters().reads - before;
            assert!(reads <= 5, "{reads} reads for row {number}");
        }
        let command = ReadCommand { row_limit: 3, reversed, ..one(1, 1) };
        let before = disk.counters().reads;
        let answer = read(&storage, &command);
        let first = answer.partitions[0].1.rows.keys().next().cloned();
        assert_eq!(answer.partitions[0].1.rows.len(), 3);
        assert_eq!(first, Some(clustering(if reversed { 4_997 } else { 0 })));
        assert!(answer.stopped_at.is_some());
        assert!(disk.counters().reads - before <= 5);
    }
    // An absent partition is the filter's business alone.
    let before = disk.counters().reads;
    for number in 100..300 {
        assert!(read(&storage, &one(1, number)).partitions.is_empty());
    }
    assert!(disk.counters().reads - before <= 20);
}

#[test]
fn a_read_in_memory_never_touches_the_disk() {
    let disk = disk(6);
    let (storage, _) = filled(&disk);
    assert_eq!(storage.read(&one(1, 3), Access::MemoryOnly), Err(ReadError::NeedsDisk));
    let answer = read(&storage, &one(1, 3));
    let before = disk.counters().reads;
    assert_eq!(storage.read(&one(1, 3), Access::MemoryOnly).unwrap(), answer);
    assert_eq!(disk.counters().reads, before);
}

#[test]
fn snapshots_keep_files_until_cleared() {
    let disk = disk(7);
    let (storage, _) = filled(&disk);
    let taken = storage.snapshot(&[table(1)], "before drop", Some(60), NOW).unwrap();
    assert_eq!(taken.len(), 1);
    assert!(matches!(storage.snapshot(&[table(1)], "before drop", None, NOW), Err(StorageError::Invalid(_))));
    assert!(matches!(storage.snapshot(&[table(1)], "../evil", None, NOW), Err(StorageError::Invalid(_))));
    storage.drop_table(table(1)).unwrap();
    drop(storage);
    disk.crash();
    let storage = open(&disk);
    assert_eq!(storage.list_snapshots().unwrap(), taken);
    assert_eq!(storage.clear_expired_snapshots(NOW).unwrap(), 0);
    assert_eq!(storage.clear_snapshots(Some("another"), None).unwrap(), 0);
    assert_eq!(storage.clear_expired_snapshots(Seconds(NOW.0 + 60)).unwrap(), 1);
    assert!(storage.list_snapshots().unwrap().is_empty());
    assert!(!disk.snapshot_paths().iter().any(|(path, _)| path.ends_with(".sst")));
}

#[test]
fn the_log_shrinks_after_flushes_and_memory_is_bounded() {
    let disk = disk(8);
    let storage = open(&disk);
    let mut refused = 0;
    for number in 0..3_000u16 {
        match storage.write(insert(1, u64::from(number), 1, 1, &[0; 200])) {
            Ok(()) => {}
            Err(StorageError::Overloaded { .. }) => {
                refused += 1;
                settle(&storage).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(storage.stats().memtable_bytes <= 130 * 1024);
    }
    assert!(refused > 0);
    settle(&storage).unwrap();
    run_all(storage.flush_all()).unwrap();
    settle(&storage).unwrap();
    assert_eq!(storage.stats().memtable_bytes, 0);
    assert!(storage.stats().log_bytes <= 3 * 16 * 1024, "{} bytes of log", storage.stats().log_bytes);
    assert!(storage.stats().compactions > 0);
}

#[test]
fn a_damaged_log_is_each_tables_loss_until_it_is_rebuilt() {
    let disk = disk(9);
    let storage = open(&disk);
    for number in 1..=9u16 {
        for id in [1, 2] {
            storage.write(insert(id, u64::from(number), number, 1, b"a value")).unwrap();
        }
    }
    drop(storage);
    disk.crash();
    let (path, _) = disk.snapshot_paths().into_iter().find(|(path, _)| path.starts_with("commit_log/")).unwrap();
    let place = disk.content(&path).unwrap().windows(7).position(|window| window == b"a value").unwrap();
    assert!(disk.flip_bit(&path, place as u64, 0));
    let (storage, report) = Storage::open(disk.clone(), StorageOptions::tiny(), NOW).unwrap();
    assert_eq!((report.log_damaged.len(), storage.log_damage()), (1, report.log_damaged));
    // A table that is not there yet may have lost what was to make it.
    storage.lose_with_log(&[table(1), table(2), table(3)]).unwrap();
    drop(storage);
    disk.crash();
    let (storage, report) = Storage::open(disk.clone(), StorageOptions::tiny(), NOW).unwrap();
    assert_eq!((report.log_damaged, storage.log_damage(), report.lost.len()), (vec![], vec![], 3));
    for id in 1..=3 {
        for command in [one(id, 5), whole(id)] {
            let refused = storage.read(&command, Access::Disk);
            assert!(matches!(refused, Err(ReadError::Corrupt(_))), "{refused:?}");
        }
    }
    let remains = storage.read_remains(&whole(1), Access::Disk).unwrap();
    assert_eq!(remains.partitions.len(), 8);
    let of_one = |lost: &quorate_storage::LostRange| lost.table == table(1);
    let (rebuilt, left): (Vec<_>, Vec<_>) = storage.lost_ranges().into_iter().partition(of_one);
    storage.forget_lost(&rebuilt).unwrap();
    assert_eq!(storage.lost_ranges(), left);
    assert_eq!(content(&storage, 1).len(), 8);
    storage.drop_table(table(2)).unwrap();
    drop(storage);
    assert_eq!(open(&disk).lost_ranges().iter().map(|range| range.table).collect::<Vec<_>>(), [table(3)]);
}
