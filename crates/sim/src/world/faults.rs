//! What goes wrong, when, and for how long.

use quorate_env::sim_disk::SimDiskOptions;

use super::{Event, World};
use crate::knobs::{FaultKind, Knobs, StepKind};

/// How long a fault lasts, on average.
const LASTS_NS: u64 = 900_000_000;
/// What rots: SSTables, and the commit log.
const ROTTING: [&str; 3] = [".sst", ".sst", "commit_log/"];

/// A fault with what ends it.
#[derive(Clone, Debug)]
pub(super) enum ActiveFault {
    /// These directions are cut.
    Cuts(Vec<(usize, usize)>),
    /// These directions are slow.
    Slow(Vec<(usize, usize)>),
    /// This node's disk fails, is full or is slow.
    Disk(usize),
    /// This node's wall clock is off.
    Clock(usize),
}

impl World {
    /// Faults begin.
    pub(super) fn enable_faults(&mut self) {
        self.faults.enabled = !self.knobs.faults.is_empty();
        if self.faults.enabled {
            let after = Knobs::around(&mut self.random, self.knobs.fault_interval_ns);
            self.schedule(after, Event::Fault);
        }
    }

    pub(super) fn next_fault(&mut self) {
        if !self.faults.enabled {
            return;
        }
        let after = Knobs::around(&mut self.random, self.knobs.fault_interval_ns);
        self.schedule(after, Event::Fault);
        let Some(kind) = self.random.pick(&self.knobs.faults).copied() else { return };
        self.trace.note(self.now, usize::MAX, "fault", format!("{kind:?}").as_bytes());
        *self.faults.counts.entry(format!("{kind:?}")).or_default() += 1;
        self.inject(kind);
    }

    fn inject(&mut self, kind: FaultKind) {
        let running = self.running();
        let Some(mut node) = self.random.pick(&running).copied() else { return };
        let is_full = kind == FaultKind::FullDisk && !self.knobs.faults.contains(&FaultKind::Rot);
        if kind.is_of_disk() && !is_full {
            // What one replica loses, or holds to be lost, the others must have: damage is kept to one node's disk.
            node = *self.faults.sick.get_or_insert(node);
        }
        if kind.is_of_disk() && self.knobs.factor < 3 {
            // Of fewer copies there is none to rebuild from that must have what is lost.
            return;
        }
        let others: Vec<usize> = (0..self.nodes.len()).filter(|other| *other != node).collect();
        let peer = self.random.pick(&others).copied().unwrap_or(node);
        match kind {
            FaultKind::Crash | FaultKind::Kill => {
                let all = self.random.chance(1, 6);
                for node in if all { running } else { vec![node] } {
                    self.crash(node, kind == FaultKind::Crash);
                }
            }
            FaultKind::CrashInside => self.nodes[node].disk.crash_after(self.random.between(1, 40)),
            FaultKind::CrashAtStep => self.set_trap(node),
            FaultKind::Pause => {
                let until = self.now + Knobs::around(&mut self.random, LASTS_NS);
                self.nodes[node].pause(self.now, until);
            }
            FaultKind::CutOneWay => self.begin_cuts(vec![(node, peer)]),
            FaultKind::CutPair => self.begin_cuts(vec![(node, peer), (peer, node)]),
            FaultKind::Isolate => {
                self.begin_cuts(others.iter().flat_map(|other| [(node, *other), (*other, node)]).collect());
            }
            FaultKind::Partition => {
                let (left, right): (Vec<usize>, Vec<usize>) =
                    (0..self.nodes.len()).partition(|_| self.random.chance(1, 2));
                let pairs = left.iter().flat_map(|a| right.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
                self.begin_cuts(pairs.collect());
            }
            FaultKind::SlowLink => {
                let extra = self.random.between(20_000_000, 600_000_000);
                let directions = vec![(node, peer), (peer, node)];
                for (from, to) in &directions {
                    self.network.slow_down(*from, *to, extra);
                }
                self.begin(ActiveFault::Slow(directions));
            }
            FaultKind::Reset => self.reset_pair(node, peer),
            FaultKind::ClockJump => self.jump_clock(node),
            FaultKind::ClockStop => self.stop_clock(node),
            FaultKind::FailedSync => {
                let what = ["commit_log", "hints", "system", "tables"];
                let pattern = self.random.pick(&what).copied().unwrap_or("commit_log");
                self.nodes[node].excuse = Some("a failed sync");
                self.nodes[node].disk.fail_next_sync(pattern);
            }
            FaultKind::DiskErrors | FaultKind::FullDisk | FaultKind::SlowDisk => self.spoil_disk(node, kind),
            FaultKind::Rot => self.rot(node),
        }
    }

    fn begin(&mut self, fault: ActiveFault) {
        let after = Knobs::around(&mut self.random, LASTS_NS);
        self.faults.next += 1;
        self.faults.active.insert(self.faults.next, fault);
        self.schedule(after, Event::FaultEnd(self.faults.next));
    }

    fn begin_cuts(&mut self, directions: Vec<(usize, usize)>) {
        for (from, to) in &directions {
            self.cut(*from, *to);
        }
        self.begin(ActiveFault::Cuts(directions));
    }

    fn jump_clock(&mut self, node: usize) {
        let far = self.knobs.clocks.jump_us.unsigned_abs();
        let usual = self.nodes[node].usual_skew_us;
        let jump = self.random.between(0, 2 * far) as i64 - far as i64;
        self.nodes[node].clock.skew_us = usual.saturating_add(jump);
        let off = usual.saturating_add(jump).saturating_abs().saturating_add(1_000_000);
        let history = &mut self.clients.history;
        history.skew_us_max = history.skew_us_max.max(off);
        self.begin(ActiveFault::Clock(node));
    }

    fn stop_clock(&mut self, node: usize) {
        let clock = &mut self.nodes[node].clock;
        let wall = clock.read(self.now).wall;
        clock.stopped_at.get_or_insert(wall);
        self.begin(ActiveFault::Clock(node));
    }

    /// Has a node lose its power in a step of a kind that is drawn; in a join, a newcomer, which need not have started yet.
    fn set_trap(&mut self, node: usize) {
        let Some(kind) = self.random.pick(&StepKind::ALL).copied() else { return };
        let newcomers: Vec<usize> = (self.knobs.nodes..self.nodes.len()).collect();
        match kind {
            StepKind::Join => {
                if let Some(newcomer) = self.random.pick(&newcomers) {
                    self.nodes[*newcomer].trap = Some(kind);
                }
            }
            _ => self.nodes[node].trap = Some(kind),
        }
    }

    /// A step of this kind begins on a node: if the power is to be lost in one, it is, at one of its operations.
    pub(super) fn spring(&mut self, node: usize, kind: StepKind) {
        if self.nodes[node].trap != Some(kind) || !self.faults.enabled {
            return;
        }
        self.nodes[node].trap = None;
        let operations = match kind {
            StepKind::Flush | StepKind::Compaction => 16,
            StepKind::Join | StepKind::Hints | StepKind::Metadata => 5,
        };
        self.nodes[node].disk.crash_after(self.random.between(1, operations));
        *self.faults.counts.entry(format!("CrashAtStep in {kind:?}")).or_default() += 1;
    }

    fn spoil_disk(&mut self, node: usize, kind: FaultKind) {
        let sim = &mut self.nodes[node];
        match kind {
            FaultKind::DiskErrors => {
                let draw = |random: &mut quorate_env::Random| random.below(2) * random.between(100, 20_000);
                let options = SimDiskOptions {
                    read_errors_ppm: draw(&mut self.random),
                    write_errors_ppm: draw(&mut self.random),
                    sync_errors_ppm: draw(&mut self.random),
                    ..sim.disk_options.clone()
                };
                sim.disk.set_options(options);
                sim.excuse = Some("errors of the disk");
            }
            FaultKind::FullDisk => {
                let used: u64 = sim.disk.snapshot_paths().iter().map(|(_, len)| len).sum();
                sim.disk.set_capacity(Some(used + self.random.below(64 << 10)));
                sim.excuse = Some("a full disk");
            }
            _ => sim.disk_factor = self.random.between(5, 200),
        }
        self.begin(ActiveFault::Disk(node));
    }

    /// Flips bits on a node's disk.
    fn rot(&mut self, node: usize) {
        self.faults.has_rot = true;
        let sim = &mut self.nodes[node];
        sim.excuse = Some("rot of an SSTable");
        for _ in 0..self.random.between(1, 3) {
            let what = self.random.pick(&ROTTING).copied().unwrap_or_default();
            let is_misplaced = what == ".sst" && self.random.chance(1, 3);
            let found = if is_misplaced { sim.disk.misplace(what) } else { sim.disk.rot(what) };
            if let Some((path, offset)) = found {
                self.trace.note(self.now, node, "rot", format!("{path} at {offset}").as_bytes());
            }
        }
    }

    /// Ends a process and has it started again.
    pub(super) fn crash(&mut self, node: usize, power: bool) {
        if self.nodes[node].running.is_none() {
            return;
        }
        self.judged.crashes += 1;
        self.end_process(node, power);
        let after = self.random.between(20_000_000, 2_500_000_000);
        self.schedule(after, Event::Start { node });
    }

    pub(super) fn end_fault(&mut self, fault: u64) {
        let Some(fault) = self.faults.active.remove(&fault) else { return };
        self.trace.note(self.now, usize::MAX, "fault ends", format!("{fault:?}").as_bytes());
        match fault {
            ActiveFault::Cuts(directions) => {
                let still: Vec<(usize, usize)> = self
                    .faults
                    .active
                    .values()
                    .filter_map(|other| if let ActiveFault::Cuts(cuts) = other { Some(cuts.clone()) } else { None })
                    .flatten()
                    .collect();
                for (from, to) in directions.into_iter().filter(|direction| !still.contains(direction)) {
                    self.mend(from, to);
                }
            }
            ActiveFault::Slow(directions) => {
                for (from, to) in directions {
                    self.network.slow_down(from, to, 0);
                }
            }
            ActiveFault::Disk(node) => self.mend_disk(node),
            ActiveFault::Clock(node) => self.mend_clock(node),
        }
    }

    fn mend_clock(&mut self, node: usize) {
        let (now, sim) = (self.now, &mut self.nodes[node]);
        sim.clock.skew_us = sim.usual_skew_us;
        if let Some(stopped) = sim.clock.stopped_at.take() {
            let behind = sim.clock.read(now).wall.0.saturating_sub(stopped.0).saturating_abs();
            let history = &mut self.clients.history;
            history.skew_us_max = history.skew_us_max.max(behind.saturating_add(sim.usual_skew_us.abs() + 1_000_000));
        }
    }

    fn mend_disk(&mut self, node: usize) {
        let sim = &mut self.nodes[node];
        sim.disk.set_options(sim.disk_options.clone());
        sim.disk_factor = 1;
    }

    /// Ends all faults, for good.
    pub(super) fn heal(&mut self) {
        self.faults.enabled = false;
        let active: Vec<u64> = self.faults.active.keys().copied().collect();
        for fault in active {
            self.end_fault(fault);
        }
        for (from, to) in self.network.cuts() {
            self.mend(from, to);
        }
        self.network.heal();
        for node in 0..self.nodes.len() {
            self.mend_disk(node);
            self.nodes[node].disk.crash_never();
            self.nodes[node].disk.fail_no_sync();
            // A node whose disk failed is restarted, as its operator would: part of it may have stopped for good.
            if self.nodes[node].excuse.is_some() && self.nodes[node].running.is_some() {
                self.crash(node, false);
            }
        }
    }
}
