//! Gossip and the failure detector together: a dead node is convicted in time by everybody, nobody else ever is, and
//! damaged messages do no harm.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use bytes::Bytes;
use quorate_env::{Instant, Random};
use quorate_membership::failure_detector::FailureDetectorConfig;
use quorate_membership::gossip::{GossipFrame, GossipInput, GossipKey, GossipOutput};
use quorate_membership::metadata_log::LogFrame;
use quorate_membership::{FailureDetector, Gossip, Verdict};
use quorate_model::wire::Wire;
use quorate_model::{ClusterId, NodeId};

struct Host {
    gossip: Gossip,
    detector: FailureDetector,
    stopped: bool,
}

struct Cluster {
    hosts: Vec<Host>,
    random: Random,
    interval: Duration,
    loss_percent: u64,
    /// Whether nodes also send heartbeats to each other twice an interval, as streams do.
    streams: bool,
    now: Instant,
    /// An empty message is a heartbeat.
    network: Vec<(Instant, usize, usize, Bytes)>,
    verdicts: Vec<(Instant, usize, Verdict)>,
}

fn node(index: usize) -> NodeId {
    NodeId::from_u128(index as u128 + 1)
}

impl Cluster {
    fn new(count: usize, interval: Duration, loss_percent: u64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let hosts = (0..count)
            .map(|index| {
                let cluster = ClusterId::from_u128(1);
                let mut gossip = Gossip::new(node(index), cluster, 1, interval, random.fork());
                gossip.set_nodes((0..count).map(node));
                gossip.set_text(GossipKey::Status, "NORMAL");
                let mut detector = FailureDetector::new(FailureDetectorConfig::for_interval(interval));
                detector.track((0..count).filter(|other| *other != index).map(node));
                Host { gossip, detector, stopped: false }
            })
            .collect();
        let now = Instant(1_000_000_000);
        Self { hosts, random, interval, loss_percent, streams: true, now, network: Vec::new(), verdicts: Vec::new() }
    }

    fn step(&mut self, at: usize, input: GossipInput) {
        let now = self.now;
        let host = &mut self.hosts[at];
        let (mut out, mut verdicts) = (Vec::new(), Vec::new());
        if let GossipInput::Message { from, .. } = &input {
            host.detector.heard_from(now, *from, &mut verdicts);
        }
        host.gossip.step(now, input, &mut out);
        for output in out {
            match output {
                GossipOutput::Advanced(heard) => host.detector.heard_of(now, heard, &mut verdicts),
                GossipOutput::Send { to, frame } if !self.random.chance(self.loss_percent, 100) => {
                    let delay = Duration::from_millis(self.random.between(1, 20));
                    let to = (0..).find(|index| node(*index) == to).unwrap();
                    self.network.push((now + delay, at, to, frame.to_bytes()));
                }
                _ => {}
            }
        }
        host.detector.step(now, &mut verdicts);
        host.detector.check();
        host.gossip.check();
        for verdict in verdicts {
            match verdict {
                Verdict::Up(other) => host.gossip.set_live(other, true),
                Verdict::Down(other) => host.gossip.set_live(other, false),
            }
            self.verdicts.push((now, at, verdict));
        }
    }

    fn run(&mut self, intervals: u32) {
        for tick in 0..intervals * 20 {
            self.now = self.now + self.interval / 20;
            let now = self.now;
            if self.streams && tick % 10 == 0 {
                self.send_heartbeats();
            }
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.network).into_iter().partition(|(at, ..)| *at <= now);
            self.network = later;
            for (_, from, to, bytes) in due {
                if bytes.is_empty() {
                    self.heartbeat(from, to);
                } else if !self.hosts[to].stopped {
                    let frame = GossipFrame::from_bytes(&bytes).unwrap();
                    self.step(to, GossipInput::Message { from: node(from), frame });
                }
            }
            for at in 0..self.hosts.len() {
                let host = &self.hosts[at];
                let due = [host.gossip.deadline(), host.detector.deadline()].into_iter().flatten().min();
                if !host.stopped && due.is_some_and(|due| due <= now) {
                    self.step(at, GossipInput::Tick);
                }
            }
        }
    }

    fn send_heartbeats(&mut self) {
        for from in (0..self.hosts.len()).filter(|at| !self.hosts[*at].stopped) {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                if !self.random.chance(self.loss_percent, 100) {
                    self.network.push((self.now, from, to, Bytes::new()));
                }
            }
        }
    }

    fn heartbeat(&mut self, from: usize, to: usize) {
        let host = &mut self.hosts[to];
        let mut verdicts = Vec::new();
        if !host.stopped {
            host.detector.heard_from(self.now, node(from), &mut verdicts);
        }
        for verdict in verdicts {
            host.gossip.set_live(node(from), true);
            self.verdicts.push((self.now, to, verdict));
        }
    }

    fn downs(&self) -> Vec<(Instant, usize, NodeId)> {
        let downs = self.verdicts.iter().filter_map(|(at, by, verdict)| match verdict {
            Verdict::Down(node) => Some((*at, *by, *node)),
            Verdict::Up(_) => None,
        });
        downs.collect()
    }
}

const INTERVALS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

#[test]
fn a_dead_node_is_convicted_by_all_within_ten_intervals_and_nobody_else_is() {
    for interval in INTERVALS {
        for (count, seed) in [(3, 1), (3, 2), (3, 3), (5, 4), (5, 5), (9, 6)] {
            let mut cluster = Cluster::new(count, interval, 3, seed);
            cluster.run(300);
            assert_eq!(cluster.downs(), [], "{count} nodes, {interval:?}, seed {seed}");
            let died = cluster.now;
            cluster.hosts[1].stopped = true;
            cluster.run(60);
            let downs = cluster.downs();
            assert_eq!(downs.len(), count - 1, "{downs:?}");
            for (at, by, down) in downs {
                assert_eq!(down, node(1));
                let after = at.since(died).as_secs_f64() / interval.as_secs_f64();
                assert!(after < 10.0, "{by} of {count} took {after} intervals");
            }
            cluster.verdicts.clear();
            cluster.hosts[1].stopped = false;
            cluster.run(10);
            let ups = cluster.verdicts.iter().filter(|(_, _, verdict)| *verdict == Verdict::Up(node(1))).count();
            assert_eq!(ups, count - 1, "a node that is back is seen by all: {:?}", cluster.verdicts);
        }
    }
}

#[test]
fn gossip_alone_will_do() {
    for seed in 0..5 {
        let mut cluster = Cluster::new(5, Duration::from_secs(1), 0, seed);
        cluster.streams = false;
        cluster.run(200);
        assert_eq!(cluster.downs(), [], "seed {seed}");
        let died = cluster.now;
        cluster.hosts[1].stopped = true;
        cluster.run(30);
        let downs = cluster.downs();
        assert_eq!(downs.len(), 4, "{downs:?}");
        assert!(downs.iter().all(|(at, ..)| at.since(died) < Duration::from_secs(12)), "{downs:?}");
    }
}

#[test]
fn a_lost_link_makes_it_quick() {
    for (count, seed) in [(3, 1), (5, 2), (9, 3), (9, 4)] {
        let mut cluster = Cluster::new(count, Duration::from_secs(1), 3, seed);
        cluster.run(60);
        let died = cluster.now;
        cluster.hosts[1].stopped = true;
        for at in (0..count).filter(|at| *at != 1) {
            cluster.hosts[at].detector.suspect(died, node(1), &mut Vec::new());
        }
        cluster.run(30);
        let downs = cluster.downs();
        assert_eq!(downs.len(), count - 1, "{downs:?}");
        assert!(downs.iter().all(|(at, ..)| at.since(died) < Duration::from_secs(8)), "{downs:?}, died {died:?}");
    }
}

#[test]
fn a_stopped_process_convicts_nobody_when_it_goes_on() {
    for seed in 0..10 {
        let mut cluster = Cluster::new(5, Duration::from_secs(1), 3, seed);
        cluster.run(60);
        cluster.hosts[2].stopped = true;
        cluster.run(40);
        cluster.verdicts.clear();
        cluster.hosts[2].stopped = false;
        cluster.run(60);
        assert_eq!(cluster.downs(), [], "seed {seed}");
    }
}

#[test]
fn damaged_messages_are_errors_and_never_panics() {
    let mut random = Random::new(3);
    let mut cluster = Cluster::new(3, Duration::from_secs(1), 0, 3);
    cluster.run(3);
    let mut samples: Vec<Bytes> = Vec::new();
    while samples.len() < 20 {
        cluster.now = cluster.now + Duration::from_millis(1001);
        cluster.step(0, GossipInput::Tick);
        samples.extend(cluster.network.drain(..).map(|(.., bytes)| bytes));
    }
    for round in 0..20_000 {
        let mut bytes = samples[round % samples.len()].to_vec();
        for _ in 0..random.between(1, 4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next_u64() as u8;
        }
        bytes.truncate(random.between(0, bytes.len() as u64) as usize);
        let bytes = Bytes::from(bytes);
        let _ = LogFrame::from_bytes(&bytes);
        if let Ok(frame) = GossipFrame::from_bytes(&bytes) {
            cluster.step(1, GossipInput::Message { from: node(0), frame });
        }
    }
}
