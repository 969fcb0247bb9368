//! What applying the metadata log does to this node's storage, and from when on an epoch counts as applied here.
//!
//! An epoch is announced to others only when (a) the storage engine has dropped and truncated what it says, and (b) every
//! worker has finished the writes that it admitted before it saw the epoch. Others rely on it: whoever copies a range
//! from this node once it has announced an epoch gets every write that was planned before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_membership::ClusterMetadata;
use quorate_model::schema::Table;
use quorate_model::{Epoch, IndexDefinition, Seconds, TableId, Timestamp};
use quorate_storage::{JobResult, Storage, StorageError, StorageJob};

use super::{Control, Owner, Step};
use crate::machine::{Job, JobClass, JobOutcome, MachineId, Output};
use crate::settings::{index_definitions, table_settings};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Effects {
    applied: Epoch,
    /// Epochs on their way, with the jobs and workers that each waits for.
    under_way: VecDeque<(Epoch, BTreeSet<u64>, BTreeSet<MachineId>)>,
    /// Jobs that are not done, with what they do.
    jobs: BTreeMap<u64, Effect>,
    /// Jobs that found the volume full, and when they are tried again.
    retries: Vec<(Instant, u64)>,
    next_job: u64,
}

/// What is done to a table.
#[derive(Clone, Debug)]
enum Effect {
    /// It is dropped, or truncated up to a timestamp, after a snapshot of this name.
    Remove { table: TableId, tag: String, up_to: Option<Timestamp> },
    /// It has these indexes from this epoch on.
    Index { table: TableId, definitions: Vec<IndexDefinition>, epoch: Epoch },
}

/// What an effect's job returns: work that is left.
type EffectOutcome = Result<Vec<StorageJob>, StorageError>;

/// Steps of the building of new indexes that an epoch waits for: a small table's are built before it is announced.
const BUILD_STEPS: usize = 16;

/// Pause after a job that found the volume full.
const RETRY: Duration = Duration::from_secs(1);

impl Effects {
    /// The last epoch that is applied everywhere on this node.
    pub(super) fn applied(&self) -> Epoch {
        self.applied
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retries.iter().map(|(at, _)| *at).min()
    }

    /// What was read at the start is applied: no worker had begun yet.
    pub(super) fn start_at(&mut self, epoch: Epoch) {
        self.applied = epoch;
    }

    fn advance(&mut self) {
        while let Some((epoch, jobs, workers)) = self.under_way.front()
            && jobs.is_empty()
            && workers.is_empty()
        {
            self.applied = *epoch;
            self.under_way.pop_front();
        }
    }
}

impl Control {
    pub(super) fn start_effects(&mut self, step: &mut Step<'_>, before: &ClusterMetadata, after: &ClusterMetadata) {
        let (old, new) = (tables(before), tables(after));
        for (id, table) in &new {
            if old.get(id).is_none_or(|known| known.options != table.options) {
                self.shared.storage().configure_table(*id, table_settings(&table.options));
            }
        }
        let mut jobs = BTreeSet::new();
        for (id, table) in &new {
            let definitions = index_definitions(table);
            if old.get(id).map_or(Vec::new(), |known| index_definitions(known)) != definitions {
                let effect = Effect::Index { table: *id, definitions, epoch: after.epoch };
                jobs.insert(self.start_effect(step, effect));
            }
        }
        for (id, table) in old.iter().filter(|(id, _)| !new.contains_key(id)) {
            let tag = format!("dropped-{}-{}", step.now.wall.0 / 1000, table.name);
            jobs.insert(self.start_effect(step, Effect::Remove { table: *id, tag, up_to: None }));
        }
        for (id, up_to) in &after.truncations {
            if before.truncations.get(id) != Some(up_to)
                && let Some(table) = new.get(id)
            {
                let tag = format!("truncated-{}-{}", step.now.wall.0 / 1000, table.name);
                jobs.insert(self.start_effect(step, Effect::Remove { table: *id, tag, up_to: Some(*up_to) }));
            }
        }
        let workers = self.workers().collect();
        self.effects.under_way.push_back((after.epoch, jobs, workers));
    }

    fn start_effect(&mut self, step: &mut Step<'_>, effect: Effect) -> u64 {
        self.effects.next_job += 1;
        let id = Owner::Effects.tag(self.effects.next_job);
        self.effects.jobs.insert(id, effect);
        self.run_effect(step, id);
        id
    }

    fn run_effect(&self, step: &mut Step<'_>, id: u64) {
        let Some(effect) = self.effects.jobs.get(&id).cloned() else { return };
        let storage = Arc::clone(self.shared.storage());
        let now = Seconds::from_micros(step.now.wall.0);
        let work = move || JobOutcome(Box::new(carry_out(&storage, &effect, now)));
        step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
    }

    /// Tries again what found the volume full. Until it is done its epoch is not announced.
    pub(super) fn drive_effects(&mut self, step: &mut Step<'_>) {
        let now = step.now.mono;
        let due: Vec<u64> = self.effects.retries.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        self.effects.retries.retain(|(at, _)| *at > now);
        for id in due {
            self.run_effect(step, id);
        }
    }

    pub(super) fn effect_done(&mut self, step: &mut Step<'_>, id: u64, outcome: JobOutcome) {
        match outcome.0.downcast::<EffectOutcome>().map(|result| *result) {
            Ok(Err(StorageError::NoSpace(_))) => {
                self.effects.retries.push((step.now.mono + RETRY, id));
                return;
            }
            Ok(Err(error)) => {
                // Serving data that the cluster holds to be gone is worse than not serving; the next start tries again.
                step.out
                    .push(Output::Fatal(format!("a change of the schema could not be carried out on disk: {error}")));
                return;
            }
            Ok(Ok(left)) => left.into_iter().for_each(|job| self.run(step, job)),
            Err(_) => {}
        }
        self.effects.jobs.remove(&id);
        for (_, jobs, _) in &mut self.effects.under_way {
            jobs.remove(&id);
        }
        self.effects.advance();
    }

    /// A worker has finished what it admitted before this epoch.
    pub(super) fn settled(&mut self, _step: &mut Step<'_>, worker: MachineId, settled: Epoch) {
        for (epoch, _, workers) in &mut self.effects.under_way {
            if *epoch <= settled {
                workers.remove(&worker);
            }
        }
        self.effects.advance();
    }
}

/// All tables by identity.
pub(crate) fn tables(metadata: &ClusterMetadata) -> BTreeMap<TableId, Arc<Table>> {
    let keyspaces = metadata.schema.keyspaces.values();
    keyspaces.flat_map(|keyspace| keyspace.tables.values().map(|table| (table.id, Arc::clone(table)))).collect()
}

fn carry_out(storage: &Storage, effect: &Effect, now: Seconds) -> EffectOutcome {
    match effect {
        Effect::Remove { table, tag, up_to } => remove(storage, *table, tag, *up_to, now).map(|()| Vec::new()),
        Effect::Index { table, definitions, epoch } => {
            storage.set_indexes(*table, definitions, epoch.0)?;
            Ok(storage.build_indexes(*table).into_iter().filter_map(build_begin).collect())
        }
    }
}

/// The first steps of a building; what is left of it. One that failed is offered again by the engine.
fn build_begin(job: StorageJob) -> Option<StorageJob> {
    let mut job = job;
    for _ in 0..BUILD_STEPS {
        match job.run() {
            JobResult::Again(next) => job = next,
            JobResult::Done(_) | JobResult::Failed(_) => return None,
        }
    }
    Some(job)
}

/// Takes a snapshot of the table, then truncates it (`up_to`) or drops it. A full disk costs the snapshot, not the drop;
/// so does a snapshot that is there already, for its name has only the time in it.
fn remove(
    storage: &Storage,
    table: TableId,
    tag: &str,
    up_to: Option<Timestamp>,
    now: Seconds,
) -> Result<(), StorageError> {
    for job in storage.flush(table) {
        if let Err(error @ StorageError::Poisoned(_)) = job.run_to_end() {
            return Err(error);
        }
    }
    match storage.snapshot(&[table], tag, None, now) {
        Ok(_) | Err(StorageError::NoSpace(_) | StorageError::Invalid(_)) => {}
        Err(error) => return Err(error),
    }
    match up_to {
        Some(up_to) => storage.truncate(table, up_to),
        None => storage.drop_table(table),
    }
}
