//! Power loss at every operation of the disk: what was acknowledged is there (D1), mutations are whole or absent (D4), the
//! file set is that before or after an edit (D8), replay is idempotent (D9).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use quorate_env::sim_disk::SimDisk;
use quorate_model::{DecoratedKey, Mutation, Partition};
use quorate_storage::{Storage, StorageError};

const WRITES: u16 = 105;

/// Two rows of one partition with a timestamp of their own.
fn pair(number: u16) -> Mutation {
    let mut mutation = insert(1, u64::from(number % 7), number % 50, i64::from(number) + 1, &[number as u8; 60]);
    mutation.update.rows.insert(clustering(number % 50 + 100), live_row(i64::from(number) + 1, b"twin"));
    mutation
}

/// Writes, flushes, compacts; returns what was acknowledged and what is unknown.
fn work(storage: &Storage) -> (Vec<Mutation>, Vec<Mutation>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..WRITES {
        let mutation = pair(number);
        match storage.write(mutation.clone()) {
            Ok(()) => known.push(mutation),
            Err(_) => unknown.push(mutation),
        }
        if number % 15 == 14 {
            let _ = run_all(storage.flush_all());
        }
        if number % 40 == 39 {
            let _: Result<(), StorageError> = run_all(storage.due_jobs(NOW));
        }
        if number == 100 {
            let _ = run_all(storage.major_compaction(table(1)));
            let _ = storage.snapshot(&[table(1)], "tag", None, NOW);
        }
    }
    (known, unknown)
}

fn merged(mutations: &[Mutation]) -> BTreeMap<DecoratedKey, Partition> {
    let mut model = Model::default();
    mutations.iter().for_each(|mutation| model.apply(mutation));
    model.content(1)
}

fn check(found: &BTreeMap<DecoratedKey, Partition>, known: &[Mutation], unknown: &[Mutation], context: &str) {
    let found: Vec<Mutation> = found
        .iter()
        .map(|(key, update)| Mutation { table: table(1), key: key.clone(), update: update.clone() })
        .collect();
    let with = |more: &[Mutation]| merged(&[&found, more].concat());
    assert_eq!(with(known), with(&[]), "{context}: acknowledged writes are missing");
    let all = [known, unknown].concat();
    assert_eq!(merged(&[&all[..], &found].concat()), merged(&all), "{context}: more than was written");
    for mutation in unknown {
        let rows = mutation.update.rows.iter();
        let Some(partition) = with(&[]).remove(&mutation.key) else { continue };
        let there = rows.filter(|(key, row)| partition.rows.get(key) == Some(*row)).count();
        let newer =
            mutation.update.rows.keys().any(|key| {
                partition.rows.get(key).is_some_and(|row| row.liveness > mutation.update.rows[key].liveness)
            });
        assert!(there != 1 || newer, "{context}: half of a mutation");
    }
}

fn crash_at(point: u64) -> bool {
    let disk: Arc<SimDisk> = disk(point);
    let storage = open(&disk);
    disk.crash_after(point);
    let (known, unknown) = work(&storage);
    let struck = disk.power_lost();
    drop(storage);
    disk.crash_never();
    match point % 3 {
        0 => disk.kill(),
        1 => disk.crash(),
        _ => {
            // The power fails while the cache alone has what the process did last.
            disk.kill();
            disk.crash_after(1 + point / 3 % 30);
            drop(try_open(&disk));
            disk.crash_never();
            disk.crash();
        }
    }
    let storage = open(&disk);
    let found = content(&storage, 1);
    check(&found, &known, &unknown, &format!("crash at {point}"));
    let _ = storage.list_snapshots().unwrap();
    drop(storage);
    // Again and again, with a crash each time: the same.
    for _ in 0..2 {
        disk.crash();
        let storage = open(&disk);
        assert_eq!(content(&storage, 1), found, "crash at {point}, replayed again");
        drop(storage);
    }
    let storage = open(&disk);
    settle(&storage).unwrap();
    run_all(storage.flush_all()).unwrap();
    assert_eq!(content(&storage, 1), found, "crash at {point}, flushed");
    struck
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let mut point = 0;
    while crash_at(point) {
        point += 1;
        assert!(point < 5_000, "the workload does not end");
    }
    assert!(point > 300, "only {point} operations were tried");
}

#[test]
fn a_crash_while_opening_loses_nothing() {
    for point in 0..60 {
        let disk = disk(point);
        let storage = open(&disk);
        let (known, unknown) = work(&storage);
        assert!(unknown.is_empty());
        drop(storage);
        disk.crash();
        disk.crash_after(point);
        let opened = try_open(&disk);
        drop(opened);
        disk.crash_never();
        disk.crash();
        let storage = open(&disk);
        check(&content(&storage, 1), &known, &unknown, &format!("crash at {point} of opening"));
    }
}
