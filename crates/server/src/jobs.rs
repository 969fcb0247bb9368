//! The pool that runs blocking jobs, by classes with shares.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::histogram::Histogram;
use quorate_node::{Input, Job, JobClass, JobDone, PoolFact};
use quorate_os::Clock;

use crate::error::ServerError;
use crate::mailbox::{Mail, Mailbox};

/// The classes, most urgent first.
const CLASSES: [JobClass; 4] = [JobClass::Read, JobClass::System, JobClass::Flush, JobClass::Compaction];

/// Their names on the metrics page, in the same order.
pub(crate) const JOB_CLASSES: [&str; CLASSES.len()] = ["read", "system", "flush", "compaction"];

/// A pool of named threads. Its queue holds what the machines have in flight, which they bound themselves.
pub(crate) struct JobPool {
    state: Mutex<State>,
    wake: Condvar,
    threads: usize,
    clock: Clock,
    durations: [Histogram; CLASSES.len()],
}

#[derive(Default)]
struct State {
    queues: [VecDeque<(Job, Arc<Mailbox>)>; CLASSES.len()],
    running: [usize; CLASSES.len()],
    /// Jobs that have ended.
    done: [u64; CLASSES.len()],
    stopped: bool,
}

fn index(class: JobClass) -> usize {
    match class {
        JobClass::Read => 0,
        JobClass::System => 1,
        JobClass::Flush => 2,
        JobClass::Compaction => 3,
    }
}

impl JobPool {
    /// Starts the threads, at least two. How long jobs take goes into `durations`, by class.
    pub(crate) fn start(
        threads: usize,
        clock: Clock,
        durations: [Histogram; CLASSES.len()],
    ) -> Result<Arc<Self>, ServerError> {
        let threads = threads.max(2);
        let pool = Arc::new(Self { state: Mutex::default(), wake: Condvar::new(), threads, clock, durations });
        for number in 0..threads {
            let pool = Arc::clone(&pool);
            std::thread::Builder::new()
                .name(format!("job-{number}"))
                .spawn(move || pool.work())
                .map_err(|source| ServerError::System { action: "start a job thread", source })?;
        }
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job; its end goes to this mailbox.
    pub(crate) fn submit(&self, job: Job, done: Arc<Mailbox>) {
        self.state().queues[index(job.class)].push_back((job, done));
        self.wake.notify_one();
    }

    /// How many threads a class may take: long work never takes the last one, so that reads go on.
    fn share(&self, class: usize) -> usize {
        match CLASSES.get(class) {
            Some(JobClass::Read | JobClass::System) => self.threads,
            Some(JobClass::Flush) => self.threads - 1,
            Some(JobClass::Compaction) | None => (self.threads / 2).max(1),
        }
    }

    fn pick(&self, state: &mut State) -> Option<(usize, Job, Arc<Mailbox>)> {
        let long = state.running[2] + state.running[3];
        (0..CLASSES.len()).find_map(|class| {
            let crowded = class >= 2 && long >= self.threads - 1;
            if crowded || state.running[class] >= self.share(class) {
                return None;
            }
            let (job, done) = state.queues[class].pop_front()?;
            state.running[class] += 1;
            Some((class, job, done))
        })
    }

    fn work(&self) {
        loop {
            let mut state = self.state();
            let (class, job, done) = loop {
                if state.stopped {
                    return;
                }
                match self.pick(&mut state) {
                    Some(picked) => break picked,
                    None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            let began = self.clock.now().mono;
            let outcome = (job.work)();
            self.durations[class].observe(self.clock.now().mono.since(began).as_secs_f64());
            done.send(Mail::Input(Input::JobDone(JobDone { id: job.id, outcome })));
            let mut state = self.state();
            state.running[class] -= 1;
            state.done[class] += 1;
            drop(state);
            // A class that was at its share may go on.
            self.wake.notify_one();
        }
    }

    /// The classes as tables show them.
    pub(crate) fn facts(&self) -> Vec<PoolFact> {
        let state = self.state();
        let classes = JOB_CLASSES.iter().enumerate().map(|(class, name)| PoolFact {
            name: format!("job-{name}"),
            active: state.running.get(class).map(|count| *count as u64),
            limit: Some(self.share(class) as u64),
            pending: state.queues.get(class).map(|queue| queue.len() as u64),
            completed: state.done.get(class).copied(),
        });
        classes.collect()
    }

    /// Jobs that wait, by class in the order of [`JOB_CLASSES`].
    pub(crate) fn depths(&self) -> [usize; CLASSES.len()] {
        self.state().queues.each_ref().map(VecDeque::len)
    }

    /// Ends the threads once their present jobs are done; what waits is not begun.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use quorate_node::JobOutcome;

    use super::*;
    use crate::metrics::Metrics;

    fn job(class: JobClass, work: impl FnOnce() + Send + 'static) -> Job {
        let work = Box::new(move || {
            work();
            JobOutcome(Box::new(()))
        });
        Job { id: 1, class, work }
    }

    #[test]
    fn long_work_never_takes_the_last_thread() {
        let pool = JobPool::start(2, Clock::new(), Metrics::new().jobs).unwrap();
        let mailbox = Arc::new(Mailbox::default());
        let (release, held) = sync_channel::<()>(0);
        let held = Arc::new(Mutex::new(held));
        let running = Arc::new(AtomicUsize::new(0));
        for class in [JobClass::Compaction, JobClass::Flush, JobClass::Compaction] {
            let (held, running) = (Arc::clone(&held), Arc::clone(&running));
            let work = move || {
                running.fetch_add(1, Ordering::SeqCst);
                let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(5));
            };
            pool.submit(job(class, work), Arc::clone(&mailbox));
        }
        let deadline = Duration::from_secs(5);
        let clock = Clock::new();
        let start = clock.now().mono;
        while running.load(Ordering::SeqCst) == 0 {
            assert!(clock.now().mono.since(start) < deadline, "no long work began");
            std::thread::yield_now();
        }
        let (sent, read) = sync_channel(1);
        pool.submit(job(JobClass::Read, move || sent.send(()).unwrap()), Arc::clone(&mailbox));
        assert!(read.recv_timeout(Duration::from_secs(2)).is_ok(), "a read waits behind long work");
        assert_eq!(running.load(Ordering::SeqCst), 1);
        for _ in 0..3 {
            let _ = release.send(());
        }
        pool.stop();
    }
}
