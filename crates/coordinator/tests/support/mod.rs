//! Replicas that are maps, random histories for them, and a driver with a lossy, reordering network.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_coordinator::*;
use quorate_env::{Instant, Random};
use quorate_model::cell::{CellContent, ColumnData};
use quorate_model::read::apply_limits;
use quorate_model::*;

pub const NOW: Seconds = Seconds(1000);
/// When every request begins.
pub const START: Instant = Instant(1_000_000);

pub fn node(index: usize) -> NodeId {
    NodeId::from_u128(index as u128 + 1)
}

pub fn key(index: u8) -> DecoratedKey {
    DecoratedKey { token: Token(i64::from(index / 2) * 10), key: PartitionKey(Bytes::from(vec![index])) }
}

pub fn row_key(index: u8) -> ClusteringKey {
    ClusteringKey(Bytes::from(vec![index]))
}

/// A plan over these nodes, all alive unless listed; nearer first in the order given.
pub fn plan(nodes: &[usize], dead: &[usize]) -> ReplicaPlan {
    plan_at(Epoch(1), nodes, dead)
}

pub fn plan_at(epoch: Epoch, nodes: &[usize], dead: &[usize]) -> ReplicaPlan {
    let ids: Vec<NodeId> = nodes.iter().map(|index| node(*index)).collect();
    let input = PlanInput {
        epoch,
        factors: Arc::new(ReplicationFactors::simple(nodes.len() as u32)),
        local_datacenter: "dc".into(),
        current: &ids,
        next: None,
        read_from_next: false,
    };
    ReplicaPlan::new(input, |id| ReplicaView {
        node: id,
        datacenter: "dc".into(),
        rack: "r".into(),
        alive: !dead.iter().any(|index| node(*index) == id),
        is_local: false,
        latency_us: ids.iter().position(|other| *other == id).unwrap() as u64 + 1,
    })
    .unwrap()
}

#[derive(Clone, Default)]
pub struct Replica {
    pub partitions: BTreeMap<DecoratedKey, Partition>,
}

impl Replica {
    pub fn apply(&mut self, key: &DecoratedKey, update: &Partition) {
        self.partitions.entry(key.clone()).or_default().merge(update);
    }

    /// What a correct storage engine answers.
    pub fn read(&self, command: &ReadCommand) -> ReadResponse {
        let wanted = self.partitions.iter().filter_map(|(key, partition)| {
            let mut slices = command.slices.clone();
            match &command.target {
                ReadTarget::Partition(wanted) if wanted != key => return None,
                ReadTarget::Partition(_) => {}
                ReadTarget::Range { after, last, from } => {
                    if after.is_some_and(|after| key.token <= after) || key.token > *last {
                        return None;
                    }
                    if let Some(from) = from {
                        if *key < from.key || (*key == from.key && from.position.is_none()) {
                            return None;
                        }
                        if *key == from.key {
                            slices = command.slices_from(from);
                        }
                    }
                }
            }
            let mut partition = partition.clone();
            partition.restrict(&slices);
            Some((key.clone(), partition))
        });
        apply_limits(wanted, command)
    }

    pub fn answer(&mut self, request: &ReplicaRequest) -> ReplicaResponse {
        match request {
            ReplicaRequest::Write(mutation) | ReplicaRequest::Repair(mutation) => {
                self.apply(&mutation.mutation.key, &mutation.mutation.update);
                ReplicaResponse::Written
            }
            ReplicaRequest::ReadRemains(_) => panic!("an answer is never made of remains"),
            ReplicaRequest::Read { command, digest_only: false } => ReplicaResponse::Data(self.read(command)),
            ReplicaRequest::Read { command, digest_only: true } => {
                ReplicaResponse::Digest(message::digest(&self.read(command)))
            }
        }
    }
}

/// One random change of a partition with twelve possible rows.
pub fn random_update(random: &mut Random) -> Partition {
    let timestamp = Timestamp(random.between(1, 60) as i64);
    let deletion = Deletion { timestamp, deleted_at: Seconds(timestamp.0) };
    let mut update = Partition::default();
    let row = row_key(random.below(12) as u8);
    let value = Bytes::from(random.next_u64().to_le_bytes().to_vec());
    let cell = |content| ColumnData::Simple(Cell { timestamp, content });
    match random.below(24) {
        0..=11 => {
            let row = update.row_mut(row);
            row.liveness = Some(Liveness { timestamp, expiry: None });
            row.set(ColumnId(1), cell(CellContent::Live(value)));
        }
        12..=13 => update.row_mut(row).set(ColumnId(2), cell(CellContent::Live(value))),
        14 => update.row_mut(row).set(ColumnId(1), cell(CellContent::Tombstone { deleted_at: NOW })),
        15 => {
            let expires_at = Seconds(if random.chance(1, 2) { 999 } else { 2000 });
            update.row_mut(row).set(ColumnId(2), cell(CellContent::Expiring { value, ttl: Ttl(10), expires_at }));
        }
        16..=19 => update.row_mut(row).deletion = Some(deletion),
        20..=21 => {
            let (a, b) = (random.below(12) as u8, random.below(12) as u8);
            update.range_tombstones.add(RangeTombstone {
                start: Position::before(&[a.min(b)]),
                end: Position::after(&[a.max(b)]),
                deletion,
            });
        }
        22 => {
            let content =
                if random.chance(2, 3) { CellContent::Live(value) } else { CellContent::Tombstone { deleted_at: NOW } };
            update.static_row.set(ColumnId(9), cell(content));
        }
        _ if random.chance(1, 4) => update.deletion = Some(deletion),
        _ => update.static_row.set(ColumnId(9), cell(CellContent::Live(value))),
    }
    update
}

/// A result row: its partition, its key (`None` for a static row alone) and the values that show, static ones first.
pub type ResultRow = (DecoratedKey, Option<ClusteringKey>, Vec<(ColumnId, Bytes)>);

fn values(row: &Row, out: &mut Vec<(ColumnId, Bytes)>) {
    for (id, data) in &row.columns {
        if let ColumnData::Simple(cell) = data
            && let Some(value) = cell.value_at(NOW)
        {
            out.push((*id, value.clone()));
        }
    }
}

/// What a front makes of partitions.
pub fn result_rows(partitions: &[(DecoratedKey, Partition)], reversed: bool) -> Vec<ResultRow> {
    let mut result = Vec::new();
    for (key, partition) in partitions {
        let mut statics = Vec::new();
        values(&partition.static_row, &mut statics);
        let mut rows: Vec<ResultRow> = Vec::new();
        for (row_key, row) in partition.rows.iter().filter(|(_, row)| row.is_live(NOW)) {
            let mut shown = statics.clone();
            values(row, &mut shown);
            rows.push((key.clone(), Some(row_key.clone()), shown));
        }
        if reversed {
            rows.reverse();
        }
        if rows.is_empty() && !statics.is_empty() {
            rows.push((key.clone(), None, statics));
        }
        result.extend(rows);
    }
    result
}

/// What the command's answer is, by the merge of everything.
pub fn expected_rows(truth: &Replica, command: &ReadCommand) -> Vec<ResultRow> {
    let full = command.slices == [(Position::START, Position::END)];
    let mut rows = Vec::new();
    for (key, partition) in &truth.partitions {
        let wanted = match &command.target {
            ReadTarget::Partition(wanted) => wanted == key,
            ReadTarget::Range { after, last, .. } => after.is_none_or(|after| key.token > after) && key.token <= *last,
        };
        if !wanted {
            continue;
        }
        let mut partition = partition.clone();
        partition.restrict(&command.slices);
        let mut own = result_rows(&[(key.clone(), partition)], command.reversed);
        own.retain(|(_, row, _)| full || row.is_some());
        own.truncate(command.per_partition_limit as usize);
        rows.extend(own);
    }
    rows
}

pub fn random_slices(random: &mut Random) -> Vec<(Position, Position)> {
    if random.chance(1, 2) {
        return vec![(Position::START, Position::END)];
    }
    let mut cuts: Vec<u8> = (0..4).map(|_| random.below(13) as u8).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.chunks_exact(2).map(|pair| (Position::before(&[pair[0]]), Position::before(&[pair[1]]))).collect()
}

pub enum Machine {
    Read(ReadMachine),
    Scan(ScanMachine),
}

/// Gives a machine the plans of an epoch.
pub type Replan<'a> = &'a dyn Fn(&mut Machine, Epoch, Instant, &mut Vec<ReadOutput>);

impl Machine {
    fn step(&mut self, now: Instant, input: ReadInput, out: &mut Vec<ReadOutput>) {
        match self {
            Self::Read(machine) => machine.step(now, input, out),
            Self::Scan(machine) => machine.step(now, input, out),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Read(machine) => machine.deadline(),
            Self::Scan(machine) => machine.deadline(),
        }
    }
}

/// How the network and the replicas behave.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Of a thousand messages, how many are lost.
    pub lost: u64,
    /// ... arrive twice.
    pub repeated: u64,
    /// ... are answered with a failure.
    pub failed: u64,
    /// ... are answered with a newer epoch.
    pub stale: u64,
}

/// Runs a machine over replicas until it answers.
pub fn run(
    mut machine: Machine,
    mut outputs: Vec<ReadOutput>,
    replicas: &mut [Replica],
    faults: Faults,
    random: &mut Random,
    replan: Replan<'_>,
) -> Result<ReadResponse, quorate_model::request::RequestError> {
    let mut now = START;
    let mut epoch = Epoch(1);
    let mut answers: BTreeMap<(Instant, u64), ReadInput> = BTreeMap::new();
    let mut serial = 0;
    let mut result = None;
    let mut replans = Vec::new();
    loop {
        for output in outputs.drain(..) {
            match output {
                ReadOutput::Send { to, tag, request } => {
                    let replica = (0..replicas.len()).find(|index| node(*index) == to).unwrap();
                    if random.chance(faults.lost, 1000) {
                        continue;
                    }
                    let response = if random.chance(faults.failed, 1000) {
                        ReplicaResponse::Failed(ReplicaFailure::Corrupt("planted".into()))
                    } else if random.chance(faults.stale, 1000) {
                        ReplicaResponse::Failed(ReplicaFailure::StaleEpoch { current: epoch.next() })
                    } else {
                        replicas[replica].answer(&request)
                    };
                    for _ in 0..1 + u32::from(random.chance(faults.repeated, 1000)) {
                        let at = now + Duration::from_micros(random.between(1, 2000));
                        serial += 1;
                        let response = response.clone();
                        answers.insert((at, serial), ReadInput::Response { node: to, tag, response });
                    }
                }
                ReadOutput::Replan { known } => {
                    epoch = known;
                    replans.push(known);
                }
                ReadOutput::Done(answer) => assert!(result.replace(answer).is_none(), "answered twice"),
            }
        }
        for known in replans.drain(..) {
            replan(&mut machine, known, now, &mut outputs);
        }
        if !outputs.is_empty() {
            continue;
        }
        if let Some(result) = result {
            assert_eq!(machine.deadline(), None);
            return result;
        }
        let deadline = machine.deadline().expect("it waits for something");
        let next = answers.first_key_value().map(|((at, _), _)| *at);
        if next.is_some_and(|at| at <= deadline) {
            let ((at, _), input) = answers.pop_first().unwrap();
            now = at;
            machine.step(now, input, &mut outputs);
        } else {
            now = now.max(deadline);
            machine.step(now, ReadInput::Tick, &mut outputs);
        }
    }
}
