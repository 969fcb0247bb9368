//! A node of the simulation: its disk, its clock, and the process that runs on them, if one does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quorate_env::Instant;
use quorate_env::sim_disk::{SimDisk, SimDiskOptions};
use quorate_env::sim_system_store::SimSystemStore;
use quorate_env::{Disk, Now, Random, SystemStore};
use quorate_model::NodeId;
use quorate_node::{Control, Input, Node, NodeConfig, Output, Shared, Worker};

use super::{Event, World};
use crate::clock::NodeClock;
use crate::knobs::{Knobs, StepKind};
use crate::plant::{ForgetfulStore, Plant};

/// See the module.
pub(super) struct SimNode {
    pub config: NodeConfig,
    pub disk: Arc<SimDisk>,
    pub disk_options: SimDiskOptions,
    pub clock: NodeClock,
    /// Where the wall clock stands when it has not jumped.
    pub usual_skew_us: i64,
    pub random: Random,
    /// Counts processes: what was meant for an earlier one is lost.
    pub life: u64,
    pub running: Option<Running>,
    pub paused_until: u64,
    /// For how long it has stood still in all, up to `paused_until`.
    pub paused_ns: u64,
    /// The power is lost within the next step of this kind.
    pub trap: Option<StepKind>,
    /// How much slower than usual the disk is.
    pub disk_factor: u64,
    /// An injected fault of the disk that may make this node stop by itself, now or at its next start.
    pub excuse: Option<&'static str>,
    commits: Arc<AtomicU64>,
    pub arrivals: Arrivals,
}

/// When the last of what has to come in order arrives.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Messages of each machine to others of its node.
    pub internal: BTreeMap<usize, u64>,
    /// News of links to each machine.
    pub links: BTreeMap<usize, u64>,
}

/// A process.
pub(super) struct Running {
    pub id: NodeId,
    pub shared: Arc<Shared>,
    control: Control,
    workers: Vec<Worker>,
    /// When each machine is to be woken.
    pub armed: Vec<Option<u64>>,
    /// The committer: whether it is at work, and whether more was asked for meanwhile.
    pub syncing: bool,
    pub sync_again: bool,
    pub sync_result: Option<Result<quorate_storage::LogPosition, quorate_storage::StorageError>>,
    pub directory: BTreeMap<NodeId, String>,
    /// Nodes to which it keeps connections.
    pub dialled: BTreeSet<usize>,
    /// Nodes of which it has been told that the link is down.
    pub told_down: BTreeSet<usize>,
    pub version: u64,
}

impl Running {
    pub fn machines(&self) -> usize {
        self.workers.len() + 1
    }

    /// Machine 0 is control, the others are the workers.
    pub fn step(&mut self, machine: usize, now: Now, input: Input, out: &mut Vec<Output>) {
        match machine.checked_sub(1).and_then(|worker| self.workers.get_mut(worker)) {
            Some(worker) => worker.step(now, input, out),
            None => self.control.step(now, input, out),
        }
    }

    pub fn deadline(&self, machine: usize) -> Option<Instant> {
        match machine.checked_sub(1).and_then(|worker| self.workers.get(worker)) {
            Some(worker) => worker.deadline(),
            None => self.control.deadline(),
        }
    }

    pub fn check(&self, machine: usize) {
        match machine.checked_sub(1).and_then(|worker| self.workers.get(worker)) {
            Some(worker) => worker.check(),
            None => self.control.check(),
        }
    }
}

/// Where a node listens.
pub(super) fn address(index: usize) -> String {
    format!("10.0.0.{}:7000", index + 1)
}

impl SimNode {
    pub fn new(index: usize, knobs: &Knobs, plant: Option<Plant>, random: &mut Random) -> Self {
        let mut random = random.fork();
        let disk_options = SimDiskOptions { lying_sync: plant == Some(Plant::LyingFsync), ..SimDiskOptions::default() };
        let skew = knobs.clocks.skew_us.unsigned_abs();
        let clock = NodeClock {
            mono_offset_ns: random.below(1 << 40),
            drift_ppm: random.between(0, 2 * knobs.clocks.drift_ppm) as i64 - knobs.clocks.drift_ppm as i64,
            skew_us: random.between(0, 2 * skew) as i64 - skew as i64,
            stopped_at: None,
        };
        let config = NodeConfig {
            cluster_name: "simulated".to_owned(),
            address: address(index),
            cql_port: 9042,
            grpc_port: 9043,
            datacenter: "dc1".to_owned(),
            rack: format!("rack{}", index % 3),
            seeds: vec![address(0), address(1)],
            vnodes: knobs.vnodes,
            workers: knobs.workers,
            storage: knobs.storage.clone(),
            timing: knobs.timing,
            clock_skew_max: knobs.clocks.refused_ahead,
            hint_window: std::time::Duration::from_secs(3 * 3_600),
            requests_max: 64,
        };
        Self {
            config,
            disk: SimDisk::new(random.next_u64(), disk_options.clone()),
            disk_options,
            usual_skew_us: clock.skew_us,
            clock,
            random,
            life: 0,
            running: None,
            paused_until: 0,
            paused_ns: 0,
            trap: None,
            disk_factor: 1,
            excuse: None,
            commits: Arc::new(AtomicU64::new(0)),
            arrivals: Arrivals::default(),
        }
    }

    /// Lets the process stand still until then, or for longer if it does already.
    pub fn pause(&mut self, now: u64, until: u64) {
        let from = self.paused_until.max(now);
        self.paused_ns += until.saturating_sub(from);
        self.paused_until = until.max(self.paused_until);
    }

    /// For how long it has stood still before now.
    pub fn stood_still_ns(&self, now: u64) -> u64 {
        self.paused_ns.saturating_sub(self.paused_until.saturating_sub(now))
    }

    /// Starts a process on what the disk holds.
    fn open(&mut self, now: u64, plant: Option<Plant>) -> Result<Running, String> {
        if plant == Some(Plant::ForgetLog) {
            for (path, _) in self.disk.snapshot_paths().into_iter().filter(|(path, _)| path.starts_with("commit_log/"))
            {
                self.disk.remove(&path).map_err(|error| error.to_string())?;
            }
        }
        let disk: Arc<dyn Disk> = Arc::<SimDisk>::clone(&self.disk);
        let store = SimSystemStore::open(Arc::clone(&disk), "system").map_err(|error| error.to_string())?;
        let store: Box<dyn SystemStore> = match plant {
            Some(Plant::ForgetPersist) => Box::new(ForgetfulStore::new(store, Arc::clone(&self.commits))),
            _ => Box::new(store),
        };
        let seed = self.random.next_u64();
        let node = Node::open(self.config.clone(), disk, store, self.clock.read(now), seed)
            .map_err(|error| error.to_string())?;
        let machines = node.workers.len() + 1;
        Ok(Running {
            id: node.shared.id,
            version: node.shared.version(),
            shared: node.shared,
            control: node.control,
            workers: node.workers,
            armed: vec![None; machines],
            syncing: false,
            sync_again: false,
            sync_result: None,
            directory: BTreeMap::new(),
            dialled: BTreeSet::new(),
            told_down: BTreeSet::new(),
        })
    }
}

impl World {
    /// A process starts, unless one runs.
    pub(super) fn start(&mut self, node: usize) {
        let (now, plant) = (self.now, self.plant);
        let sim = &mut self.nodes[node];
        if sim.running.is_some() {
            return;
        }
        sim.life += 1;
        match sim.open(now, plant) {
            Ok(running) => {
                self.trace.note(now, node, "start", &running.id.0);
                self.ids.insert(running.id, node);
                let machines = running.machines();
                self.nodes[node].running = Some(running);
                self.note_metadata(node);
                for machine in 0..machines {
                    self.step(node, machine, Input::Tick);
                }
            }
            Err(error) => {
                self.trace.note(now, node, "cannot start", error.as_bytes());
                self.stopped(node, &format!("it cannot start: {error}"));
            }
        }
    }

    /// A process ended by itself: fine if an injected fault explains it.
    pub(super) fn stopped(&mut self, node: usize, why: &str) {
        self.judged.stops += 1;
        if self.nodes[node].disk.power_lost() {
            self.end_process(node, true);
        } else {
            let explained = self.nodes[node].excuse.is_some() || self.plant.is_some();
            if !explained {
                self.blame("fatal", format!("node {node} stopped without a fault that explains it: {why}"));
            }
            self.end_process(node, false);
        }
        let after = self.random.between(200_000_000, 2_000_000_000);
        self.schedule(after, Event::Start { node });
    }

    /// The process is gone: with the power, or alone.
    pub(super) fn end_process(&mut self, node: usize, power: bool) {
        self.trace.note(self.now, node, if power { "power loss" } else { "process ends" }, &[]);
        let now = self.now;
        let was_running = self.nodes[node].running.take().is_some();
        let sim = &mut self.nodes[node];
        sim.life += 1;
        sim.paused_ns = sim.stood_still_ns(now);
        sim.paused_until = 0;
        sim.trap = sim.trap.filter(|kind| *kind == StepKind::Join);
        if power {
            sim.disk.crash();
            sim.clock.mono_offset_ns = sim.random.below(1 << 40);
        } else {
            sim.disk.kill();
        }
        if was_running {
            self.break_connections(node, power);
            self.disconnect_clients(node);
        }
    }
}
