//! The thread that makes the commit log durable: it syncs whatever waits, without a timer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_node::Input;
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
    stopped: bool,
}

/// Stands for 'everything, also what is appended later', for modes in which writes do not wait.
const NEVER_WAIT: LogPosition = LogPosition { segment: u64::MAX, offset: u64::MAX };

impl Committer {
    /// Starts the thread. Every sync is told to all of these mailboxes.
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
                CommitLogMode::Periodic => thread.run_periodically(period, &sync, &workers),
                CommitLogMode::Unsynced => tell(&workers, &Ok(NEVER_WAIT)),
            })
            .map_err(|source| ServerError::System { action: "start the committer thread", source })?;
        Ok(committer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something waits.
    pub(crate) fn request(&self) {
        let mut state = self.state();
        if !state.wanted {
            state.wanted = true;
            drop(state);
            self.wake.notify_one();
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
            drop(state);
            let result = sync();
            tell(workers, &result);
            if result.is_err() {
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
            if let Err(error) = sync() {
                tell(workers, &Err(error));
                return;
            }
            if stopped {
                return;
            }
        }
    }
}

fn tell(workers: &[Arc<Mailbox>], result: &Result<LogPosition, StorageError>) {
    for worker in workers {
        worker.send(Mail::Input(Input::LogSynced(result.clone())));
    }
}
