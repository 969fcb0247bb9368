use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_model::cell::{Cell, CellContent, ColumnData};
use quorate_model::read::apply_limits;
use quorate_model::{
    ClusteringKey, ColumnId, Consistency, DecoratedKey, Epoch, Partition, PartitionKey, Position, Seconds, TableId,
    Timestamp, Token,
};

use super::*;
use crate::plan::{PlanInput, ReplicaView, ReplicationFactors};

const DEADLINE: Instant = Instant(1_000_000);

fn node(index: usize) -> NodeId {
    NodeId::from_u128(index as u128)
}

fn plan(epoch: u64, dead: &[usize]) -> ReplicaPlan {
    let current = [node(1), node(2), node(3)];
    let input = PlanInput {
        epoch: Epoch(epoch),
        factors: Arc::new(ReplicationFactors::simple(3)),
        local_datacenter: "a".into(),
        current: &current,
        next: None,
        read_from_next: false,
    };
    ReplicaPlan::new(input, |id| ReplicaView {
        node: id,
        datacenter: "a".into(),
        rack: "r".into(),
        alive: !dead.iter().any(|dead| node(*dead) == id),
        is_local: id == node(1),
        latency_us: 0,
    })
    .unwrap()
}

fn key() -> DecoratedKey {
    DecoratedKey { token: Token(7), key: PartitionKey(Bytes::from_static(b"k")) }
}

/// A partition with these rows, each with one cell.
fn partition(rows: &[(u8, i64)]) -> Partition {
    let mut partition = Partition::default();
    for (row, timestamp) in rows {
        let content = match timestamp {
            0.. => CellContent::Live(Bytes::from_static(b"v")),
            _ => CellContent::Tombstone { deleted_at: Seconds(1) },
        };
        let cell = Cell { timestamp: Timestamp(timestamp.abs()), content };
        partition.row_mut(ClusteringKey(Bytes::from(vec![*row]))).set(ColumnId(1), ColumnData::Simple(cell));
    }
    partition
}

fn request(consistency: Consistency, speculative_delay: Option<Duration>) -> ReadRequest {
    ReadRequest {
        command: Arc::new(ReadCommand {
            table: TableId::default(),
            target: ReadTarget::Partition(key()),
            slices: vec![(Position::START, Position::END)],
            reversed: false,
            row_limit: 2,
            per_partition_limit: u32::MAX,
            byte_limit: u32::MAX,
            now: Seconds(100),
            rows: RowChoice::All,
        }),
        resume: None,
        consistency,
        deadline: DEADLINE,
        speculative_delay,
        read_repair: ReadRepair::Blocking,
    }
}

/// Runs a script over replicas and writes down what the machine said, a line an event.
struct Story {
    machine: ReadMachine,
    replicas: [Partition; 4],
    sent: Vec<(usize, Tag, ReplicaRequest)>,
    out: Vec<ReadOutput>,
    text: String,
}

impl Story {
    fn new(request: ReadRequest, plan: ReplicaPlan, replicas: [Partition; 3]) -> Self {
        let mut out = Vec::new();
        let start = format!("read at {}", request.consistency);
        let machine = ReadMachine::start(request, plan, Instant(0), &mut out);
        let [one, two, three] = replicas;
        let replicas = [Partition::default(), one, two, three];
        let mut story = Self { machine, replicas, sent: Vec::new(), out, text: String::new() };
        story.note(&start);
        story
    }

    fn note(&mut self, event: &str) {
        write!(self.text, "{event} ->").unwrap();
        for output in self.out.drain(..) {
            match output {
                ReadOutput::Send { to, tag, request } => {
                    let index = (0..4).find(|index| node(*index) == to).unwrap();
                    let kind = match &request {
                        ReplicaRequest::Read { digest_only: true, .. } => "digest",
                        ReplicaRequest::Read { command, .. } if command.slices[0].0 == Position::START => "data",
                        ReplicaRequest::Read { .. } => "more",
                        ReplicaRequest::Repair(_) => "repair",
                        ReplicaRequest::Write(_) => "write",
                        ReplicaRequest::ReadRemains(_) => "remains",
                    };
                    self.sent.push((index, tag, request));
                    write!(self.text, " {kind} {index}").unwrap();
                }
                ReadOutput::Replan { known } => write!(self.text, " replan {known}").unwrap(),
                ReadOutput::Done(Ok(response)) => {
                    let rows = response.partitions.iter().flat_map(|(_, partition)| &partition.rows);
                    let live = rows.filter(|(_, row)| row.is_live(Seconds(100))).map(|(key, _)| key.0[0]);
                    let more = if response.stopped_at.is_some() { " and more" } else { "" };
                    write!(self.text, " rows {:?}{more}", live.collect::<Vec<u8>>()).unwrap();
                }
                ReadOutput::Done(Err(error)) => write!(self.text, " error 0x{:04x}", error.code()).unwrap(),
            }
        }
        self.text.push('\n');
    }

    fn step(&mut self, event: &str, now: Instant, input: ReadInput) -> &mut Self {
        self.machine.step(now, input, &mut self.out);
        self.note(event);
        self
    }

    fn respond(&mut self, index: usize, event: &str, response: Option<ReplicaResponse>) -> &mut Self {
        let place = self.sent.iter().position(|(sent, _, _)| *sent == index).expect("something was sent");
        let (_, tag, request) = self.sent.remove(place);
        let response = response.unwrap_or_else(|| match request {
            ReplicaRequest::Repair(mutation) | ReplicaRequest::Write(mutation) => {
                self.replicas[index].merge(&mutation.mutation.update);
                ReplicaResponse::Written
            }
            ReplicaRequest::ReadRemains(_) => panic!("an answer is never made of remains"),
            ReplicaRequest::Read { command, digest_only } => {
                let mut partition = self.replicas[index].clone();
                partition.restrict(&command.slices);
                let response = apply_limits([(key(), partition)], &command);
                if digest_only { ReplicaResponse::Digest(digest(&response)) } else { ReplicaResponse::Data(response) }
            }
        });
        self.step(event, Instant(10), ReadInput::Response { node: node(index), tag, response })
    }

    /// The replica answers the oldest request it was sent.
    fn answers(&mut self, index: usize) -> &mut Self {
        self.respond(index, &format!("{index} answers"), None)
    }

    fn fails(&mut self, index: usize, failure: ReplicaFailure) -> &mut Self {
        let event = format!("{index}: {failure}");
        self.respond(index, &event, Some(ReplicaResponse::Failed(failure)))
    }

    fn tells(&self, expected: &str) {
        let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.text, expected, "\n{}", self.text);
    }
}

fn same() -> [Partition; 3] {
    [partition(&[(1, 5)]), partition(&[(1, 5)]), partition(&[(1, 5)])]
}

#[test]
fn agreement_takes_one_round() {
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), same());
    story.answers(2).answers(1);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         2 answers ->
         1 answers -> rows [1]",
    );
    let mut story = Story::new(request(Consistency::One, None), plan(1, &[1]), same());
    story.answers(2);
    story.tells("read at ONE -> data 2\n2 answers -> rows [1]");
}

#[test]
fn a_stale_replica_is_mended_before_the_answer() {
    let replicas = [partition(&[(1, 5)]), partition(&[(1, 5), (2, 6)]), Partition::default()];
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), replicas);
    story.answers(1).answers(2).answers(2).answers(1);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         1 answers ->
         2 answers -> data 2
         2 answers -> repair 1
         1 answers -> rows [1, 2] and more",
    );
    assert_eq!(story.replicas[1], story.replicas[2]);
}

#[test]
fn a_repair_that_cannot_be_made_goes_to_another_replica() {
    let replicas = [partition(&[(1, 5)]), partition(&[(1, 6)]), Partition::default()];
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), replicas);
    story.answers(1).answers(2).answers(2);
    story.step("1: link down", Instant(20), ReadInput::LinkDown { node: node(1) });
    story.answers(3);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         1 answers ->
         2 answers -> data 2
         2 answers -> repair 1
         1: link down -> repair 3
         3 answers -> rows [1]",
    );
}

#[test]
fn a_lost_link_is_a_timeout_that_need_not_be_waited_for() {
    let replicas = [Partition::default(), Partition::default(), Partition::default()];
    let mut story = Story::new(request(Consistency::All, None), plan(1, &[]), replicas);
    story.answers(1).answers(2);
    story.step("3: link down", Instant(20), ReadInput::LinkDown { node: node(3) });
    story.tells(
        "read at ALL -> data 1 digest 2 digest 3
         1 answers ->
         2 answers ->
         3: link down -> error 0x1200",
    );
}

#[test]
fn deleted_rows_are_made_up_for() {
    let rows = partition(&[(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    let mut deleted = partition(&[(1, -6), (2, -6), (3, -6)]);
    deleted.merge(&partition(&[(4, 5), (5, 5)]));
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), [rows, deleted, Partition::default()]);
    story.answers(1).answers(2).answers(2).answers(1).answers(1).answers(2).answers(1);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         1 answers ->
         2 answers -> data 2
         2 answers -> repair 1
         1 answers -> more 1 more 2
         1 answers ->
         2 answers -> repair 1
         1 answers -> rows [4, 5] and more",
    );
}

#[test]
fn a_slow_replica_is_replaced_in_time() {
    let delay = Some(Duration::from_nanos(100));
    let mut story = Story::new(request(Consistency::Quorum, delay), plan(1, &[]), same());
    assert_eq!(story.machine.deadline(), Some(Instant(100)));
    story.answers(2).step("time", Instant(100), ReadInput::Tick);
    assert_eq!(story.machine.deadline(), Some(DEADLINE));
    story.answers(3);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         2 answers ->
         time -> data 3
         3 answers -> rows [1]",
    );
    let always = Story::new(request(Consistency::One, Some(Duration::ZERO)), plan(1, &[]), same());
    always.tells("read at ONE -> data 1 data 2");
}

#[test]
fn failures_are_replaced_until_nobody_is_left() {
    let corrupt = || ReplicaFailure::Corrupt("block".into());
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), same());
    story.fails(1, corrupt()).answers(2).answers(3);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         1: corrupt: block -> data 3
         2 answers ->
         3 answers -> rows [1]",
    );
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[3]), same());
    story.fails(1, corrupt());
    story.tells("read at QUORUM -> data 1 digest 2\n1: corrupt: block -> error 0x1300");
    let mut story = Story::new(request(Consistency::All, None), plan(1, &[]), same());
    story.answers(1).step("deadline", DEADLINE, ReadInput::Tick);
    story.tells("read at ALL -> data 1 digest 2 digest 3\n1 answers ->\ndeadline -> error 0x1200");
    let story = Story::new(request(Consistency::All, None), plan(1, &[2]), same());
    story.tells("read at ALL -> error 0x1000");
    let mut story = Story::new(request(Consistency::One, None), plan(1, &[1, 2]), same());
    story.fails(3, ReplicaFailure::Overloaded("queue".into()));
    story.tells("read at ONE -> data 3\n3: overloaded: queue -> error 0x1001");
}

#[test]
fn a_stale_plan_starts_the_read_again() {
    let mut story = Story::new(request(Consistency::Quorum, None), plan(1, &[]), same());
    story.fails(2, ReplicaFailure::StaleEpoch { current: Epoch(2) });
    story.answers(1);
    story.machine.replan(Instant(20), plan(2, &[2]), &mut story.out);
    story.note("newer plan");
    story.answers(1).answers(3);
    story.tells(
        "read at QUORUM -> data 1 digest 2
         2: planned before epoch 2 -> replan 2
         1 answers ->
         newer plan -> data 1 digest 3
         1 answers ->
         3 answers -> rows [1]",
    );
}

#[test]
fn every_partition_is_mended_before_the_answer() {
    let mut request = request(Consistency::Quorum, None);
    let command = Arc::make_mut(&mut request.command);
    command.target = ReadTarget::Range { after: None, last: Token::MAX, from: None };
    command.row_limit = 10;
    let other = DecoratedKey { token: Token(8), key: PartitionKey(Bytes::from_static(b"l")) };
    let full = ReadResponse {
        partitions: vec![(key(), partition(&[(1, 5)])), (other, partition(&[(2, 5)]))],
        stopped_at: None,
    };
    let mut out = Vec::new();
    let mut machine = ReadMachine::start(request, plan(1, &[]), Instant(0), &mut out);
    let mut step = |from: usize, tag: u64, response: ReplicaResponse| {
        let mut out = Vec::new();
        let input = ReadInput::Response { node: node(from), tag: Tag(tag), response };
        machine.step(Instant(1), input, &mut out);
        out
    };
    step(1, 0, ReplicaResponse::Data(full.clone()));
    step(2, 1, ReplicaResponse::Digest(0));
    // Somebody else's answer under this tag is nobody's.
    assert!(step(3, 2, ReplicaResponse::Data(full.clone())).is_empty());
    let repairs = step(2, 2, ReplicaResponse::Data(ReadResponse::default()));
    assert_eq!(repairs.len(), 2, "{repairs:?}");
    assert!(step(2, 4, ReplicaResponse::Written).is_empty(), "one of two is not enough");
    assert_eq!(step(2, 3, ReplicaResponse::Written), vec![ReadOutput::Done(Ok(full))]);
}
