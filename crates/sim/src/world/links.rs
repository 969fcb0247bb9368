//! Connections as the transport keeps them: dialled when the directory names a node, tried again while they fail.

use std::collections::BTreeSet;

use quorate_node::Input;

use super::{Event, World};
use crate::network::Ends;

/// Between two attempts.
const RETRY_NS: (u64, u64) = (50_000_000, 400_000_000);
/// Until a dead connection is noticed by missing pings.
const PINGS_NS: (u64, u64) = (300_000_000, 2_500_000_000);

impl World {
    /// Opens connections to all nodes of the directory.
    pub(super) fn follow_directory(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(running) = &self.nodes[node].running else { return };
        let known: BTreeSet<usize> = running
            .directory
            .keys()
            .filter_map(|id| self.ids.get(id).copied())
            .filter(|known| *known != node)
            .collect();
        let new: Vec<usize> = known.difference(&running.dialled).copied().collect();
        if let Some(running) = &mut self.nodes[node].running {
            running.dialled = known;
        }
        for peer in new {
            let after = self.random.between(10_000, 1_000_000);
            self.schedule(after, Event::Dial { ends: (node, peer), life });
        }
    }

    /// A connection to an address, for what a node has to say before it knows the cluster.
    pub(super) fn reach_seed(&mut self, node: usize, target: usize) {
        let can = self.nodes[target].running.is_some() && self.network.passes(node, target);
        if can && !self.network.is_open((node, target)) {
            self.network.connect((node, target));
            self.tell_link(node, target, true, 0..1);
        }
    }

    pub(super) fn dial(&mut self, ends: Ends, life: u64) {
        let (node, peer) = ends;
        let sim = &self.nodes[node];
        let Some(running) = sim.running.as_ref().filter(|_| sim.life == life) else { return };
        if !running.dialled.contains(&peer) {
            return;
        }
        let machines = running.machines();
        if sim.paused_until > self.now {
            let until = sim.paused_until;
            self.schedule_at(until, Event::Dial { ends, life });
            return;
        }
        let answers = self.nodes[peer].running.is_some() && self.nodes[peer].paused_until <= self.now;
        if answers && self.network.passes(node, peer) {
            self.network.connect(ends);
            if let Some(running) = &mut self.nodes[node].running {
                running.told_down.remove(&peer);
            }
            self.tell_link(node, peer, true, 0..machines);
            return;
        }
        let told = self.nodes[node].running.as_mut().is_some_and(|running| !running.told_down.insert(peer));
        if !told {
            self.tell_link(node, peer, false, 0..machines);
        }
        let after = self.between(RETRY_NS);
        self.schedule(after, Event::Dial { ends, life });
    }

    fn tell_link(&mut self, node: usize, peer: usize, up: bool, machines: std::ops::Range<usize>) {
        let life = self.nodes[node].life;
        let Some(id) = self.ids.iter().find(|(_, index)| **index == peer).map(|(id, _)| *id) else { return };
        for machine in machines {
            let after = self.random.between(1_000, 100_000);
            let at = self.link_arrival(node, machine, after);
            self.schedule_at(at, Event::Step { node, life, machine, input: Input::Link { node: id, up } });
        }
    }

    /// What a machine hears of links it hears in order.
    fn link_arrival(&mut self, node: usize, machine: usize, after: u64) -> u64 {
        let last = self.nodes[node].arrivals.links.entry(machine).or_default();
        *last = (*last + 1).max(self.now + after);
        *last
    }

    /// A node's process is gone: connections to it die now, and are noticed at once if a kernel is left to say so.
    pub(super) fn break_connections(&mut self, node: usize, power: bool) {
        for ends in self.network.connections_of(node) {
            self.network.reset(ends);
            let (dialler, peer) = ends;
            if dialler == node {
                continue;
            }
            let life = self.nodes[dialler].life;
            let after = if power { self.between(PINGS_NS) } else { self.random.between(100_000, 3_000_000) };
            self.schedule(after, Event::LinkDown { ends: (dialler, peer), life });
        }
    }

    /// A node notices that its connection is gone, says so, and tries again.
    pub(super) fn link_down(&mut self, ends: Ends, life: u64) {
        let (node, peer) = ends;
        let sim = &self.nodes[node];
        let Some(running) = sim.running.as_ref().filter(|_| sim.life == life) else { return };
        if self.network.is_open(ends) {
            return;
        }
        let machines = running.machines();
        if let Some(running) = &mut self.nodes[node].running {
            running.told_down.insert(peer);
        }
        self.tell_link(node, peer, false, 0..machines);
        let after = self.between(RETRY_NS);
        self.schedule(after, Event::Dial { ends, life });
    }

    /// Resets the connections between two nodes; both notice.
    pub(super) fn reset_pair(&mut self, a: usize, b: usize) {
        for ends in [(a, b), (b, a)] {
            if self.network.reset(ends) {
                let life = self.nodes[ends.0].life;
                let after = self.random.between(100_000, 5_000_000);
                self.schedule(after, Event::LinkDown { ends, life });
            }
        }
    }

    /// Cuts one direction; the pings will tell.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.network.cut(from, to);
        let after = self.between(PINGS_NS);
        self.schedule(after, Event::CutNoticed { from, to });
    }

    pub(super) fn cut_noticed(&mut self, from: usize, to: usize) {
        if !self.network.passes_one_way(from, to) {
            self.reset_pair(from, to);
        }
    }

    /// Mends one direction: what the senders' kernels kept arrives now.
    pub(super) fn mend(&mut self, from: usize, to: usize) {
        for (index, passage) in self.network.mend(from, to).into_iter().enumerate() {
            self.schedule(1_000 * (index as u64 + 1), Event::Arrive(passage));
        }
    }
}
