//! What is being done: every job that works on a table, with how far it has come.

use std::collections::BTreeMap;
use std::sync::Mutex;

use quorate_model::Seconds;

use super::core::lock;
use crate::stats::TaskStats;

/// Jobs that have begun and not ended.
#[derive(Default)]
pub(super) struct Tasks(Mutex<State>);

#[derive(Default)]
struct State {
    latest: u64,
    running: BTreeMap<u64, TaskStats>,
}

impl Tasks {
    /// A job begins or goes on: `id` is its name, which the first call gives it.
    pub(super) fn note(&self, id: &mut Option<u64>, now: Seconds, task: TaskStats) {
        let mut state = lock(&self.0);
        let id = *id.get_or_insert_with(|| {
            state.latest += 1;
            state.latest
        });
        let known = state.running.entry(id).or_insert(TaskStats { id, began: now, ..task });
        known.progress_bytes = task.progress_bytes;
    }

    /// A job has ended.
    pub(super) fn end(&self, id: u64) {
        lock(&self.0).running.remove(&id);
    }

    pub(super) fn all(&self) -> Vec<TaskStats> {
        lock(&self.0).running.values().copied().collect()
    }
}
