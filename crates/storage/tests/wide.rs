//! Wide partitions whose rows in memory are mostly dead: reads stay bounded, make headway, and miss nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::*;
use quorate_model::read::Resume;
use quorate_model::{Deletion, Mutation, Partition, ReadCommand, ReadTarget, Seconds, Timestamp, Token};
use quorate_storage::{Storage, StorageOptions};

const DELETED_AT: i64 = 1_000_000;

/// A partition that an SSTable says is deleted, with so many dead rows in memory before and behind `alive`.
fn storage_with_dead_rows(rows: u16, alive: u16, size: usize) -> Storage {
    let options = StorageOptions {
        memtable_bytes_max: 1 << 30,
        memtable_flush_bytes: 1 << 30,
        log_bytes_max: 1 << 30,
        ..StorageOptions::tiny()
    };
    let storage = Storage::open(disk(1), options, NOW).unwrap().0;
    let deletion = Deletion { timestamp: Timestamp(DELETED_AT), deleted_at: Seconds(1) };
    let update = Partition { deletion: Some(deletion), ..Partition::default() };
    storage.write(Mutation { table: table(1), key: key(1), update }).unwrap();
    run_all(storage.flush_all()).unwrap();
    for row in 0..rows {
        let timestamp = if row == alive { DELETED_AT + 1 } else { 5 };
        storage.write(insert(1, 1, row, timestamp, &vec![3; size])).unwrap();
    }
    storage
}

#[test]
fn a_limited_read_looks_past_dead_rows() {
    let storage = storage_with_dead_rows(3_000, 2_500, 20);
    for reversed in [false, true] {
        let answer = read(&storage, &ReadCommand { row_limit: 1, reversed, ..one(1, 1) });
        let rows: Vec<_> = answer.partitions[0].1.rows.keys().cloned().collect();
        assert_eq!(rows, [clustering(2_500)]);
    }
}

#[test]
fn a_read_of_too_many_dead_rows_stops_and_goes_on() {
    let storage = storage_with_dead_rows(20_000, 19_999, 400);
    let mut from: Option<Resume> = None;
    let mut pages = 0;
    loop {
        pages += 1;
        assert!(pages < 10, "no headway");
        let command = ReadCommand {
            target: ReadTarget::Range { after: None, last: Token::MAX, from: from.clone() },
            row_limit: 1,
            ..whole(1)
        };
        let answer = read(&storage, &command);
        let found = answer.partitions.iter().any(|(_, partition)| partition.rows.contains_key(&clustering(19_999)));
        match answer.stopped_at {
            _ if found => break,
            Some(resume) => from = Some(resume),
            None => panic!("the live row was missed"),
        }
    }
    assert!(pages > 1, "the window was never exceeded");
}
