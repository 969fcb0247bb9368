//! Disks that fail now and then, and threads that write, read, flush and compact at once.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use quorate_env::Random;
use quorate_env::sim_disk::{SimDisk, SimDiskOptions};
use quorate_model::wire::Wire;
use quorate_model::{Mutation, Seconds, Timestamp};
use quorate_storage::{Access, Storage, StorageError};

/// Reads answer rightly or fail; whatever else fails, nothing acknowledged is lost and no answer is wrong.
fn history(seed: u64) {
    let disk = SimDisk::new(seed, SimDiskOptions::default());
    let mut random = Random::new(seed);
    let mut storage = open(&disk);
    let mut model = Model::default();
    let faults = SimDiskOptions {
        read_errors_ppm: 20_000,
        write_errors_ppm: 5_000,
        sync_errors_ppm: 5_000,
        ..Default::default()
    };
    disk.set_options(faults.clone());
    for step in 0..800u64 {
        match random.below(10) {
            0..6 => {
                let mutation = random_mutation(&mut random, 2);
                // The log's own failures end a history's writes: restart, as the node would.
                let Ok(position) = storage.append(&mutation.to_bytes()) else {
                    storage = restart(&disk, storage, &faults);
                    continue;
                };
                match storage.sync_log() {
                    Ok(_) => {
                        storage.apply(position, mutation.clone()).unwrap();
                        model.apply(&mutation);
                    }
                    Err(_) => {
                        storage.abandon(position);
                        storage = restart(&disk, storage, &faults);
                        // Unknown: take it as written if it is there, by writing it again.
                        disk.set_options(SimDiskOptions::default());
                        storage.write(mutation.clone()).unwrap();
                        model.apply(&mutation);
                        disk.set_options(faults.clone());
                    }
                }
            }
            6 => storage.flush_all().into_iter().for_each(|job| drop(job.run_to_end())),
            7 => storage.due_jobs(Seconds(NOW.0 + step as i64)).into_iter().for_each(|job| drop(job.run_to_end())),
            8 => storage.major_compaction(table(0)).into_iter().for_each(|job| drop(job.run_to_end())),
            _ => {
                let number = random.below(2) as u8;
                if let Ok(answer) = storage.read(&whole(number), Access::Disk) {
                    let found: std::collections::BTreeMap<_, _> = answer.partitions.into_iter().collect();
                    assert_eq!(found, model.content(number), "seed {seed}, step {step}");
                }
            }
        }
    }
    let storage = restart(&disk, storage, &SimDiskOptions::default());
    for number in 0..2 {
        assert_eq!(content(&storage, number), model.content(number), "seed {seed}");
    }
    assert!(storage.lost_ranges().is_empty(), "an I/O error is not damage");
}

fn restart(disk: &std::sync::Arc<SimDisk>, storage: Storage, faults: &SimDiskOptions) -> Storage {
    drop(storage);
    disk.crash();
    disk.set_options(SimDiskOptions::default());
    let storage = open(disk);
    disk.set_options(faults.clone());
    storage
}

#[test]
fn failing_operations_lose_nothing_and_falsify_nothing() {
    for seed in 0..25 {
        history(seed);
    }
}

/// Two rows of one partition that always carry the same timestamp.
fn twins(partition: u64, timestamp: i64) -> Mutation {
    let mut mutation = insert(1, partition, 1, timestamp, &[0; 80]);
    mutation.update.rows.insert(clustering(900), live_row(timestamp, &[1; 80]));
    mutation
}

/// Waits until the thread that flushes has come around once more; not for ever, should it have failed.
fn await_round(rounds: &AtomicU64) {
    let before = rounds.load(Ordering::Acquire);
    for _ in 0..50_000_000u64 {
        if rounds.load(Ordering::Acquire) > before {
            return;
        }
        std::thread::yield_now();
    }
    panic!("nobody flushes any more");
}

#[test]
fn threads_never_see_half_a_mutation_or_go_back_in_time() {
    let disk = disk(1);
    let storage = open(&disk);
    let (done, rounds) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (storage, done, rounds) = (&storage, &done, &rounds);
            scope.spawn(move || {
                for number in 1..1500 {
                    if number % 100 == 0 {
                        // However fast the writers are, there are flushes and compactions in between.
                        await_round(rounds);
                    }
                    loop {
                        match storage.write(twins(writer * 4 + number % 4, number as i64)) {
                            Ok(()) => break,
                            Err(StorageError::Overloaded { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let mut now = NOW.0;
            while done.load(Ordering::Relaxed) < 2 {
                now += 1;
                run_all(storage.due_jobs(Seconds(now))).unwrap();
                run_all(storage.flush(table(1))).unwrap();
                rounds.fetch_add(1, Ordering::Release);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = [Timestamp(0); 8];
                while done.load(Ordering::Relaxed) < 2 {
                    for partition in 0..8u64 {
                        let answer = storage.read(&one(1, partition), Access::Disk).unwrap();
                        let Some((_, found)) = answer.partitions.first() else { continue };
                        let times: Vec<Timestamp> =
                            found.rows.values().map(|row| row.liveness.unwrap().timestamp).collect();
                        assert_eq!(times.len(), 2);
                        assert_eq!(times[0], times[1], "half of a mutation");
                        assert!(times[0] >= seen[partition as usize], "an older state");
                        seen[partition as usize] = times[0];
                    }
                }
            });
        }
    });
    assert!(storage.stats().flushes > 0 && storage.stats().compactions > 0);
    drop(storage);
    disk.crash();
    let storage = open(&disk);
    for partition in 0..8u64 {
        let expected = twins(partition, 1499 - (1499 - (partition as i64 % 4)) % 4);
        assert_eq!(content(&storage, 1)[&key(partition)], expected.update);
    }
}
