//! The course of a run: boot, then everything at once, then healing, then questions.

use std::time::Duration;

use quorate_node::NodePhase;

use super::handoff::Handoff;
use super::{Event, World};
use crate::checkers;
use crate::history::{Body, Level};
use crate::limits::{BOOT_MAX, HEAL_MAX};
use crate::workload::{self, Intent, WriteShape};

/// Between two looks.
const LOOK_NS: u64 = 20_000_000;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The first nodes found their cluster.
    #[default]
    Boot,
    /// The operator makes the schema.
    Schema,
    /// Clients work, and everything goes wrong.
    Storm,
    /// Nothing goes wrong any more: nodes come back and find each other.
    Heal,
    /// The operator writes at ALL.
    Probe,
    /// One node is down, and the operator writes at QUORUM.
    Handoff,
    /// Hints are delivered.
    Hints,
    /// The operator reads from each node what it has itself.
    Locals,
    /// The operator reads everything.
    Questions,
    /// All is said.
    Finished,
}

/// See the module.
#[derive(Default)]
pub(super) struct Director {
    phase: Phase,
    since: u64,
    joined: usize,
    join_at: u64,
    pub(super) handoff: Handoff,
}

impl Director {
    /// Nodes that were started beyond the first.
    pub fn joined(&self) -> usize {
        self.joined
    }

    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }
}

impl World {
    /// Looks whether the present phase is over.
    pub(super) fn look(&mut self) {
        self.schedule(LOOK_NS, Event::Look);
        let asked = self.clients.all[0].is_idle();
        let next = match self.director.phase {
            Phase::Boot => self.all_serve().then_some(Phase::Schema),
            Phase::Schema => asked.then_some(Phase::Storm),
            Phase::Storm => {
                self.start_joins();
                let busy = self.clients.all.iter().any(|client| client.busy.is_some());
                (self.clients.invoked >= self.steps && !busy).then_some(Phase::Heal)
            }
            Phase::Heal => (self.all_serve() && self.all_reach_all() && self.all_whole()).then_some(Phase::Probe),
            Phase::Probe => asked.then_some(Phase::Handoff),
            Phase::Handoff => asked.then_some(Phase::Hints),
            Phase::Hints => {
                let delivered = self.handoff_is_over() && self.all_serve() && self.hints_waiting() == 0;
                delivered.then_some(Phase::Locals)
            }
            Phase::Locals => asked.then_some(Phase::Questions),
            Phase::Questions => asked.then_some(Phase::Finished),
            Phase::Finished => None,
        };
        match next {
            Some(phase) => self.enter(phase),
            None => self.watch(),
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.trace.note(self.now, usize::MAX, "phase", format!("{phase:?}").as_bytes());
        self.director.phase = phase;
        self.director.since = self.now;
        match phase {
            Phase::Schema => {
                let statements = workload::schema(self.knobs.factor, self.knobs.mix.asides > 0);
                self.assign(statements.into_iter().map(Intent::Ddl));
            }
            Phase::Storm => {
                self.enable_faults();
                self.start_clients();
                self.director.join_at = self.now + self.random.below(4_000_000_000);
            }
            Phase::Heal => {
                self.heal();
                // Everybody is there at the end.
                while self.director.joined < self.knobs.joins {
                    self.director.join_at = 0;
                    self.start_joins();
                }
            }
            Phase::Probe => {
                let pks = 0..self.knobs.mix.partitions;
                let level = Level::All;
                self.assign(pks.map(|pk| Intent::Write { shape: WriteShape::Static { pk }, level }));
            }
            Phase::Handoff => self.begin_handoff(),
            Phase::Hints => self.end_handoff(),
            Phase::Locals => {
                self.judge_handoff();
                let questions = self.local_questions();
                self.assign(questions);
            }
            Phase::Questions => {
                let questions = self.last_questions(Level::All);
                self.clients.all[0].done.clear();
                self.assign(questions);
            }
            Phase::Finished => self.compare(),
            Phase::Boot => {}
        }
    }

    /// Complains if a phase that must end does not.
    fn watch(&mut self) {
        let (limit, what) = match self.director.phase {
            Phase::Boot => (BOOT_MAX, "the first nodes do not serve"),
            Phase::Heal => (HEAL_MAX, "the healed nodes do not serve, do not reach each other, or are not rebuilt"),
            Phase::Hints => (HEAL_MAX, "hints are not delivered"),
            _ => return,
        };
        if Duration::from_nanos(self.now - self.director.since) < limit {
            return;
        }
        let states: Vec<String> = (0..self.nodes.len()).map(|node| self.state_of(node)).collect();
        self.blame("liveness", format!("{what}: {}", states.join("; ")));
        self.enter(Phase::Finished);
    }

    fn state_of(&self, node: usize) -> String {
        let Some(running) = &self.nodes[node].running else { return format!("node {node} is down") };
        let snapshot = running.shared.snapshot();
        let reachable: Vec<String> = snapshot.reachable.iter().map(|id| self.index_of(*id)).collect();
        let hints: Vec<String> = running
            .shared
            .storage()
            .hints
            .targets()
            .into_iter()
            .map(|id| format!("{} for {}", running.shared.storage().hints.pending(id).count, self.index_of(id)))
            .collect();
        let movement = &snapshot.metadata.topology.movement;
        format!(
            "node {node} {:?} epoch {} reaches {} hints [{}] movement {movement:?} lost {:?} {:?}",
            running.shared.phase(),
            snapshot.epoch().0,
            reachable.join(","),
            hints.join(", "),
            running.shared.storage().lost_ranges(),
            running.shared.storage().log_damage()
        )
    }

    fn index_of(&self, id: quorate_model::NodeId) -> String {
        self.ids.get(&id).map_or_else(|| id.to_string(), usize::to_string)
    }

    pub(super) fn started(&self) -> usize {
        self.knobs.nodes + self.director.joined
    }

    fn all_serve(&self) -> bool {
        self.nodes[..self.started()]
            .iter()
            .all(|node| node.running.as_ref().is_some_and(|running| running.shared.phase() == NodePhase::Ready))
    }

    fn all_reach_all(&self) -> bool {
        let count = self.started();
        let epochs: Vec<u64> = self.nodes[..count]
            .iter()
            .filter_map(|node| node.running.as_ref())
            .filter(|running| running.shared.snapshot().reachable.len() == count)
            .map(|running| running.shared.snapshot().epoch().0)
            .collect();
        epochs.len() == count && epochs.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Whether what rotted has been rebuilt.
    fn all_whole(&self) -> bool {
        let running = self.nodes.iter().filter_map(|node| node.running.as_ref());
        running
            .map(|running| running.shared.storage())
            .all(|storage| storage.lost_ranges().is_empty() && storage.log_damage().is_empty())
    }

    fn hints_waiting(&self) -> u64 {
        let running = self.nodes.iter().filter_map(|node| node.running.as_ref());
        running
            .map(|running| {
                let hints = &running.shared.storage().hints;
                hints.targets().into_iter().map(|target| hints.pending(target).count).sum::<u64>()
            })
            .sum()
    }

    /// Starts the nodes that join under load.
    fn start_joins(&mut self) {
        if self.director.joined >= self.knobs.joins || self.now < self.director.join_at {
            return;
        }
        let node = self.started();
        self.director.joined += 1;
        self.director.join_at = self.now + self.random.below(5_000_000_000);
        self.schedule(1, Event::Start { node });
    }

    /// The last comparisons: of pages, and of replicas.
    fn compare(&mut self) {
        let rows = |operation: usize| match &self.clients.history.records[operation].body {
            Body::Read { rows, .. } => rows.clone(),
            _ => Vec::new(),
        };
        let partitions = self.knobs.mix.partitions as usize;
        let done = &self.clients.all[0].done;
        if let (Some(unpaged), Some(paged)) = (done.get(partitions), done.get(partitions + 1))
            && let Some(violation) = checkers::pages_join(&rows(*paged), &rows(*unpaged))
            // A TTL may have passed in between.
            && !self.has_ttl()
        {
            self.blame(violation.checker, violation.text);
        }
        self.judge_comment();
        if self.judged.violations.is_empty() {
            self.compare_replicas();
        }
    }

    fn has_ttl(&self) -> bool {
        let effects = |body: &Body| match body {
            Body::Write { effects, .. } => {
                effects.values().any(|effect| matches!(effect, crate::history::Effect::PutForAWhile(_)))
            }
            _ => false,
        };
        self.clients.history.records.iter().any(|record| effects(&record.body))
    }
}
