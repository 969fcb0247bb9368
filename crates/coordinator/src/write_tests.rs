use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::{DecoratedKey, Mutation, Partition, PartitionKey, TableId, Token};

use super::*;
use crate::plan::{PlanInput, ReplicaView, ReplicationFactors};

const DEADLINE: Instant = Instant(1_000_000);

fn node(index: usize) -> NodeId {
    NodeId::from_u128(index as u128)
}

fn plan(epoch: u64, current: &[usize], next: Option<&[usize]>, dead: &[usize]) -> ReplicaPlan {
    let current: Vec<NodeId> = current.iter().map(|index| node(*index)).collect();
    let next: Option<Vec<NodeId>> = next.map(|next| next.iter().map(|index| node(*index)).collect());
    let input = PlanInput {
        epoch: Epoch(epoch),
        factors: Arc::new(ReplicationFactors::simple(3)),
        local_datacenter: "a".into(),
        current: &current,
        next: next.as_deref(),
        read_from_next: false,
    };
    ReplicaPlan::new(input, |id| ReplicaView {
        node: id,
        datacenter: "a".into(),
        rack: "r".into(),
        alive: !dead.iter().any(|dead| node(*dead) == id),
        is_local: false,
        latency_us: 0,
    })
    .unwrap()
}

fn request(consistency: Consistency) -> WriteRequest {
    let key = DecoratedKey { token: Token(7), key: PartitionKey(Bytes::from_static(b"k")) };
    let mutation = Mutation { table: TableId::default(), key, update: Partition::default() };
    WriteRequest {
        mutation: EncodedMutation::new(mutation),
        consistency,
        write_type: WriteType::Simple,
        deadline: DEADLINE,
    }
}

/// Runs a script and writes down what the machine said, a line an event.
struct Story {
    machine: WriteMachine,
    out: Vec<WriteOutput>,
    text: String,
}

impl Story {
    fn new(consistency: Consistency, plan: ReplicaPlan) -> Self {
        let mut out = Vec::new();
        let machine = WriteMachine::start(request(consistency), plan, Instant(0), &mut out);
        let mut story = Self { machine, out, text: String::new() };
        story.note(&format!("write at {consistency}"));
        story
    }

    fn note(&mut self, event: &str) {
        write!(self.text, "{event} ->").unwrap();
        let name = |id: &NodeId| (0..8).find(|index| node(*index) == *id).unwrap();
        for output in self.out.drain(..) {
            match output {
                WriteOutput::Send { to, tag, .. } => write!(self.text, " send {}#{}", name(&to), tag.0),
                WriteOutput::Hint { target } => write!(self.text, " hint {}", name(&target)),
                WriteOutput::Replan { known } => write!(self.text, " replan {known}"),
                WriteOutput::Done(Ok(())) => write!(self.text, " done"),
                WriteOutput::Done(Err(error)) => write!(self.text, " error 0x{:04x}", error.code()),
                WriteOutput::Finished => write!(self.text, " finished"),
            }
            .unwrap();
        }
        self.text.push('\n');
    }

    fn step(&mut self, event: &str, now: Instant, input: WriteInput) -> &mut Self {
        self.machine.step(now, input, &mut self.out);
        self.note(event);
        self
    }

    fn answer(&mut self, index: usize, response: ReplicaResponse) -> &mut Self {
        let event = match &response {
            ReplicaResponse::Failed(failure) => format!("{index}: {failure}"),
            _ => format!("{index}: written"),
        };
        let tag = Tag(self.machine.attempt);
        self.step(&event, Instant(10), WriteInput::Response { node: node(index), tag, response })
    }

    fn written(&mut self, index: usize) -> &mut Self {
        self.answer(index, ReplicaResponse::Written)
    }

    fn failed(&mut self, index: usize, failure: ReplicaFailure) -> &mut Self {
        self.answer(index, ReplicaResponse::Failed(failure))
    }

    fn deadline(&mut self) -> &mut Self {
        self.step("deadline", DEADLINE, WriteInput::Tick)
    }

    fn tells(&self, expected: &str) {
        let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.text, expected, "\n{}", self.text);
    }
}

fn overloaded() -> ReplicaFailure {
    ReplicaFailure::Overloaded("queue".into())
}

#[test]
fn a_dead_replica_gets_a_hint_once_the_write_stands() {
    let mut story = Story::new(Consistency::Quorum, plan(1, &[1, 2, 3], None, &[3]));
    story.written(1).written(2);
    story.tells(
        "write at QUORUM -> send 1#0 send 2#0
         1: written -> hint 3
         2: written -> done finished",
    );
}

#[test]
fn after_the_answer_late_replicas_are_awaited_and_hinted() {
    let mut story = Story::new(Consistency::One, plan(1, &[1, 2, 3], None, &[]));
    story.written(2).failed(1, overloaded()).written(2).deadline().written(3);
    story.tells(
        "write at ONE -> send 1#0 send 2#0 send 3#0
         2: written -> done
         1: overloaded: queue -> hint 1
         2: written ->
         deadline -> hint 3 finished
         3: written ->",
    );
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let mut story = Story::new(Consistency::All, plan(1, &[1, 2, 3], None, &[2]));
    story.tells("write at ALL -> error 0x1000 finished");
    story = Story::new(Consistency::Quorum, plan(1, &[1, 2, 3], None, &[3]));
    story.failed(1, overloaded());
    // The other one may yet apply it: the outcome is unknown, so it is made to stand as far as it can.
    story.tells(
        "write at QUORUM -> send 1#0 send 2#0
         1: overloaded: queue -> hint 1 hint 3 error 0x1500",
    );
    story = Story::new(Consistency::One, plan(1, &[1, 2, 3], None, &[3]));
    story.failed(1, overloaded()).failed(2, ReplicaFailure::NoSpace("disk".into()));
    story.tells(
        "write at ONE -> send 1#0 send 2#0
         1: overloaded: queue ->
         2: no space: disk -> error 0x1001 finished",
    );
}

#[test]
fn what_may_have_been_applied_is_never_called_refused() {
    let mut story = Story::new(Consistency::One, plan(1, &[1, 2], None, &[]));
    story.failed(1, overloaded()).step("2: link down", Instant(5), WriteInput::LinkDown { node: node(2) });
    story.tells(
        "write at ONE -> send 1#0 send 2#0
         1: overloaded: queue ->
         2: link down -> hint 1 hint 2 error 0x1500 finished",
    );
    let mut story = Story::new(Consistency::One, plan(1, &[1], None, &[]));
    story.failed(1, ReplicaFailure::Internal("log".into()));
    story.tells("write at ONE -> send 1#0\n1: log -> hint 1 error 0x1500 finished");
}

#[test]
fn a_lost_link_is_a_timeout_that_need_not_be_waited_for() {
    let mut story = Story::new(Consistency::All, plan(1, &[1, 2, 3], None, &[]));
    story.written(1).written(2).step("3: link down", Instant(5), WriteInput::LinkDown { node: node(3) });
    story.tells(
        "write at ALL -> send 1#0 send 2#0 send 3#0
         1: written ->
         2: written ->
         3: link down -> hint 3 error 0x1100 finished",
    );
}

#[test]
fn a_timeout_hints_whoever_did_not_answer() {
    let mut story = Story::new(Consistency::All, plan(1, &[1, 2, 3], None, &[]));
    story.written(1).deadline();
    story.tells(
        "write at ALL -> send 1#0 send 2#0 send 3#0
         1: written ->
         deadline -> error 0x1100 hint 2 hint 3 finished",
    );
}

#[test]
fn a_moving_range_waits_for_old_and_new_owners() {
    let mut story = Story::new(Consistency::Quorum, plan(1, &[1, 2, 3], Some(&[2, 3, 4]), &[3]));
    story.written(1).written(2).written(4);
    story.tells(
        "write at QUORUM -> send 1#0 send 2#0 send 4#0
         1: written -> hint 3
         2: written ->
         4: written -> done finished",
    );
}

#[test]
fn a_stale_plan_is_replaced_within_the_deadline() {
    let mut story = Story::new(Consistency::Quorum, plan(1, &[1, 2, 3], None, &[]));
    story.written(1).failed(2, ReplicaFailure::StaleEpoch { current: Epoch(2) });
    story.machine.replan(Instant(20), plan(2, &[1, 2, 3], Some(&[2, 3, 4]), &[]), &mut story.out);
    story.note("newer plan");
    story.step(
        "1: late",
        Instant(21),
        WriteInput::Response { node: node(1), tag: Tag(0), response: ReplicaResponse::Written },
    );
    story.written(2).written(3).deadline();
    story.tells(
        "write at QUORUM -> send 1#0 send 2#0 send 3#0
         1: written ->
         2: planned before epoch 2 -> replan 2
         newer plan -> send 1#1 send 2#1 send 3#1 send 4#1
         1: late ->
         2: written ->
         3: written -> done
         deadline -> hint 1 hint 4 finished",
    );
    // A level that the newer plan cannot meet is no refusal: the first attempt has left its mark.
    let mut story = Story::new(Consistency::Quorum, plan(1, &[1, 2, 3], None, &[]));
    story.written(1).failed(2, ReplicaFailure::StaleEpoch { current: Epoch(2) });
    story.machine.replan(Instant(20), plan(2, &[4, 5, 6], None, &[4, 5]), &mut story.out);
    story.note("newer plan");
    assert!(story.text.contains("newer plan -> error 0x1500"), "{}", story.text);
}

#[test]
fn any_is_content_with_a_durable_hint() {
    let mut story = Story::new(Consistency::Any, plan(1, &[1, 2], None, &[1, 2]));
    story.step("hint stored", Instant(5), WriteInput::HintStored { target: node(2) });
    story.tells("write at ANY -> hint 1 hint 2\nhint stored -> done finished");
    let mut story = Story::new(Consistency::Any, plan(1, &[1, 2], None, &[1, 2]));
    story.deadline();
    assert!(story.text.contains("error 0x1100"), "{}", story.text);
}
