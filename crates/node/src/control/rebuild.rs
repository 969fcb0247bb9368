//! Rebuilding what this node has lost: ranges whose SSTables were damaged, or whole tables if the commit log was.
//!
//! Until it is done, the storage engine refuses reads of it, so that what is left here never counts towards a quorum. It
//! is copied from *all* other replicas: whatever this node acknowledged together with any of them is then here again. A
//! replica that has lost some of it too gives what is left there; if so many have that they make a quorum, writes may be
//! gone for good, which is counted. With a single replica there is nobody to copy from, and reads stay refused: what is
//! lost is not known, and is not passed off as absent. The reasons are in `docs/decisions/0006`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_membership::join::CopyTask;
use quorate_model::{NodeId, TableId, Token, TokenRange};
use quorate_storage::LostRange;

use super::stream::Purpose;
use super::{Control, Owner, Step};
use crate::machine::{Job, JobClass, JobOutcome, Output};
use crate::snapshot::TablePlacement;

/// How often losses are looked for.
const PERIOD: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    next: Instant,
    active: Option<Active>,
}

/// A rebuild under way, with the losses as they were when it began.
#[derive(Debug)]
struct Active {
    lost: Vec<LostRange>,
    ranges: BTreeMap<(TableId, TokenRange), Copies>,
    tasks_left: usize,
}

/// The replicas of a range that is being rebuilt.
#[derive(Debug, Default)]
struct Copies {
    /// All but this node.
    sources: BTreeSet<NodeId>,
    /// Those of them that have lost some of it too.
    incomplete: BTreeSet<NodeId>,
}

impl Copies {
    /// Whether a write may have been acknowledged at QUORUM by none but replicas that have lost it.
    fn may_be_gone(&self) -> bool {
        let (replicas, incomplete) = (self.sources.len() + 1, self.incomplete.len() + 1);
        incomplete > replicas / 2
    }
}

impl Rebuild {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.active.is_none().then_some(self.next)
    }
}

impl Control {
    pub(super) fn drive_rebuild(&mut self, step: &mut Step<'_>) {
        if self.rebuild.active.is_some() || step.now.mono < self.rebuild.next {
            return;
        }
        self.rebuild.next = step.now.mono + PERIOD;
        if !self.life.is_serving() {
            return;
        }
        let storage = self.shared.storage();
        let lost = storage.lost_ranges();
        if lost.is_empty() || !self.stream.is_idle() {
            return;
        }
        let (lost, tasks) = self.plan_by_table(step, lost);
        let Some(tasks) = tasks else { return };
        let mut ranges: BTreeMap<(TableId, TokenRange), Copies> = BTreeMap::new();
        for task in &tasks {
            ranges.entry((task.table, task.range)).or_default().sources.insert(task.source);
        }
        self.rebuild.active = Some(Active { lost, ranges, tasks_left: tasks.len() });
        if tasks.is_empty() {
            self.finish_rebuild(step);
        } else {
            self.stream.want(tasks, Purpose::Rebuild);
        }
    }

    /// The losses of those tables that can be rebuilt now, with what to copy: a table that has nobody to copy from, or
    /// whose replicas are away, keeps no other waiting.
    fn plan_by_table(&self, step: &Step<'_>, lost: Vec<LostRange>) -> (Vec<LostRange>, Option<Vec<CopyTask>>) {
        let mut by_table: BTreeMap<TableId, Vec<LostRange>> = BTreeMap::new();
        for range in lost {
            by_table.entry(range.table).or_default().push(range);
        }
        let (mut possible, mut tasks) = (Vec::new(), None);
        for ranges in by_table.into_values() {
            if let Some(own) = self.plan_rebuild(step, &ranges) {
                possible.extend(ranges);
                tasks.get_or_insert_with(Vec::new).extend(own);
            }
        }
        (possible, tasks)
    }

    /// What to copy, from whom; `None` if somebody who is needed cannot be reached, or there is nobody.
    fn plan_rebuild(&self, step: &Step<'_>, lost: &[LostRange]) -> Option<Vec<CopyTask>> {
        let snapshot = self.shared.snapshot();
        let reachable = self.reachable(step.now);
        let mut wanted: BTreeMap<TableId, Vec<(Option<Token>, Token)>> = BTreeMap::new();
        for range in lost {
            let after = range.first.0.checked_sub(1).map(Token);
            wanted.entry(range.table).or_default().push((after, range.last));
        }
        let mut tasks = Vec::new();
        for (table, ranges) in wanted {
            // A table that is gone takes its losses with it.
            let Some(placement) = snapshot.table(table) else { continue };
            for (after, last) in ranges {
                for (range, sources) in self.sources(placement, after, last) {
                    if sources.is_empty() || sources.iter().any(|source| !reachable.contains(source)) {
                        return None;
                    }
                    let epoch = snapshot.epoch();
                    let task = |source| CopyTask { epoch, table, range, source, alternatives: Vec::new() };
                    tasks.extend(sources.into_iter().map(task));
                }
            }
        }
        Some(tasks)
    }

    /// The parts of a range that this node keeps, with the other replicas of each.
    fn sources(&self, placement: &TablePlacement, after: Option<Token>, last: Token) -> Vec<(TokenRange, Vec<NodeId>)> {
        let me = self.me();
        let start = after.unwrap_or(Token::MIN);
        let mut parts = Vec::new();
        for (range, set) in placement.placements.scan_ranges() {
            let clipped = TokenRange { start: range.start.max(start), end: range.end.min(last) };
            if clipped.start < clipped.end && set.write.contains(&me) {
                let others = set.read().iter().copied().filter(|node| *node != me).collect();
                parts.push((clipped, others));
            }
        }
        parts
    }

    /// A range of a rebuild has been copied from one of its sources, or what was left there.
    pub(super) fn rebuilt_range(&mut self, step: &mut Step<'_>, task: &CopyTask, remains: bool) {
        let Some(active) = &mut self.rebuild.active else { return };
        if let Some(copies) = active.ranges.get_mut(&(task.table, task.range)).filter(|_| remains) {
            copies.incomplete.insert(task.source);
        }
        active.tasks_left = active.tasks_left.saturating_sub(1);
        if active.tasks_left == 0 {
            self.finish_rebuild(step);
        }
    }

    /// Takes the marks off what was rebuilt; what was lost in the meantime keeps its own.
    fn finish_rebuild(&mut self, step: &mut Step<'_>) {
        let Some(active) = &self.rebuild.active else { return };
        let lost = active.lost.clone();
        let storage = Arc::clone(self.shared.storage());
        let work = move || JobOutcome(Box::new(storage.forget_lost(&lost)));
        let id = Owner::Rebuild.tag(0);
        step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
    }

    pub(super) fn rebuild_done(&mut self, step: &mut Step<'_>) {
        // Whatever could not be forgotten is found again at the next look.
        let ended = self.rebuild.active.take();
        let gone = ended.iter().flat_map(|active| active.ranges.values()).filter(|copies| copies.may_be_gone());
        self.shared.metrics.lost_for_good_total.add(gone.count() as u64);
        self.rebuild.next = step.now.mono + PERIOD;
        self.shared.metrics.rebuilds_total.increment();
    }
}
