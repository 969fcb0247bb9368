//! Rebuilding what this node has lost: ranges whose SSTables were damaged, or everything if the commit log was.
//!
//! Until it is done, the storage engine (for SSTables) and the workers (for the log) refuse reads of it, so that what is
//! left here never counts towards a quorum. It is copied from *all* other replicas: whatever this node acknowledged
//! together with any of them is then here again. With a single replica there is nobody to copy from, and reads stay
//! refused: what is lost is not known, and is not passed off as absent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_membership::join::CopyTask;
use quorate_model::{NodeId, TableId, Token, TokenRange};
use quorate_storage::{LostRange, StorageError};

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
    log: bool,
    tasks_left: usize,
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
        let (lost, log) = (storage.lost_ranges(), self.shared.has_log_damage());
        if (lost.is_empty() && !log) || !self.stream.is_idle() {
            return;
        }
        let (lost, tasks) = match log {
            true => (lost.clone(), self.plan_rebuild(step, &lost, log)),
            false => self.plan_by_table(step, lost),
        };
        let Some(tasks) = tasks else { return };
        self.rebuild.active = Some(Active { lost, log, tasks_left: tasks.len() });
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
            if let Some(own) = self.plan_rebuild(step, &ranges, false) {
                possible.extend(ranges);
                tasks.get_or_insert_with(Vec::new).extend(own);
            }
        }
        (possible, tasks)
    }

    /// What to copy, from whom; `None` if somebody who is needed cannot be reached, or there is nobody.
    fn plan_rebuild(&self, step: &Step<'_>, lost: &[LostRange], log: bool) -> Option<Vec<CopyTask>> {
        let snapshot = self.shared.snapshot();
        let reachable = self.reachable(step.now);
        let mut wanted: BTreeMap<TableId, Vec<(Option<Token>, Token)>> = BTreeMap::new();
        if log {
            for table in super::tables(&snapshot.metadata).into_keys() {
                wanted.insert(table, vec![(None, Token::MAX)]);
            }
        }
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

    /// A range of a rebuild has been copied.
    pub(super) fn rebuilt_range(&mut self, step: &mut Step<'_>) {
        let Some(active) = &mut self.rebuild.active else { return };
        active.tasks_left = active.tasks_left.saturating_sub(1);
        if active.tasks_left == 0 {
            self.finish_rebuild(step);
        }
    }

    /// Takes the marks off what was rebuilt; what was lost in the meantime keeps its own.
    fn finish_rebuild(&mut self, step: &mut Step<'_>) {
        let Some(active) = &self.rebuild.active else { return };
        let (lost, log) = (active.lost.clone(), active.log);
        let storage = Arc::clone(self.shared.storage());
        let work = move || JobOutcome(Box::new(forget(&storage, &lost, log)));
        let id = Owner::Rebuild.tag(0);
        step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
    }

    pub(super) fn rebuild_done(&mut self, step: &mut Step<'_>) {
        // Whatever could not be forgotten is found again at the next look.
        self.shared.refresh_log_damage();
        self.rebuild.active = None;
        self.rebuild.next = step.now.mono + PERIOD;
        self.shared.metrics.rebuilds_total.increment();
    }
}

fn forget(storage: &quorate_storage::Storage, lost: &[LostRange], log: bool) -> Result<(), StorageError> {
    storage.forget_lost(lost)?;
    if log {
        storage.forget_log_damage()?;
    }
    Ok(())
}
