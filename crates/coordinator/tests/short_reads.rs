//! Divergent replicas, any subset of the data on each: limits, direction and paging until exhaustion must give exactly
//! what one node with all of the data would give.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use quorate_coordinator::*;
use quorate_env::{Instant, Random};
use quorate_model::*;
use support::*;

const SEEDS: u64 = 3000;

/// All pages of a command, joined.
fn all_pages(
    command: &ReadCommand,
    begin: impl Fn(ReadRequest, Instant, &mut Vec<ReadOutput>) -> Machine,
    replan: Replan<'_>,
    (consistency, read_repair): (Consistency, ReadRepair),
    replicas: &mut [Replica],
    random: &mut Random,
) -> Vec<ResultRow> {
    let faults = random_faults(random);
    let mut rows = Vec::new();
    let mut resume: Option<Continuation> = None;
    for _ in 0..2000 {
        let now = START;
        let request = ReadRequest {
            command: command.clone().into(),
            resume: resume.clone(),
            consistency,
            deadline: now + Duration::from_secs(10),
            speculative_delay: Some(Duration::from_millis(3)),
            read_repair,
        };
        let mut outputs = Vec::new();
        let machine = begin(request, now, &mut outputs);
        let Ok(page) = run(machine, outputs, replicas, faults, random, replan) else {
            // Asked again, as a client would: what went wrong must have left no trace.
            assert!(faults.failed > 0 || faults.lost > 0, "an error without a cause");
            continue;
        };
        let page_rows = result_rows(&page.partitions, command.reversed);
        assert!(page_rows.len() <= command.row_limit as usize, "more rows than the limit");
        if matches!(command.target, ReadTarget::Partition(_)) && command.byte_limit == u32::MAX {
            assert!(
                page.stopped_at.is_none() || page_rows.len() == command.row_limit as usize,
                "a page short of rows: {} of {}",
                page_rows.len(),
                command.row_limit
            );
        }
        rows.extend(page_rows);
        resume = Continuation::after(resume.as_ref(), &page, NOW);
        if resume.is_none() {
            return rows;
        }
    }
    panic!("paging never ends: {resume:?}");
}

fn random_command(random: &mut Random, target: ReadTarget) -> ReadCommand {
    ReadCommand {
        table: TableId::default(),
        target,
        slices: random_slices(random),
        reversed: random.chance(1, 2),
        row_limit: if random.chance(1, 4) { 1000 } else { random.between(1, 7) as u32 },
        per_partition_limit: if random.chance(1, 2) { u32::MAX } else { random.between(1, 4) as u32 },
        byte_limit: if random.chance(1, 3) { random.between(1, 2000) as u32 } else { u32::MAX },
        now: NOW,
        rows: RowChoice::All,
    }
}

/// A level, and on how many of three replicas each write is for it to be seen.
fn random_level(random: &mut Random) -> (Consistency, usize) {
    *random.pick(&[(Consistency::All, 1), (Consistency::Quorum, 2), (Consistency::One, 3)]).unwrap()
}

/// Repetitions always; failures, losses and newer rings now and then.
fn random_faults(random: &mut Random) -> Faults {
    let mut some = || if random.chance(1, 2) { random.below(60) } else { 0 };
    Faults { lost: some(), repeated: 100, failed: some(), stale: some() }
}

fn random_repair(random: &mut Random) -> ReadRepair {
    if random.chance(1, 2) { ReadRepair::Blocking } else { ReadRepair::None }
}

#[test]
fn one_partition_pages_as_the_merge_of_all_replicas() {
    for seed in 0..SEEDS {
        let random = &mut Random::new(seed);
        let (level, copies) = random_level(random);
        let mut replicas = vec![Replica::default(); 3];
        let mut truth = Replica::default();
        for _ in 0..random.between(1, 40) {
            let update = random_update(random);
            truth.apply(&key(1), &update);
            let mut nodes = vec![0, 1, 2];
            random.shuffle(&mut nodes);
            for index in nodes.into_iter().take(random.between(copies as u64, 3) as usize) {
                replicas[index].apply(&key(1), &update);
            }
        }
        let command = random_command(random, ReadTarget::Partition(key(1)));
        let repair = random_repair(random);
        let begin = |request: ReadRequest, now, out: &mut Vec<ReadOutput>| {
            Machine::Read(ReadMachine::start(request, plan(&[0, 1, 2], &[]), now, out))
        };
        let replan: Replan<'_> = &|machine, epoch, now, out| match machine {
            Machine::Read(machine) => machine.replan(now, plan_at(epoch, &[2, 0, 1], &[]), out),
            Machine::Scan(_) => panic!("not a scan"),
        };
        let rows = all_pages(&command, begin, replan, (level, repair), &mut replicas, random);
        assert_eq!(rows, expected_rows(&truth, &command), "seed {seed}: {level} {command:?}");
    }
}

#[test]
fn a_scan_pages_as_the_merge_of_all_replicas() {
    for seed in 0..SEEDS {
        let random = &mut Random::new(seed ^ 0x5ca9);
        let (level, copies) = random_level(random);
        let owners: Vec<[usize; 3]> = (0..4).map(|range| [range, (range + 1) % 4, (range + 2) % 4]).collect();
        let bounds: Vec<i64> = {
            let mut bounds: Vec<i64> = (0..3).map(|_| random.between(0, 60) as i64).collect();
            bounds.sort_unstable();
            bounds.dedup();
            bounds
        };
        let range_of = |token: Token| bounds.iter().filter(|bound| token.0 > **bound).count();
        let mut replicas = vec![Replica::default(); 4];
        let mut truth = Replica::default();
        for _ in 0..random.between(1, 80) {
            let key = key(random.below(12) as u8);
            let update = random_update(random);
            truth.apply(&key, &update);
            let mut nodes = owners[range_of(key.token)];
            random.shuffle(&mut nodes);
            for index in nodes.into_iter().take(random.between(copies as u64, 3) as usize) {
                replicas[index].apply(&key, &update);
            }
        }
        let target = if random.chance(1, 2) {
            ReadTarget::Range { after: None, last: Token::MAX, from: None }
        } else {
            let after = random.between(0, 30) as i64;
            ReadTarget::Range {
                after: Some(Token(after)),
                last: Token(after + random.between(1, 40) as i64),
                from: None,
            }
        };
        let command = random_command(random, target);
        let repair = random_repair(random);
        let ranges = |epoch| {
            let ranges = (0..=bounds.len()).map(|range| ScanRange {
                after: range.checked_sub(1).map(|before| Token(bounds[before])),
                last: bounds.get(range).map_or(Token::MAX, |bound| Token(*bound)),
                plan: plan_at(epoch, &owners[range], &[]),
            });
            ranges.collect()
        };
        let begin = |request: ReadRequest, now, out: &mut Vec<ReadOutput>| {
            Machine::Scan(ScanMachine::start(request, ranges(Epoch(1)), now, out))
        };
        let replan: Replan<'_> = &|machine, epoch, now, out| match machine {
            Machine::Scan(machine) => machine.replan(now, ranges(epoch), out),
            Machine::Read(_) => panic!("not a read of one partition"),
        };
        let rows = all_pages(&command, begin, replan, (level, repair), &mut replicas, random);
        assert_eq!(rows, expected_rows(&truth, &command), "seed {seed}: {level} {command:?}");
    }
}
