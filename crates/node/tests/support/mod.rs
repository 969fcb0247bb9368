//! The smallest possible driver of nodes: everything happens at once and nothing is ever lost.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "a driver for tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_env::sim_disk::{SimDisk, SimDiskOptions};
use quorate_env::sim_system_store::SimSystemStore;
use quorate_env::{Instant, Now, WallTime};
use quorate_model::request::{
    Answer, BoundValue, ClientRequest, ClientResponse, QueryOptions, RequestBody, RequestError, Rows, Values,
};
use quorate_model::value::Value;
use quorate_model::{Consistency, Epoch, NodeId};
use quorate_node::{
    Input, Job, JobClass, JobDone, MachineId, Node, NodeConfig, NodePhase, Output, PeerAddress, RequestId, Timing,
};
use quorate_storage::StorageOptions;

/// One node with its disk.
pub struct Member {
    pub address: String,
    pub disk: Arc<SimDisk>,
    pub node: Option<Node>,
    pub id: NodeId,
    linked: BTreeSet<NodeId>,
}

/// What somebody who looks at the cluster from outside sees, in order.
pub enum Seen {
    /// A frame was sent, and arrived or was lost.
    Frame { from: usize, to: usize, frame: bytes::Bytes, arrived: bool },
    /// A node's log became durable.
    Synced(usize),
    /// A node answered a client.
    Answered(usize, RequestId),
    /// A node began a job.
    Began(usize, JobClass),
    /// A node has published the metadata of this epoch.
    Applied(usize, Epoch),
}

/// A cluster in one thread, with a clock that jumps from deadline to deadline.
pub struct Cluster {
    pub members: Vec<Member>,
    /// Client requests that a worker takes at a time, of nodes that start from now on.
    pub requests_max: usize,
    /// Tokens of nodes that start from now on.
    pub vnodes: u32,
    /// Frames from the first to the second are lost.
    pub cuts: BTreeSet<(usize, usize)>,
    /// What happened.
    pub seen: Vec<Seen>,
    pub now: Now,
    /// Whether the log is synced when a machine asks for it.
    pub syncs: bool,
    /// Whether reads from disk are kept waiting, and those that wait: member, machine, job.
    pub holds_reads: bool,
    pub held: Vec<(usize, MachineId, Job)>,
    queue: VecDeque<(usize, MachineId, Input)>,
    pub replies: BTreeMap<RequestId, ClientResponse>,
    next_request: u64,
    directory: BTreeMap<String, usize>,
}

impl Cluster {
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
            requests_max: 1000,
            vnodes: 8,
            cuts: BTreeSet::new(),
            seen: Vec::new(),
            now: Now { mono: Instant(0), wall: WallTime(1_700_000_000_000_000) },
            syncs: true,
            holds_reads: false,
            held: Vec::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            directory: BTreeMap::new(),
        }
    }

    /// A cluster of so many nodes, each of which has joined.
    pub fn of(nodes: usize) -> Self {
        let mut cluster = Self::new();
        for index in 0..nodes {
            cluster.add(1);
            cluster.run_until("the node has joined", |cluster| cluster.is_ready(index));
        }
        cluster
    }

    pub fn add(&mut self, workers: u16) -> usize {
        let address = format!("10.0.0.{}:7000", self.members.len() + 1);
        self.add_at(&address, workers)
    }

    /// A node at an address, which may be a name.
    pub fn add_at(&mut self, address: &str, workers: u16) -> usize {
        let index = self.members.len();
        let address = address.to_owned();
        let disk = SimDisk::new(index as u64 + 1, SimDiskOptions::default());
        self.directory.insert(address.clone(), index);
        self.members.push(Member { address, disk, node: None, id: NodeId::default(), linked: BTreeSet::new() });
        self.start(index, workers);
        index
    }

    pub fn start(&mut self, index: usize, workers: u16) {
        let config = NodeConfig {
            cluster_name: "test".to_owned(),
            address: self.members[index].address.clone(),
            cql_port: 9042,
            grpc_port: 9044,
            datacenter: "dc1".to_owned(),
            rack: "r1".to_owned(),
            seeds: vec![self.members[0].address.clone()],
            vnodes: self.vnodes,
            workers,
            storage: StorageOptions::tiny(),
            timing: Timing::default(),
            clock_skew_max: Duration::from_secs(3600),
            hint_window: Duration::from_secs(3 * 3600),
            requests_max: self.requests_max,
        };
        let disk = self.members[index].disk.clone();
        let store = Box::new(SimSystemStore::open(disk.clone(), "system").unwrap());
        let seed = index as u64 + 100;
        let node = Node::open(config, disk, store, self.now, seed).unwrap();
        self.members[index].id = node.shared.id;
        self.members[index].node = Some(node);
        self.queue.push_back((index, MachineId::CONTROL, Input::Tick));
    }

    /// The node stops at once; its disk keeps what was synced.
    pub fn crash(&mut self, index: usize) {
        self.members[index].node = None;
        self.members[index].disk.crash();
        self.members[index].linked.clear();
        self.queue.retain(|(member, _, _)| *member != index);
        let id = self.members[index].id;
        for other in 0..self.members.len() {
            if self.members[other].linked.remove(&id) {
                self.broadcast(other, || Input::Link { node: id, up: false });
            }
        }
    }

    fn broadcast(&mut self, index: usize, input: impl Fn() -> Input) {
        let Some(node) = &self.members[index].node else { return };
        let machines: Vec<MachineId> =
            std::iter::once(MachineId::CONTROL).chain(node.workers.iter().map(|worker| worker.machine())).collect();
        self.queue.extend(machines.into_iter().map(|machine| (index, machine, input())));
    }

    pub fn is_ready(&self, index: usize) -> bool {
        self.members[index].node.as_ref().is_some_and(|node| node.shared.phase() == NodePhase::Ready)
    }

    fn step(&mut self, index: usize, machine: MachineId, input: Input) {
        let mut out = Vec::new();
        let now = self.now;
        let Some(node) = &mut self.members[index].node else { return };
        let epoch = node.shared.snapshot().metadata.epoch;
        if machine == MachineId::CONTROL {
            node.control.step(now, input, &mut out);
            node.control.check();
        } else {
            let worker = usize::from(machine.0 - 1) % node.workers.len();
            node.workers[worker].step(now, input, &mut out);
            node.workers[worker].check();
        }
        let applied = node.shared.snapshot().metadata.epoch;
        if applied != epoch {
            self.seen.push(Seen::Applied(index, applied));
        }
        for output in out {
            self.carry_out(index, machine, output);
        }
    }

    fn carry_out(&mut self, index: usize, machine: MachineId, output: Output) {
        let from = PeerAddress { node: self.members[index].id, machine };
        match output {
            Output::Send { to, frame, .. } => {
                let Some(target) = self.members.iter().position(|member| member.id == to.node) else { return };
                self.deliver(index, target, to.machine, from, frame);
            }
            Output::SendToAddress { address, frame } => {
                let Some(target) = self.directory.get(&address).copied() else { return };
                self.deliver(index, target, MachineId::CONTROL, from, frame);
            }
            Output::Reply { id, response } => {
                self.seen.push(Seen::Answered(index, id));
                self.replies.insert(id, *response);
            }
            Output::Job(job) if self.holds_reads && job.class == JobClass::Read => {
                self.held.push((index, machine, job))
            }
            Output::Job(job) => {
                self.seen.push(Seen::Began(index, job.class));
                let outcome = (job.work)();
                self.queue.push_back((index, machine, Input::JobDone(JobDone { id: job.id, outcome })));
            }
            Output::SyncLog if !self.syncs => {}
            Output::SyncLog => {
                let Some(node) = &self.members[index].node else { return };
                let result = node.shared.storage().sync_log();
                self.seen.push(Seen::Synced(index));
                let workers: Vec<MachineId> = node.workers.iter().map(|worker| worker.machine()).collect();
                for worker in workers {
                    self.queue.push_back((index, worker, Input::LogSynced(result.clone())));
                }
            }
            Output::Internal { to, message } => self.queue.push_back((index, to, Input::Internal(message))),
            Output::Directory(_) => {}
            Output::Fatal(reason) => panic!("node {index} gave up: {reason}"),
        }
    }

    fn deliver(&mut self, source: usize, target: usize, machine: MachineId, from: PeerAddress, frame: bytes::Bytes) {
        let arrived = self.members[target].node.is_some() && !self.cuts.contains(&(source, target));
        self.seen.push(Seen::Frame { from: source, to: target, frame: frame.clone(), arrived });
        if !arrived {
            return;
        }
        for (one, other) in [(source, target), (target, source)] {
            let id = self.members[other].id;
            if self.members[one].linked.insert(id) {
                self.broadcast(one, || Input::Link { node: id, up: true });
            }
        }
        let machine = if machine == MachineId::ANY_WORKER { MachineId::worker(0) } else { machine };
        self.queue.push_back((target, machine, Input::Peer { from, frame }));
    }

    /// Lets the reads from disk that were kept waiting be done, at last.
    pub fn release_reads(&mut self) {
        self.holds_reads = false;
        for (index, machine, job) in std::mem::take(&mut self.held) {
            self.carry_out(index, machine, Output::Job(job));
        }
    }

    /// Handles everything that is due now.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while let Some((index, machine, input)) = self.queue.pop_front() {
            self.step(index, machine, input);
            steps += 1;
            assert!(steps < 1_000_000, "the cluster does not come to rest");
        }
    }

    /// Handles one event after another until the condition holds, and no more.
    pub fn step_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..1_000_000 {
            if condition(self) {
                return;
            }
            match self.queue.pop_front() {
                Some((index, machine, input)) => self.step(index, machine, input),
                None => self.advance(),
            }
        }
        panic!("after a million steps still not: {what}");
    }

    /// Handles what is due, and moves the clock to the next deadline, until the condition holds.
    pub fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = self.now.mono + Duration::from_secs(120);
        loop {
            self.settle();
            if condition(self) {
                return;
            }
            assert!(self.now.mono < end, "after two minutes still not: {what}");
            self.advance();
        }
    }

    fn advance(&mut self) {
        let mut due: Vec<(Instant, usize, MachineId)> = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(node) = &member.node else { continue };
            due.extend(node.control.deadline().map(|at| (at, index, MachineId::CONTROL)));
            for worker in &node.workers {
                due.extend(worker.deadline().map(|at| (at, index, worker.machine())));
            }
        }
        let Some(first) = due.iter().map(|(at, _, _)| *at).min() else { panic!("nobody waits for anything") };
        // A frame takes a moment, so that time never stands still.
        let next = first.max(self.now.mono + Duration::from_micros(100));
        let passed = next.since(self.now.mono);
        self.now = Now { mono: next, wall: WallTime(self.now.wall.0 + passed.as_micros() as i64) };
        for (at, index, machine) in due {
            if at <= next {
                self.queue.push_back((index, machine, Input::Tick));
            }
        }
    }

    /// An event for a machine, handled with the next ones.
    pub fn input(&mut self, index: usize, machine: MachineId, input: Input) {
        self.queue.push_back((index, machine, input));
    }

    /// A request that nobody waits for yet.
    pub fn begin(&mut self, index: usize, request: ClientRequest) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.input(index, MachineId::worker(0), Input::Client { id, request });
        id
    }

    pub fn is_answered(&self, id: RequestId) -> bool {
        self.replies.contains_key(&id)
    }

    pub fn request(&mut self, index: usize, request: ClientRequest) -> ClientResponse {
        let id = self.begin(index, request);
        self.run_until("an answer", |cluster| cluster.replies.contains_key(&id));
        self.replies.remove(&id).unwrap()
    }

    pub fn query(&mut self, index: usize, text: &str, options: QueryOptions) -> Result<Answer, RequestError> {
        let body = RequestBody::Query { text: text.to_owned(), values: Values::default() };
        self.request(index, ClientRequest { body, keyspace: None, options }).result
    }

    /// A statement at QUORUM that must succeed.
    pub fn run(&mut self, index: usize, text: &str) -> Answer {
        self.query(index, text, at(Consistency::Quorum)).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Rows of a query at a level, as values.
    pub fn rows(&mut self, index: usize, text: &str, level: Consistency) -> Vec<Vec<Value>> {
        match self.query(index, text, at(level)) {
            Ok(Answer::Rows(rows)) => decode(&rows),
            other => panic!("{text}: {other:?}"),
        }
    }
}

pub fn at(consistency: Consistency) -> QueryOptions {
    QueryOptions { consistency, ..QueryOptions::default() }
}

pub fn decode(rows: &Rows) -> Vec<Vec<Value>> {
    let mut data = &rows.data[..];
    let mut decoded = Vec::new();
    for _ in 0..rows.row_count {
        let mut row = Vec::new();
        for column in &rows.metadata.columns {
            let (length, rest) = data.split_at(4);
            let length = i32::from_be_bytes(length.try_into().unwrap());
            data = rest;
            if length < 0 {
                row.push(Value::Null);
            } else {
                let (bytes, rest) = data.split_at(length as usize);
                row.push(Value::decode(&column.cql_type, bytes).unwrap());
                data = rest;
            }
        }
        decoded.push(row);
    }
    assert!(data.is_empty(), "bytes left over after the last row");
    decoded
}

pub fn bound(values: &[Option<&[u8]>]) -> Values {
    Values::Positional(
        values
            .iter()
            .map(|value| {
                value.map_or(BoundValue::Null, |bytes| BoundValue::Bytes(bytes::Bytes::copy_from_slice(bytes)))
            })
            .collect(),
    )
}
