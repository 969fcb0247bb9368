//! Whole clusters agreeing on the metadata log while messages are lost, doubled and reordered, links are cut, and nodes
//! crash between any two outputs: one decision a slot, outcomes that are true, and progress once the faults end.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use quorate_env::{Instant, Random};
use quorate_membership::metadata_log::{
    LogConfig, LogFrame, LogInput, LogOutput, ProposalOutcome, STORE_PREFIX, StoreChanges,
};
use quorate_membership::{Change, ClusterMetadata, Entry, MetadataLog, ProposalId, desired_members};
use quorate_model::schema::{Keyspace, Replication};
use quorate_model::wire::Wire;
use quorate_model::{Epoch, NodeId};
use quorate_ring::{MovementPhase, NodeEntry, NodeState, allot_tokens};

const TICK: Duration = Duration::from_millis(5);
const NAME: &str = "test cluster";

/// Bugs that can be put in, to see that the checks find them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// Promises and acceptances are answered but not persisted.
    ForgetsPromises,
}

struct Host {
    log: Option<MetadataLog>,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    generation: u64,
    restart_at: Instant,
}

struct Cluster {
    random: Random,
    now: Instant,
    hosts: BTreeMap<NodeId, Host>,
    network: Vec<(Instant, NodeId, NodeId, Bytes)>,
    faults: bool,
    cut: BTreeSet<(NodeId, NodeId)>,
    planted: Planted,
    decided: BTreeMap<Epoch, Entry>,
    finished: BTreeMap<ProposalId, ProposalOutcome>,
    violation: Option<String>,
}

impl Cluster {
    fn new(seed: u64, nodes: u128, planted: Planted) -> Self {
        let mut cluster = Self {
            random: Random::new(seed),
            now: Instant(1),
            hosts: BTreeMap::new(),
            network: Vec::new(),
            faults: true,
            cut: BTreeSet::new(),
            planted,
            decided: BTreeMap::new(),
            finished: BTreeMap::new(),
            violation: None,
        };
        for id in 1..=nodes {
            let host = Host { log: None, store: BTreeMap::new(), generation: 0, restart_at: Instant(0) };
            cluster.hosts.insert(NodeId::from_u128(id), host);
        }
        for node in cluster.nodes() {
            cluster.start(node);
        }
        cluster
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    fn start(&mut self, node: NodeId) {
        let random = self.random.fork();
        let host = self.hosts.get_mut(&node).unwrap();
        host.generation += 1;
        let stored: Vec<_> = host
            .store
            .iter()
            .filter(|(key, _)| key.starts_with(STORE_PREFIX))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let log = MetadataLog::open(LogConfig::new(NAME), node, host.generation, random, &stored).unwrap();
        log.check();
        host.log = Some(log);
    }

    fn crash(&mut self, node: NodeId) {
        let rest = Duration::from_millis(self.random.between(50, 4000));
        let host = self.hosts.get_mut(&node).unwrap();
        host.log = None;
        host.restart_at = self.now + rest;
    }

    /// Carries outputs out in order; the node may crash between any two of them.
    fn carry_out(&mut self, node: NodeId, outputs: Vec<LogOutput>) {
        for output in outputs {
            if self.faults && self.random.chance(1, 400) {
                self.crash(node);
                return;
            }
            match output {
                LogOutput::Persist(changes) => self.persist(node, changes),
                LogOutput::Send { to, frame } => self.send(node, to, &frame),
                LogOutput::Applied { entry, .. } => match self.decided.get(&entry.epoch) {
                    Some(decided) if *decided != entry => self.violate(format!("slot {} decided twice", entry.epoch)),
                    Some(_) => {}
                    None => {
                        self.decided.insert(entry.epoch, entry);
                    }
                },
                LogOutput::Installed { .. } => {}
                LogOutput::Finished { id, outcome } => {
                    self.finished.insert(id, outcome);
                }
                LogOutput::Diverged { epoch, .. } => self.violate(format!("logs diverge at {epoch}")),
                LogOutput::Foreign { .. } => self.violate("a foreign cluster".to_owned()),
            }
        }
        if let Some(log) = &self.hosts[&node].log {
            log.check();
        }
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn persist(&mut self, node: NodeId, changes: StoreChanges) {
        let host = self.hosts.get_mut(&node).unwrap();
        for (key, value) in changes {
            if self.planted == Planted::ForgetsPromises && key.ends_with(b"acceptor") {
                continue;
            }
            match value {
                Some(value) => host.store.insert(key, value),
                None => host.store.remove(&key),
            };
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, frame: &LogFrame) {
        if self.faults && (self.random.chance(1, 8) || self.cut.contains(&(from, to))) {
            return;
        }
        let copies = if self.faults && self.random.chance(1, 20) { 2 } else { 1 };
        for _ in 0..copies {
            let slow = self.faults && self.random.chance(1, 30);
            let delay = if slow { self.random.between(100, 5000) } else { self.random.between(1, 30) };
            self.network.push((self.now + Duration::from_millis(delay), from, to, frame.to_bytes()));
        }
    }

    fn step(&mut self, node: NodeId, input: LogInput) {
        let now = self.now;
        let Some(log) = &mut self.hosts.get_mut(&node).unwrap().log else { return };
        let mut out = Vec::new();
        log.step(now, input, &mut out);
        self.carry_out(node, out);
    }

    fn propose(&mut self, node: NodeId, change: Change) -> Option<ProposalId> {
        let now = self.now;
        let log = self.hosts.get_mut(&node).unwrap().log.as_mut()?;
        let mut out = Vec::new();
        let planned_at = log.epoch();
        let id = log.propose(now, change, planned_at, Duration::from_secs(4), &mut out).ok()?;
        self.carry_out(node, out);
        Some(id)
    }

    fn metadata(&self, node: NodeId) -> Option<ClusterMetadata> {
        self.hosts[&node].log.as_ref().map(|log| log.metadata().as_ref().clone())
    }

    fn entry(&mut self, metadata: &ClusterMetadata, node: NodeId) -> NodeEntry {
        let random = &mut self.random;
        let tokens = allot_tokens(&metadata.topology, "dc1", "r1", 4, &mut || random.next_u64());
        NodeEntry {
            id: node,
            address: format!("{node}:7000"),
            cql_port: 9042,
            grpc_port: 9044,
            datacenter: "dc1".to_owned(),
            rack: "r1".to_owned(),
            tokens,
            state: NodeState::Joining,
        }
    }

    /// A change that makes sense in the state of a node, or now and then one that others want as well.
    fn plan(&mut self, metadata: &ClusterMetadata) -> Change {
        let nodes = self.nodes();
        if self.random.chance(1, 2) {
            let replication = Replication::Simple { factor: self.random.below(4) as u32 };
            let name = format!("ks{}", self.random.below(3));
            let (tables, types) = (BTreeMap::new(), BTreeMap::new());
            return Change::PutKeyspace(Keyspace { name, replication, durable_writes: true, tables, types });
        }
        if let Some(movement) = metadata.topology.movement {
            return match (movement.phase(), self.random.chance(1, 6)) {
                (_, true) => Change::JoinAbort(movement.node()),
                (MovementPhase::WriteBoth, _) => Change::JoinReadNew(movement.node()),
                (MovementPhase::ReadNew, _) => Change::JoinFinish(movement.node()),
            };
        }
        let live = nodes.iter().copied().collect();
        if let Some(members) = desired_members(&metadata.topology, &metadata.members, &live) {
            return Change::SetMembers(members);
        }
        match nodes.iter().find(|node| metadata.topology.node(**node).is_none()) {
            Some(newcomer) => Change::JoinPrepare(self.entry(metadata, *newcomer)),
            None => Change::DropKeyspace(format!("ks{}", self.random.below(3))),
        }
    }

    fn inject_faults(&mut self) {
        let nodes = self.nodes();
        if self.random.chance(1, 500) {
            let node = *self.random.pick(&nodes).unwrap();
            self.crash(node);
        }
        if self.random.chance(1, 300) {
            self.cut.clear();
            for _ in 0..self.random.below(4) {
                let (from, to) = (*self.random.pick(&nodes).unwrap(), *self.random.pick(&nodes).unwrap());
                self.cut.insert((from, to));
            }
        }
    }

    fn advance(&mut self) {
        self.now = self.now + TICK;
        for node in self.nodes() {
            if self.hosts[&node].log.is_none() && self.hosts[&node].restart_at <= self.now {
                self.start(node);
            }
        }
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.network).into_iter().partition(|(at, ..)| *at <= now);
        self.network = later;
        let mut due: Vec<(Instant, NodeId, NodeId, Bytes)> = due;
        self.random.shuffle(&mut due);
        for (_, from, node, bytes) in due {
            self.step(node, LogInput::Message { from, frame: LogFrame::from_bytes(&bytes).unwrap() });
        }
        for node in self.nodes() {
            let deadline = self.hosts[&node].log.as_ref().and_then(MetadataLog::deadline);
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.step(node, LogInput::Tick);
            }
            // What gossip does: now and then a node hears how far another is. One without a cluster asks anybody.
            if self.random.chance(1, 60) {
                let other = *self.random.pick(&self.nodes()).unwrap();
                match (self.metadata(node), self.metadata(other)) {
                    (Some(mine), _) if !mine.is_founded() => {
                        let frame = self.hosts[&node].log.as_ref().unwrap().fetch_frame();
                        self.send(node, other, &frame);
                    }
                    (Some(_), Some(theirs)) => self.step(node, LogInput::Heard { from: other, epoch: theirs.epoch }),
                    _ => {}
                }
            }
        }
    }

    fn found(&mut self) {
        let first = self.nodes()[0];
        let entry = self.entry(&ClusterMetadata::default(), first);
        let mut out = Vec::new();
        self.hosts.get_mut(&first).unwrap().log.as_mut().unwrap().found(NAME, entry, &mut out).unwrap();
        self.faults = false;
        self.carry_out(first, out);
        self.faults = true;
    }

    fn run(&mut self, ticks: u32) {
        let nodes = self.nodes();
        for _ in 0..ticks {
            if self.violation.is_some() {
                return;
            }
            if self.faults {
                self.inject_faults();
            }
            if self.random.chance(1, 15) {
                let proposers = 1 + self.random.below(2);
                for _ in 0..proposers {
                    let node = *self.random.pick(&nodes).unwrap();
                    if let Some(metadata) = self.metadata(node).filter(ClusterMetadata::is_founded) {
                        let change = self.plan(&metadata);
                        self.propose(node, change);
                    }
                }
            }
            self.advance();
        }
    }

    /// Ends all faults; everybody must agree, and changes must go through.
    fn heal(&mut self) {
        self.faults = false;
        self.cut.clear();
        self.run(0);
        for _ in 0..2_000 {
            self.advance();
        }
        if self.violation.is_some() {
            return;
        }
        for node in self.nodes() {
            let change = Change::PutKeyspace(Keyspace {
                name: format!("last of {node}"),
                replication: Replication::Local,
                durable_writes: true,
                tables: BTreeMap::new(),
                types: BTreeMap::new(),
            });
            let id = self.propose(node, change).expect("every node may propose after the faults");
            for _ in 0..400 {
                self.advance();
            }
            let outcome = self.finished.get(&id);
            assert!(matches!(outcome, Some(ProposalOutcome::Decided { rejection: None, .. })), "{node}: {outcome:?}");
        }
    }

    fn verify(&mut self) {
        let by_id: BTreeMap<ProposalId, Epoch> =
            self.decided.values().map(|entry| (entry.proposal.id, entry.epoch)).collect();
        for (id, outcome) in self.finished.clone() {
            let decided = by_id.get(&id);
            let truthful = match outcome {
                ProposalOutcome::Decided { epoch, .. } => decided == Some(&epoch),
                ProposalOutcome::Superseded { .. } | ProposalOutcome::Unavailable => decided.is_none(),
                ProposalOutcome::Unknown => true,
            };
            if !truthful {
                self.violate(format!("{id:?} ended as {outcome:?}, but was decided at {decided:?}"));
            }
        }
        let mut states: Vec<_> = self.nodes().into_iter().filter_map(|node| self.metadata(node)).collect();
        states.dedup();
        if states.len() != 1 {
            self.violate("states differ after the faults".to_owned());
        }
        let mut replayed = ClusterMetadata::default();
        for entry in self.decided.values() {
            let _ = replayed.apply(entry);
        }
        if states[0] != replayed {
            self.violate("the state is not the fold of the log".to_owned());
        }
    }
}

fn simulate(seed: u64, planted: Planted) -> (Option<String>, usize, usize) {
    let mut cluster = Cluster::new(seed, 3 + u128::from(seed % 4), planted);
    cluster.found();
    cluster.run(6_000);
    if cluster.violation.is_none() {
        if planted == Planted::Nothing {
            cluster.heal();
        } else {
            cluster.faults = false;
            cluster.cut.clear();
            for _ in 0..2_000 {
                cluster.advance();
            }
        }
        cluster.verify();
    }
    let members = cluster.nodes().into_iter().filter_map(|node| cluster.metadata(node)).map(|m| m.members.len());
    (cluster.violation.clone(), cluster.decided.len(), members.max().unwrap_or(0))
}

#[test]
fn one_decision_a_slot_whatever_fails() {
    let (mut entries, mut most_members) = (0, 0);
    for seed in 0..40 {
        let (violation, decided, members) = simulate(seed, Planted::Nothing);
        assert_eq!(violation, None, "seed {seed}");
        entries += decided;
        most_members = most_members.max(members);
    }
    assert!(entries > 40 * 40, "only {entries} entries were decided");
    assert_eq!(most_members, 5, "the members never grew");
}

#[test]
fn forgetting_promises_is_caught() {
    let found = (0..60).find(|seed| simulate(*seed, Planted::ForgetsPromises).0.is_some());
    assert!(found.is_some(), "no seed found the planted bug");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut cluster = Cluster::new(seed, 4, Planted::Nothing);
        cluster.found();
        cluster.run(1_500);
        cluster.decided
    };
    assert_eq!(run(9), run(9));
}
