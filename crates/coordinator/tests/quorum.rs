//! Writes and reads at levels with R + W > N over simulated replicas that lose, repeat, delay and refuse: a read begun
//! after a write was acknowledged returns that write or a later one, and with blocking read repair no read returns less
//! than an earlier one did, whatever became of failed writes; also while a range moves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_coordinator::*;
use quorate_env::{Instant, Random};
use quorate_model::cell::{CellContent, ColumnData};
use quorate_model::request::{Outcome, RequestError, WriteType};
use quorate_model::*;
use support::*;

const SEEDS: u64 = 1500;
const ROWS: u8 = 4;

fn update(row: u8, version: i64) -> Partition {
    let mut update = Partition::default();
    let timestamp = Timestamp(version);
    let content = CellContent::Live(Bytes::from(version.to_be_bytes().to_vec()));
    let row = update.row_mut(row_key(row));
    row.liveness = Some(Liveness { timestamp, expiry: None });
    row.set(ColumnId(1), ColumnData::Simple(Cell { timestamp, content }));
    update
}

/// Writes; returns the answer and who was hinted.
fn write(
    version: i64,
    row: u8,
    level: Consistency,
    plan: ReplicaPlan,
    replicas: &mut [Replica],
    faults: Faults,
    random: &mut Random,
) -> (Result<(), RequestError>, Vec<NodeId>) {
    let mutation =
        EncodedMutation::new(Mutation { table: TableId::default(), key: key(1), update: update(row, version) });
    let deadline = Instant(10_000_000);
    let request = WriteRequest { mutation, consistency: level, write_type: WriteType::Simple, deadline };
    let mut outputs = Vec::new();
    let mut machine = WriteMachine::start(request, plan.clone(), Instant(0), &mut outputs);
    let mut answers: BTreeMap<(Instant, u64), WriteInput> = BTreeMap::new();
    let (mut now, mut serial, mut result, mut hints, mut finished) = (Instant(0), 0, None, Vec::new(), false);
    loop {
        for output in outputs.drain(..) {
            assert!(!finished, "an output after the last");
            match output {
                WriteOutput::Send { to, tag, request } => {
                    assert!(plan.replica(plan.index_of(to).unwrap()).alive, "sent to a dead replica");
                    let lost_there = random.chance(faults.lost, 1000);
                    if lost_there {
                        continue;
                    }
                    let response = if random.chance(faults.failed, 1000) {
                        ReplicaResponse::Failed(ReplicaFailure::Overloaded("planted".into()))
                    } else {
                        let index = (0..replicas.len()).find(|index| node(*index) == to).unwrap();
                        replicas[index].answer(&request)
                    };
                    if random.chance(faults.lost, 1000) {
                        continue;
                    }
                    for _ in 0..1 + u32::from(random.chance(faults.repeated, 1000)) {
                        serial += 1;
                        let at = now + Duration::from_micros(random.between(1, 2000));
                        answers
                            .insert((at, serial), WriteInput::Response { node: to, tag, response: response.clone() });
                    }
                }
                WriteOutput::Hint { target } => {
                    assert!(!hints.contains(&target), "hinted twice");
                    hints.push(target);
                }
                WriteOutput::Replan { .. } => panic!("nobody has a newer ring"),
                WriteOutput::Done(answer) => assert!(result.replace(answer).is_none(), "answered twice"),
                WriteOutput::Finished => finished = true,
            }
        }
        if finished {
            break;
        }
        let (at, input) = answers.pop_first().map_or((deadline, WriteInput::Tick), |((at, _), input)| (at, input));
        now = at;
        machine.step(now, input, &mut outputs);
    }
    assert!(machine.is_finished() && machine.deadline().is_none());
    (result.expect("answered before it finished"), hints)
}

fn read(
    level: Consistency,
    plan: ReplicaPlan,
    replicas: &mut [Replica],
    faults: Faults,
    random: &mut Random,
) -> Option<BTreeMap<u8, i64>> {
    let command = ReadCommand {
        table: TableId::default(),
        target: ReadTarget::Partition(key(1)),
        slices: vec![(Position::START, Position::END)],
        reversed: random.chance(1, 2),
        row_limit: 100,
        per_partition_limit: u32::MAX,
        byte_limit: u32::MAX,
        now: NOW,
        rows: RowChoice::All,
    };
    let request = ReadRequest {
        command: command.into(),
        resume: None,
        consistency: level,
        deadline: Instant(10_000_000),
        speculative_delay: random.chance(1, 2).then(|| Duration::from_micros(random.below(1500))),
        read_repair: ReadRepair::Blocking,
    };
    let mut outputs = Vec::new();
    let machine = Machine::Read(ReadMachine::start(request, plan, START, &mut outputs));
    let response =
        run(machine, outputs, replicas, faults, random, &|_, _, _, _| panic!("nobody has a newer ring")).ok()?;
    assert_eq!(response.stopped_at, None);
    let rows = result_rows(&response.partitions, false);
    let version = |values: &[(ColumnId, Bytes)]| i64::from_be_bytes(values[0].1[..].try_into().unwrap());
    Some(rows.iter().map(|(_, row, values)| (row.as_ref().unwrap().0[0], version(values))).collect())
}

#[test]
fn reads_return_the_newest_acknowledged_write_and_never_go_back() {
    let mut seen = [0u32; 3];
    for seed in 0..SEEDS {
        let random = &mut Random::new(seed);
        let (writes, reads) = *random
            .pick(&[
                (Consistency::Quorum, Consistency::Quorum),
                (Consistency::All, Consistency::One),
                (Consistency::One, Consistency::All),
                (Consistency::Quorum, Consistency::LocalQuorum),
            ])
            .unwrap();
        let faults = Faults { lost: random.below(200), repeated: 200, failed: random.below(100), stale: 0 };
        let mut replicas = vec![Replica::default(); 3];
        let mut acknowledged: BTreeMap<u8, i64> = BTreeMap::new();
        let mut refused: Vec<i64> = Vec::new();
        for version in 1..30 {
            let dead = if random.chance(1, 4) { vec![random.below(3) as usize] } else { Vec::new() };
            if random.chance(1, 2) {
                let row = random.below(u64::from(ROWS)) as u8;
                let (result, hints) =
                    write(version, row, writes, plan(&[0, 1, 2], &dead), &mut replicas, faults, random);
                let holders = replicas.iter().filter(|replica| holds(replica, row, version)).count();
                match result {
                    Ok(()) => {
                        acknowledged.insert(row, version);
                        let missing = (0..3).filter(|index| !holds(&replicas[*index], row, version));
                        assert!(missing.clone().all(|index| hints.contains(&node(index))), "a replica without a hint");
                        seen[0] += 1;
                    }
                    Err(error) if error.outcome() == Outcome::Refused => {
                        assert_eq!((holders, hints.len()), (0, 0), "refused, yet applied: {error}");
                        refused.push(version);
                        seen[1] += 1;
                    }
                    Err(_) => {}
                }
                continue;
            }
            let mut order = [0, 1, 2];
            random.shuffle(&mut order);
            if let Some(rows) = read(reads, plan(&order, &dead), &mut replicas, faults, random) {
                seen[2] += 1;
                for (row, version) in &acknowledged {
                    assert!(
                        rows.get(row) >= Some(version),
                        "seed {seed}: row {row} at {:?} < {version}",
                        rows.get(row)
                    );
                }
                assert!(rows.values().all(|version| !refused.contains(version)), "a refused write was read");
                // What two overlapping reads may see must be seen by all later ones.
                if reads != Consistency::One {
                    acknowledged.extend(rows);
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 500), "the interesting cases were rare: {seen:?}");
}

/// Replica 3 takes the place of replica 0: what was read before, or was acknowledged, is read by whichever quorum later.
#[test]
fn reads_never_go_back_while_a_range_moves() {
    let mut seen = [0u32; 5];
    for seed in 0..SEEDS {
        let random = &mut Random::new(seed);
        let (writes, reads) = *random
            .pick(&[
                (Consistency::Quorum, Consistency::Quorum),
                (Consistency::All, Consistency::One),
                (Consistency::One, Consistency::All),
            ])
            .unwrap();
        let faults = Faults { lost: random.below(400), repeated: 200, failed: random.below(100), stale: 0 };
        let mut replicas = vec![Replica::default(); 4];
        let mut shown: BTreeMap<u8, i64> = BTreeMap::new();
        let mut version = 0;
        for phase in [Phase::Before, Phase::Copying, Phase::Copied, Phase::ReadNew, Phase::After] {
            if phase == Phase::Copied {
                let source = replicas[0].clone();
                source.partitions.iter().for_each(|(key, partition)| replicas[3].apply(key, partition));
            }
            for _ in 0..random.below(8) {
                version += 1;
                let dead = if random.chance(1, 4) { vec![random.below(4) as usize] } else { Vec::new() };
                let plan = moving_plan(phase, &dead, random);
                if random.chance(1, 2) {
                    let row = random.below(u64::from(ROWS)) as u8;
                    if write(version, row, writes, plan, &mut replicas, faults, random).0.is_ok() {
                        shown.insert(row, version);
                    }
                } else if let Some(rows) = read(reads, plan, &mut replicas, faults, random) {
                    seen[phase as usize] += 1;
                    for (row, version) in &shown {
                        let found = rows.get(row);
                        assert!(found >= Some(version), "seed {seed}, {phase:?}: row {row} at {found:?} < {version}");
                    }
                    if reads != Consistency::One {
                        shown.extend(rows);
                    }
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 500), "the interesting cases were rare: {seen:?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Copying,
    Copied,
    ReadNew,
    After,
}

/// A plan for the move's phase, the nearest replicas drawn.
fn moving_plan(phase: Phase, dead: &[usize], random: &mut Random) -> ReplicaPlan {
    let (mut old, mut new) = ([0, 1, 2].map(node), [1, 2, 3].map(node));
    random.shuffle(&mut old);
    random.shuffle(&mut new);
    let input = PlanInput {
        epoch: Epoch(1),
        factors: Arc::new(ReplicationFactors::simple(3)),
        local_datacenter: "dc".into(),
        current: if phase == Phase::After { &new } else { &old },
        next: (!matches!(phase, Phase::Before | Phase::After)).then_some(&new[..]),
        read_from_next: phase == Phase::ReadNew,
    };
    ReplicaPlan::new(input, |id| ReplicaView {
        node: id,
        datacenter: "dc".into(),
        rack: "r".into(),
        alive: !dead.iter().any(|index| node(*index) == id),
        is_local: false,
        latency_us: random.below(1000),
    })
    .unwrap()
}

fn holds(replica: &Replica, row: u8, version: i64) -> bool {
    let cell = |partition: &Partition| partition.rows.get(&row_key(row))?.cell(ColumnId(1)).map(|cell| cell.timestamp);
    replica.partitions.get(&key(1)).and_then(cell) >= Some(Timestamp(version))
}

#[test]
fn an_unlogged_batch_is_refused_only_if_no_part_was_applied() {
    for seed in 0..500 {
        let random = &mut Random::new(seed);
        let mut replicas = vec![Replica::default(); 3];
        let writes = (0..3).map(|index| {
            let mutation = Mutation { table: TableId::default(), key: key(index), update: update(0, 1) };
            let dead = if random.chance(1, 4) { vec![0, 1] } else { Vec::new() };
            (EncodedMutation::new(mutation), plan(&[0, 1, 2], &dead))
        });
        let writes: Vec<_> = writes.collect();
        let mut outputs = Vec::new();
        let level = if random.chance(1, 2) { Consistency::Quorum } else { Consistency::One };
        let deadline = Instant(1000);
        let mut machine =
            BatchMachine::start(writes, level, WriteType::UnloggedBatch, deadline, Instant(0), &mut outputs);
        let (mut result, mut finished) = (None, false);
        let mut inputs = Vec::new();
        while !finished {
            for output in outputs.drain(..) {
                match output {
                    BatchOutput::Part(part, WriteOutput::Send { to, tag, request }) => {
                        let index = (0..3).find(|index| node(*index) == to).unwrap();
                        let response = if random.chance(1, 3) {
                            ReplicaResponse::Failed(ReplicaFailure::Overloaded("planted".into()))
                        } else {
                            replicas[index].answer(&request)
                        };
                        let input = WriteInput::Response { node: to, tag, response };
                        inputs.push(BatchInput::Part(part, input));
                    }
                    BatchOutput::Part(_, output) => assert!(matches!(output, WriteOutput::Hint { .. })),
                    BatchOutput::Done(answer) => assert!(result.replace(answer).is_none(), "answered twice"),
                    BatchOutput::Finished => finished = true,
                }
            }
            random.shuffle(&mut inputs);
            match inputs.pop() {
                Some(input) => machine.step(Instant(1), input, &mut outputs),
                None if !finished => machine.step(deadline, BatchInput::All(WriteInput::Tick), &mut outputs),
                None => {}
            }
        }
        assert!(machine.is_finished());
        let applied = |index: u8| replicas.iter().filter(|r| r.partitions.contains_key(&key(index))).count();
        match result.expect("answered") {
            Ok(()) => {
                let required = if level == Consistency::One { 1 } else { 2 };
                assert!((0..3).all(|index| applied(index) >= required), "seed {seed}");
            }
            Err(error) if error.outcome() == Outcome::Refused => {
                assert!((0..3).all(|index| applied(index) == 0), "seed {seed}: {error}");
            }
            Err(_) => {}
        }
    }
}
