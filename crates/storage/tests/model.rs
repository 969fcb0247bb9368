//! Random histories against a plain map: flush, compaction, truncation, drop and reopening never change an answer (M7),
//! replay is idempotent (D9), and reads with any slices, limits and directions give what the model gives.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use quorate_env::Random;
use quorate_model::read::Resume;
use quorate_model::{Position, ReadCommand, ReadResponse, ReadTarget, Timestamp, Token};
use quorate_storage::{Access, ReadError, Storage, StorageJob};

const TABLES: u8 = 3;

fn random_slices(random: &mut Random) -> Vec<(Position, Position)> {
    match random.below(5) {
        0 => vec![],
        1 => (0..4).map(|n| (position(n * 11), position(n * 11 + random.between(1, 10) as u16))).collect(),
        2 => {
            let row = random.below(40) as u16;
            vec![(position(row), Position::after(&position(row).0))]
        }
        3 => vec![(position(random.below(30) as u16), Position::END)],
        _ => vec![(Position::START, Position::END)],
    }
}

fn random_command(random: &mut Random, table_number: u8) -> ReadCommand {
    let target = if random.chance(1, 2) {
        ReadTarget::Partition(key(random.below(32)))
    } else {
        let after = random.chance(1, 2).then(|| Token(random.next_u64() as i64));
        ReadTarget::Range { after, last: Token(random.next_u64() as i64), from: None }
    };
    let limit = |random: &mut Random| if random.chance(1, 2) { u32::MAX } else { random.between(1, 12) as u32 };
    ReadCommand {
        target,
        slices: random_slices(random),
        reversed: random.chance(1, 3),
        row_limit: limit(random),
        per_partition_limit: limit(random),
        byte_limit: if random.chance(1, 2) { u32::MAX } else { random.between(1, 2000) as u32 },
        ..whole(table_number)
    }
}

fn history(seed: u64, steps: u64) {
    let mut random = Random::new(seed);
    let disk = disk(seed);
    let mut storage = open(&disk);
    let mut model = Model::default();
    let mut jobs: Vec<StorageJob> = Vec::new();
    for step in 0..steps {
        match random.below(100) {
            0..70 => {
                let mutation = random_mutation(&mut random, TABLES);
                model.apply(&mutation);
                storage.write(mutation).unwrap();
            }
            70..75 => jobs.extend(storage.flush(table(random.below(u64::from(TABLES)) as u8))),
            75..80 => jobs.extend(storage.due_jobs(NOW)),
            80..88 => jobs = step_all(std::mem::take(&mut jobs)),
            88 => jobs.extend(storage.major_compaction(table(random.below(u64::from(TABLES)) as u8))),
            89 if random.chance(1, 3) => {
                let (number, at) = (random.below(u64::from(TABLES)) as u8, Timestamp(random.between(1, 30) as i64));
                storage.truncate(table(number), at).unwrap();
                let truncated = model.truncated.entry(table(number)).or_insert(at);
                *truncated = at.max(*truncated);
            }
            90 | 91 => {
                jobs.clear();
                drop(storage);
                if random.chance(1, 2) {
                    disk.kill()
                } else {
                    disk.crash()
                }
                storage = open(&disk);
            }
            _ => {
                let number = random.below(u64::from(TABLES)) as u8;
                let command = random_command(&mut random, number);
                let expected = model.read(&command, number);
                assert_eq!(read(&storage, &command), expected, "seed {seed}, step {step}: {command:?}");
                match storage.read(&command, Access::MemoryOnly) {
                    Ok(answer) => assert_eq!(answer, expected),
                    Err(error) => assert_eq!(error, ReadError::NeedsDisk),
                }
                check_live(&storage, &command, expected);
            }
        }
    }
    for number in 0..TABLES {
        assert_eq!(content(&storage, number), model.content(number), "seed {seed}");
    }
    drop(jobs);
    settle(&storage).unwrap();
    run_all(storage.flush_all()).unwrap();
    for number in 0..TABLES {
        run_all(storage.major_compaction(table(number))).unwrap();
        assert_eq!(content(&storage, number), model.content(number), "seed {seed}, compacted");
    }
    storage.close().unwrap();
    drop(storage);
    let storage = open(&disk);
    for number in 0..TABLES {
        assert_eq!(content(&storage, number), model.content(number), "seed {seed}, reopened");
    }
    drop(storage);
    for (path, _) in disk.snapshot_paths() {
        assert!(!path.ends_with(".tmp"), "{path} was left behind");
    }
}

/// What lives of one partition is what the whole answer has of it, without what is dead.
fn check_live(storage: &Storage, command: &ReadCommand, expected: ReadResponse) {
    let ReadTarget::Partition(key) = &command.target else { return };
    let stopped_at = expected.stopped_at.and_then(|resume| resume.position);
    let partition = expected.partitions.into_iter().next().map(|(_, partition)| partition).unwrap_or_default();
    let mut rows: Vec<_> = partition.rows.into_iter().filter(|(_, row)| row.is_live(command.now)).collect();
    if command.reversed {
        rows.reverse();
    }
    let expected = (rows, partition.static_row, stopped_at);
    for access in [Access::Disk, Access::MemoryOnly] {
        match storage.read_live(command, key, &command.slices, access) {
            Ok(live) => {
                assert_eq!(live.rows.count() as usize, live.rows.iter().count());
                assert_eq!((live.rows.decode().unwrap(), live.static_row, live.stopped_at), expected, "{command:?}");
            }
            Err(error) => assert_eq!((error, access), (ReadError::NeedsDisk, Access::MemoryOnly)),
        }
    }
}

#[test]
fn histories_give_what_the_model_gives() {
    for seed in 0..30 {
        history(seed, 600);
    }
}

#[test]
fn paging_neither_skips_nor_repeats() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let disk = disk(seed);
        let storage = open(&disk);
        let mut model = Model::default();
        for _ in 0..300 {
            let mutation = random_mutation(&mut random, 1);
            model.apply(&mutation);
            storage.write(mutation).unwrap();
            if random.chance(1, 40) {
                run_all(storage.flush(table(0))).unwrap();
            }
        }
        for reversed in [false, true] {
            let mut pages = Model::default();
            let mut from: Option<Resume> = None;
            for page in 0.. {
                assert!(page < 10_000, "paging does not end");
                let command = ReadCommand {
                    target: ReadTarget::Range { after: None, last: Token::MAX, from: from.clone() },
                    row_limit: random.between(1, 7) as u32,
                    reversed,
                    ..whole(0)
                };
                let response = read(&storage, &command);
                for (key, partition) in response.partitions {
                    pages.apply(&quorate_model::Mutation { table: table(0), key, update: partition });
                }
                match response.stopped_at {
                    Some(resume) => from = Some(resume),
                    None => break,
                }
            }
            assert_eq!(pages.content(0), model.content(0), "seed {seed}");
        }
    }
}

#[test]
fn dropped_tables_stay_dropped() {
    let disk = disk(1);
    let storage = open(&disk);
    storage.write(insert(1, 1, 1, 1, b"a")).unwrap();
    run_all(storage.flush_all()).unwrap();
    storage.write(insert(1, 2, 1, 1, b"b")).unwrap();
    let jobs = storage.flush_all();
    storage.drop_table(table(1)).unwrap();
    run_all(jobs).unwrap();
    assert!(content(&storage, 1).is_empty());
    storage.write(insert(1, 3, 1, 1, b"c")).unwrap();
    assert!(content(&storage, 1).is_empty());
    drop(storage);
    let storage = open(&disk);
    assert!(content(&storage, 1).is_empty());
    assert!(!disk.snapshot_paths().iter().any(|(path, _)| path.ends_with(".sst")));
    assert_eq!(storage.stats().memtable_bytes, 0);
}

#[test]
fn a_flush_that_is_asked_for_does_not_wait_for_one_that_is_due() {
    let disk = disk(1);
    let storage = open(&disk);
    let mut model = Model::default();
    for number in 0..100u16 {
        let mutation = insert(1, u64::from(number), 1, 1, &[1; 200]);
        model.apply(&mutation);
        storage.write(mutation).unwrap();
    }
    let due = storage.due_jobs(NOW);
    assert!(!due.is_empty());
    let due = step_all(due);
    run_all(storage.flush(table(1))).unwrap();
    assert_eq!(storage.stats().memtable_bytes, 0);
    let listed = storage.stats().tables[&table(1)].sstables;
    run_all(due).unwrap();
    assert_eq!(storage.stats().tables[&table(1)].sstables, listed);
    assert_eq!(storage.stats().memtable_bytes, 0);
    assert_eq!(content(&storage, 1), model.content(1));
    let files = disk.snapshot_paths().iter().filter(|(path, _)| path.ends_with(".sst")).count();
    assert_eq!(files as u64, listed);
}
