//! Tasks that write sets and registers, delete, and read it all back in pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_client::{Batch, Error, Options, Outcome, QueryResult, Session};

use crate::ledger::{Ledger, Must, Set, value};
use crate::support::draws::Draws;
use crate::support::eventually;

/// Elements of one batch; a set has one to eight batches.
const BATCH: i32 = 100;
/// Sets of one writer, at most.
const SETS_MAX: i32 = 1_000_000;

/// The load's tables.
pub async fn create_tables(session: &Session) {
    for statement in [
        "CREATE KEYSPACE chaos WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
        "CREATE TABLE chaos.sets (k int, e int, v bigint, PRIMARY KEY (k, e))",
        "CREATE TABLE chaos.registers (k int PRIMARY KEY, v int)",
    ] {
        session.query(statement, ()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// A load under way.
pub struct Load {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts so many tasks.
    pub fn start(session: &Session, writers: i32, seed: u64) -> Self {
        let ledger = Arc::new(Ledger::of(writers));
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..writers)
            .map(|number| {
                let draws = Draws::new(seed.wrapping_mul(1_000).wrapping_add(number as u64));
                // Some repeat what may have been executed, the others never do.
                let options = crate::options().idempotent(number % 2 == 0);
                let (session, ledger) = (session.clone(), Arc::clone(&ledger));
                let mut writer = Writer { number, next: 0, options, draws, session, ledger };
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        writer.step().await;
                    }
                })
            })
            .collect();
        Self { ledger, stop, writers }
    }

    /// Writes acknowledged so far.
    pub fn writes(&self) -> u64 {
        self.ledger.writes.load(Ordering::Relaxed)
    }

    /// What must not be and was.
    pub fn violations(&self) -> Vec<String> {
        self.ledger.violations()
    }

    /// Figures.
    pub fn summary(&self) -> String {
        let ledger = &self.ledger;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} writes acknowledged, {} reads checked, {} requests refused, {} unknown",
            load(&ledger.writes),
            load(&ledger.reads),
            load(&ledger.refused),
            load(&ledger.unknown)
        )
    }

    /// Waits until so many more writes are acknowledged.
    pub async fn goes_on(&self, writes: u64, within: Duration) {
        let goal = self.writes() + writes;
        eventually(
            within,
            "the load goes on",
            async || {
                if self.writes() >= goal { Ok(()) } else { Err(self.summary()) }
            },
        )
        .await;
    }

    /// Ends the tasks and gives what is known.
    pub async fn stop(self) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer ends");
        }
        self.ledger
    }
}

struct Writer {
    number: i32,
    next: i32,
    options: Options,
    draws: Draws,
    session: Session,
    ledger: Arc<Ledger>,
}

impl Writer {
    /// Writes a set, deletes some of it or all, reads it, and one that was written long ago; and sets and reads registers.
    async fn step(&mut self) {
        let k = self.number * SETS_MAX + self.next;
        self.next = (self.next + 1) % SETS_MAX;
        let batches = 1 + self.draws.below(8) as i32;
        let mut set = Set { k, elements: vec![Must::NotBe; (batches * BATCH) as usize] };
        for batch in 0..batches {
            self.insert(&mut set, batch * BATCH).await;
        }
        self.set_register().await;
        match self.draws.below(5) {
            0 => self.delete(&mut set, "DELETE FROM chaos.sets WHERE k = ?", &[], |_| true).await,
            1 | 2 => {
                let below = self.draws.below((batches * BATCH) as u64) as i32;
                self.delete(&mut set, "DELETE FROM chaos.sets WHERE k = ? AND e < ?", &[below], |e| e < below).await;
            }
            3 => {
                for _ in 0..5 {
                    let one = self.draws.below((batches * BATCH) as u64) as i32;
                    self.delete(&mut set, "DELETE FROM chaos.sets WHERE k = ? AND e = ?", &[one], |e| e == one).await;
                }
            }
            _ => {}
        }
        self.check(&set).await;
        let old = {
            let mut sets = self.ledger.sets.lock().unwrap();
            sets.push(set);
            let at = self.draws.below(sets.len() as u64) as usize;
            sets[at].clone()
        };
        self.check(&old).await;
        let register = self.draws.below(self.ledger.registers.len() as u64) as usize;
        if let Err(error) = self.ledger.check_register(&self.session, register).await {
            self.failed(&error).await;
        }
    }

    async fn check(&mut self, set: &Set) {
        let page = 20 + self.draws.below(180) as u32;
        if let Err(error) = self.ledger.check(&self.session, set, page).await {
            self.failed(&error).await;
        }
    }

    async fn insert(&mut self, set: &mut Set, first: i32) {
        let elements = first..first + BATCH;
        let result = async {
            let insert =
                self.session.prepare("INSERT INTO chaos.sets (k, e, v) VALUES (?, ?, ?)").await.map_err(Prepare)?;
            let mut batch = Batch::unlogged();
            for e in elements.clone() {
                batch.execute(&insert, (set.k, e, value(set.k, e)));
            }
            self.session.batch_with(&batch, &self.options).await.map_err(Write)
        };
        let must = self.outcome(result.await, BATCH as u64, Must::Be).await;
        elements.for_each(|e| set.elements[e as usize] = must.unwrap_or(Must::NotBe));
    }

    async fn delete(&mut self, set: &mut Set, text: &str, more: &[i32], covers: impl Fn(i32) -> bool) {
        let result = async {
            let delete = self.session.prepare(text).await.map_err(Prepare)?;
            let done = match more {
                [e] => self.session.execute_with(&delete, (set.k, *e), &self.options).await,
                _ => self.session.execute_with(&delete, (set.k,), &self.options).await,
            };
            done.map_err(Write)
        };
        let must = self.outcome(result.await, 1, Must::NotBe).await;
        for (_, element) in set.elements.iter_mut().enumerate().filter(|(e, _)| covers(*e as i32)) {
            // An insertion that is still under way may yet come, and be the newer one.
            if let (Some(must), Must::Be) = (must, *element) {
                *element = must;
            }
        }
    }

    async fn set_register(&mut self) {
        let register = &self.ledger.registers[self.number as usize];
        let value = register.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let result = async {
            let update = self.session.prepare("UPDATE chaos.registers SET v = ? WHERE k = ?").await.map_err(Prepare)?;
            self.session.execute_with(&update, (value, self.number), &self.options).await.map_err(Write)
        };
        let result = result.await;
        if result.is_ok() {
            register.floor.fetch_max(value, Ordering::SeqCst);
        }
        self.outcome(result, 1, Must::Be).await;
    }

    /// What a write has come to: as wanted if it was acknowledged, nothing if it was refused.
    async fn outcome(&self, result: Result<QueryResult, Step>, writes: u64, wanted: Must) -> Option<Must> {
        match result {
            Ok(_) => {
                self.ledger.writes.fetch_add(writes, Ordering::Relaxed);
                Some(wanted)
            }
            Err(Prepare(error)) => {
                self.failed(&error).await;
                None
            }
            Err(Write(error)) => (self.failed(&error).await != Outcome::Refused).then_some(Must::MayBe),
        }
    }

    /// Counts an error and gives the nodes a moment.
    async fn failed(&self, error: &Error) -> Outcome {
        let outcome = self.ledger.failed(error);
        tokio::time::sleep(Duration::from_millis(20)).await;
        outcome
    }
}

/// Where a write failed.
enum Step {
    /// Before it was sent.
    Prepare(Error),
    /// When it was sent.
    Write(Error),
}

use Step::{Prepare, Write};
