//! The thread that makes the commit log durable: it syncs whatever waits, without a timer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_node::{Input, PoolFact};
use quorate_storage::{LogPosition, StorageError};

use crate::config::CommitLogMode;
use crate::error::ServerError;
use crate::mailbox::{Mail, Mailbox};

/// Makes the log durable; all positions up to the returned one then are.
pub(crate) type SyncLog = Box<dyn Fn() -> Result<LogPosition, StorageError> + Send>;

/// Asks the committer's thread for a sync.
#[derive(Default)]
pub(crate) struct Committer {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    /// A sync is under way.
    syncs: bool,
    /// Syncs that have ended.
    done: u64,
    stopped: bool,
    /// The mailboxes of those who asked: nobody else is woken when it is done.
    askers: Vec<Arc<Mailbox>>,
}

/// Stands for 'everything, also what is appended later', for modes in which writes do not wait.
const NEVER_WAIT: LogPosition = LogPosition { segment: u64::MAX, offset: u64::MAX };

/// What is not synced waits in the log's bounded buffer; a longer time than this would fill it.
const PERIOD_MAX: Duration = Duration::from_secs(1);

impl Committer {
    /// Starts the thread. A sync is told to those who asked for it, a failure to all of these mailboxes.
    pub(crate) fn start(
        mode: CommitLogMode,
        period: Duration,
        sync: SyncLog,
        workers: Vec<Arc<Mailbox>>,
    ) -> Result<Arc<Self>, ServerError> {
        let committer = Arc::new(Self::default());
        let thread = Arc::clone(&committer);
        std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || match mode {
                CommitLogMode::Group | CommitLogMode::Batch => thread.run(&sync, &workers),
                // Unsynced too, or the log's buffer would fill up and refuse everything.
                CommitLogMode::Periodic | CommitLogMode::Unsynced => {
                    thread.run_periodically(period.min(PERIOD_MAX), &sync, &workers);
                }
            })
            .map_err(|source| ServerError::System { action: "start the committer thread", source })?;
        Ok(committer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something waits, and its owner is to hear when it is durable.
    pub(crate) fn request(&self, asker: &Arc<Mailbox>) {
        let mut state = self.state();
        if !state.askers.iter().any(|known| Arc::ptr_eq(known, asker)) {
            state.askers.push(Arc::clone(asker));
        }
        if !state.wanted {
            state.wanted = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    fn synced(&self) {
        let mut state = self.state();
        state.syncs = false;
        state.done += 1;
    }

    /// What it does, as tables show it. Who waits is counted by machine, not by write.
    pub(crate) fn fact(&self) -> PoolFact {
        let state = self.state();
        PoolFact {
            name: "committer".to_owned(),
            active: Some(u64::from(state.syncs)),
            limit: Some(1),
            pending: Some(state.askers.len() as u64),
            completed: Some(state.done),
        }
    }

    /// Ends the thread after its present sync.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_one();
    }

    fn run(&self, sync: &SyncLog, workers: &[Arc<Mailbox>]) {
        loop {
            let mut state = self.state();
            while !state.wanted && !state.stopped {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.wanted {
                return;
            }
            // What is appended from here on asks again; what was appended before is covered by this sync.
            state.wanted = false;
            let askers = std::mem::take(&mut state.askers);
            state.syncs = true;
            drop(state);
            let result = sync();
            self.synced();
            tell(if result.is_ok() { &askers } else { workers }, &result);
            if result.is_err_and(|error| is_final(&error)) {
                return;
            }
        }
    }

    fn run_periodically(&self, period: Duration, sync: &SyncLog, workers: &[Arc<Mailbox>]) {
        tell(workers, &Ok(NEVER_WAIT));
        loop {
            let state = self.state();
            let (state, _) = self
                .wake
                .wait_timeout_while(state, period, |state| !state.stopped)
                .unwrap_or_else(PoisonError::into_inner);
            let stopped = state.stopped;
            drop(state);
            let result = sync();
            self.synced();
            if let Err(error) = result {
                let ends = is_final(&error);
                tell(workers, &Err(error));
                if ends {
                    return;
                }
            }
            if stopped {
                return;
            }
        }
    }
}

/// Whether the log takes nothing more. Room that is missing for its next segment may be there later.
fn is_final(error: &StorageError) -> bool {
    !matches!(error, StorageError::NoSpace(_) | StorageError::Overloaded { .. })
}

fn tell(workers: &[Arc<Mailbox>], result: &Result<LogPosition, StorageError>) {
    for worker in workers {
        worker.send(Mail::Input(Input::LogSynced(result.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A committer whose syncs end as told, and a signal for each of them.
    fn start(
        mode: CommitLogMode,
        mut results: Vec<Result<LogPosition, StorageError>>,
    ) -> (Arc<Committer>, Receiver<()>) {
        results.reverse();
        let results = Mutex::new(results);
        let (sender, syncs) = channel();
        let sync = move || {
            let next = results.lock().unwrap().pop().unwrap_or(Ok(LogPosition::default()));
            sender.send(()).unwrap();
            next
        };
        let mailbox = Arc::new(Mailbox::default());
        (Committer::start(mode, Duration::from_millis(1), Box::new(sync), vec![mailbox]).unwrap(), syncs)
    }

    #[test]
    fn a_sync_wakes_those_who_asked_and_a_failure_all() {
        let mailboxes: Vec<Arc<Mailbox>> = (0..2).map(|_| Arc::default()).collect();
        let (sender, go) = channel::<Result<LogPosition, StorageError>>();
        let (done, syncs) = channel();
        let sync = move || {
            let result = go.recv().unwrap();
            done.send(()).unwrap();
            result
        };
        let (mode, sync) = (CommitLogMode::Group, Box::new(Mutex::new(sync)));
        let sync: SyncLog = Box::new(move || (sync.lock().unwrap())());
        let committer = Committer::start(mode, Duration::from_millis(1), sync, mailboxes.clone()).unwrap();
        for result in [Ok(LogPosition::default()), Err(StorageError::NoSpace("full".to_owned()))] {
            committer.request(&mailboxes[0]);
            sender.send(result).unwrap();
            syncs.recv_timeout(LIMIT).unwrap();
        }
        // A third sync begins only when the second was told.
        committer.request(&mailboxes[1]);
        sender.send(Ok(LogPosition::default())).unwrap();
        syncs.recv_timeout(LIMIT).unwrap();
        assert_eq!(mailboxes[0].len(), 2, "its own sync, and the failure");
        assert!(mailboxes[1].len() >= 1, "the failure");
        committer.stop();
    }

    #[test]
    fn missing_room_ends_when_there_is_room() {
        let full = || Err(StorageError::NoSpace("full".to_owned()));
        let (committer, syncs) = start(CommitLogMode::Group, vec![full(), full(), Ok(LogPosition::default())]);
        for _ in 0..3 {
            committer.request(&Arc::default());
            syncs.recv_timeout(LIMIT).expect("the committer goes on after a full disk");
        }
        committer.stop();
        let (committer, syncs) = start(CommitLogMode::Periodic, vec![full(), full(), Ok(LogPosition::default())]);
        for _ in 0..3 {
            syncs.recv_timeout(LIMIT).expect("the committer goes on after a full disk");
        }
        committer.stop();
    }

    #[test]
    fn a_log_that_failed_is_not_synced_again() {
        let (committer, syncs) = start(CommitLogMode::Group, vec![Err(StorageError::Poisoned("bad".to_owned()))]);
        committer.request(&Arc::default());
        syncs.recv_timeout(LIMIT).unwrap();
        committer.request(&Arc::default());
        assert!(syncs.recv_timeout(Duration::from_millis(100)).is_err());
    }
}
