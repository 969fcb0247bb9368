//! Storing hints for replicas that missed a write, and making them durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use quorate_coordinator::batch::BatchInput;
use quorate_coordinator::write::WriteInput;
use quorate_env::Now;
use quorate_model::{NodeId, Seconds};
use quorate_storage::StorageError;

use super::{Step, Worker};
use crate::internal::Message;
use crate::machine::{Job, JobClass, JobOutcome, Output};
use crate::shared::Shared;

/// The one job id that is not a replica's read.
const SYNC_JOB: u64 = u64::MAX;

/// Hints on their way to the disk.
#[derive(Default)]
pub(super) struct Hints {
    /// Stored since the last sync began: the operation, its part, and for whom.
    waiting: Vec<(u64, usize, NodeId)>,
    /// Being synced.
    syncing: Option<Vec<(u64, usize, NodeId)>>,
}

impl Hints {
    pub(super) fn is_job(id: u64) -> bool {
        id == SYNC_JOB
    }

    /// Stores a hint; it is durable once its operation hears [`WriteInput::HintStored`].
    pub(super) fn store(
        &mut self,
        now: Now,
        shared: &Shared,
        target: NodeId,
        mutation: &Bytes,
        owner: (u64, usize),
    ) -> Result<(), StorageError> {
        let created_at = Seconds::from_micros(now.wall.0);
        match shared.storage().hints.append(target, created_at, mutation) {
            Ok(_) => {
                shared.metrics.hints_stored_total.increment();
                self.waiting.push((owner.0, owner.1, target));
                Ok(())
            }
            Err(error) => {
                shared.metrics.hints_failed_total.increment();
                Err(error)
            }
        }
    }
}

impl Worker {
    /// Starts a sync if hints wait for one and none is under way.
    pub(super) fn sync_hints(&mut self, step: &mut Step<'_>) {
        if self.hints.waiting.is_empty() || self.hints.syncing.is_some() {
            return;
        }
        self.hints.syncing = Some(std::mem::take(&mut self.hints.waiting));
        let storage = Arc::clone(self.shared.storage());
        let work = move || JobOutcome(Box::new(storage.hints.sync().map(|_| ())));
        step.out.push(Output::Job(Job { id: SYNC_JOB, class: JobClass::System, work: Box::new(work) }));
    }

    /// A sync of hints has ended.
    pub(super) fn hints_synced(&mut self, step: &mut Step<'_>, outcome: JobOutcome) {
        let Some(synced) = self.hints.syncing.take() else { return };
        match outcome.0.downcast::<Result<(), StorageError>>().map(|result| *result) {
            Ok(Ok(())) => {}
            Ok(Err(StorageError::NoSpace(_))) => {
                self.shared.metrics.hints_failed_total.add(synced.len() as u64);
                return;
            }
            // The hint log takes no more until it is opened again, and nobody would know.
            Ok(Err(error)) => {
                step.out.push(Output::Fatal(format!("the hint log failed, and what is on disk is not known: {error}")));
                return;
            }
            Err(_) => return,
        }
        // Only now: what is not durable is not delivered either, and whoever looked for it before found nothing.
        for target in synced.iter().map(|(.., target)| *target).collect::<BTreeSet<NodeId>>() {
            self.to_control(step, Message::Hinted { target });
        }
        for (op_id, part, target) in synced {
            self.with_op(step, op_id, |worker, step, op| {
                let input = BatchInput::Part(part, WriteInput::HintStored { target });
                worker.step_write(step, op_id, op, input);
            });
        }
    }
}
