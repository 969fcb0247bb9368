//! The storage engine's background work: asked for now and then, run as jobs.

use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::Seconds;
use quorate_storage::{JobKind, JobResult, StorageError, StorageJob};

use super::{Control, Owner, Step};
use crate::machine::{Job, JobClass, JobOutcome, Output};

/// How often expired hints and snapshots are looked for.
const EXPIRY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    pub(super) next: Instant,
    next_expiry: Instant,
    next_job: u64,
}

impl Control {
    pub(super) fn drive_upkeep(&mut self, step: &mut Step<'_>) {
        if step.now.mono < self.upkeep.next {
            return;
        }
        self.upkeep.next = step.now.mono + self.shared.config.timing.upkeep;
        // Whoever's job it was that failed, an operator's too: a node that refuses every write is of no use.
        if let Some(cause) = self.shared.storage().failure() {
            step.out.push(Output::Fatal(format!("what is on disk is not known any more: {cause}")));
        }
        let now = Seconds::from_micros(step.now.wall.0);
        for job in self.shared.storage().due_jobs(now) {
            self.run(step, job);
        }
        if step.now.mono >= self.upkeep.next_expiry {
            self.upkeep.next_expiry = step.now.mono + EXPIRY;
            let storage = Arc::clone(self.shared.storage());
            // What it drops it counts and marks; an error shows at the next hint that is stored.
            let work = move || {
                let snapshots = storage.clear_expired_snapshots(now).map(|_| ());
                JobOutcome(Box::new((storage.hints.expire(now).map(|_| ()), snapshots)))
            };
            let id = self.next_upkeep_id();
            step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
        }
    }

    fn next_upkeep_id(&mut self) -> u64 {
        self.upkeep.next_job += 1;
        Owner::Upkeep.tag(self.upkeep.next_job)
    }

    /// Runs one step of a storage job; the rest follows when it is done.
    pub(super) fn run(&mut self, step: &mut Step<'_>, job: StorageJob) {
        let class = match job.kind() {
            JobKind::PrepareLog => JobClass::System,
            JobKind::Flush => JobClass::Flush,
            JobKind::Compaction | JobKind::MajorCompaction | JobKind::BuildIndex => JobClass::Compaction,
        };
        let id = self.next_upkeep_id();
        let work = move || JobOutcome(Box::new(job.run()));
        step.out.push(Output::Job(Job { id, class, work: Box::new(work) }));
    }

    pub(super) fn upkeep_done(&mut self, step: &mut Step<'_>, _id: u64, outcome: JobOutcome) {
        match outcome.0.downcast::<JobResult>().map(|result| *result) {
            Ok(JobResult::Again(job)) => self.run(step, job),
            // One job's end may make another due; a failure is counted by the engine, which offers the work again.
            Ok(JobResult::Done(_)) => self.upkeep.next = step.now.mono,
            Ok(JobResult::Failed(error @ StorageError::Poisoned(_))) => {
                step.out.push(Output::Fatal(format!("what is on disk is not known any more: {error}")));
            }
            Ok(JobResult::Failed(_)) | Err(_) => {}
        }
    }
}
