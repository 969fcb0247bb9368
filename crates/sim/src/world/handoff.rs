//! Hinted handoff, by itself: when all is healed one node goes down, the others are written to, the node comes back, maybe
//! goes down once more in the midst of its hints, and must hold in the end what it missed.
//!
//! During the storm a lost hint hides behind quorums and read repair; here nothing else can bring the writes.

use quorate_model::{ColumnData, Seconds};

use super::{Event, World};
use crate::checkers;
use crate::history::{Body, CellId, Column, Level, value_of};
use crate::workload::{Intent, WriteShape};

/// Time from the node's return to its second power loss, at most: about what its hints take.
const SECOND_CRASH_NS: u64 = 1_500_000_000;
/// From a write's end to its hint on the disk, at most.
const SETTLING_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct Handoff {
    /// The node that misses something.
    node: Option<usize>,
    /// Whether it is to lose its power once more.
    crash_is_due: bool,
    /// Before this, a write may still wait for the node's answer, and its hint is not stored.
    settled_at: u64,
}

impl World {
    /// Takes a node down, unless each node holds the only copy of something, and writes.
    pub(super) fn begin_handoff(&mut self) {
        if self.knobs.factor < 3 {
            return;
        }
        let node = self.random.below(self.started() as u64) as usize;
        self.end_process(node, true);
        self.director.handoff =
            Handoff { node: Some(node), crash_is_due: self.random.chance(2, 3), settled_at: u64::MAX };
        let writes = (0..self.knobs.mix.partitions)
            .map(|pk| Intent::Write { shape: WriteShape::Static { pk }, level: Level::Quorum });
        self.clients.all[0].done.clear();
        self.assign(writes);
    }

    /// Brings the node back.
    pub(super) fn end_handoff(&mut self) {
        let Some(node) = self.director.handoff.node else { return };
        self.schedule(1, Event::Start { node });
        let timeout = u64::try_from(self.knobs.timing.write_timeout.as_nanos()).unwrap_or(u64::MAX);
        self.director.handoff.settled_at = self.now.saturating_add(timeout).saturating_add(SETTLING_NS);
        if self.director.handoff.crash_is_due {
            let after = self.random.below(SECOND_CRASH_NS);
            self.schedule(after, Event::HandoffCrash);
        }
    }

    pub(super) fn crash_handoff(&mut self) {
        self.director.handoff.crash_is_due = false;
        if let Some(node) = self.director.handoff.node {
            self.crash(node, true);
        }
    }

    /// Whether the node will not go down again, and all hints for it are stored.
    pub(super) fn handoff_is_over(&self) -> bool {
        self.director.handoff.node.is_none()
            || (!self.director.handoff.crash_is_due && self.now >= self.director.handoff.settled_at)
    }

    /// Looks for what the node missed.
    pub(super) fn judge_handoff(&mut self) {
        let Some(node) = self.director.handoff.node else { return };
        let mut missed = Vec::new();
        for operation in &self.clients.all[0].done {
            let Body::Write { effects, .. } = &self.clients.history.records[*operation].body else { continue };
            for cell in effects.keys() {
                if let Some(found) = self.static_of(node, *cell) {
                    missed.push((value_of(*operation, *cell), found));
                }
            }
        }
        for violation in checkers::handed_off(node, &missed) {
            self.blame(violation.checker, violation.text);
        }
    }

    /// The static value that a node holds of a partition of the main table; `None` if it is none of its replicas.
    fn static_of(&self, node: usize, cell: CellId) -> Option<Option<String>> {
        debug_assert_eq!(cell.column, Column::Static);
        let (replicas, table, key) = self.placement("main", cell.pk)?;
        if !replicas.contains(&node) {
            return None;
        }
        let answer = self.stored(node, table, key).and_then(Result::ok)?;
        let columns = answer.partitions.first().map(|(_, partition)| partition.static_row.columns.as_slice());
        let value = columns.unwrap_or_default().iter().find_map(|(_, data)| match data {
            ColumnData::Simple(cell) => cell.value_at(Seconds(i64::MIN)),
            ColumnData::Complex { .. } => None,
        });
        Some(value.map(|value| String::from_utf8_lossy(value).into_owned()))
    }
}
