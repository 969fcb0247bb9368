//! What was sent, what was acknowledged, and what may therefore be read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_client::{Error, Outcome, Session};
use tokio::task::JoinSet;

use crate::support::eventually;

/// Partitions that are read at the same time in the end.
const READS_AT_ONCE: usize = 16;
/// With all mended, everything can be read within this time.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// What a read must find of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// Acknowledged, and not deleted since.
    Be,
    /// Never sent, refused, or deleted for sure.
    NotBe,
    /// Its writing or deleting ended unknown.
    MayBe,
}

/// A partition of the table `sets`: one task writes it, once; then it may only be read.
#[derive(Clone, Debug)]
pub struct Set {
    /// Its key.
    pub k: i32,
    /// Its elements, by number.
    pub elements: Vec<Must>,
}

/// The value of an element: what is read was written there, or it is wrong.
pub fn value(k: i32, e: i32) -> i64 {
    i64::from(k) * 1_000_003 + i64::from(e)
}

/// A register: one task writes it, all read it.
#[derive(Debug, Default)]
pub struct Register {
    /// The greatest value sent.
    pub sent: AtomicI32,
    /// The greatest that was acknowledged, or read: from then on no read goes back behind it.
    pub floor: AtomicI32,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Partitions that are done.
    pub sets: Mutex<Vec<Set>>,
    /// One a writer.
    pub registers: Vec<Register>,
    /// Rows, deletions and register values that were acknowledged.
    pub writes: AtomicU64,
    /// Reads that were answered and checked.
    pub reads: AtomicU64,
    /// Requests that were refused, with nothing applied.
    pub refused: AtomicU64,
    /// Requests of which nobody knows.
    pub unknown: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    violations: Mutex<Vec<String>>,
}

impl Ledger {
    /// One for so many writers.
    pub fn of(writers: i32) -> Self {
        Self { registers: (0..writers).map(|_| Register::default()).collect(), ..Self::default() }
    }

    /// Counts an error; gives what it says of its request.
    pub fn failed(&self, error: &Error) -> Outcome {
        let outcome = error.outcome();
        let counter = if outcome == Outcome::Refused { &self.refused } else { &self.unknown };
        counter.fetch_add(1, Ordering::Relaxed);
        // Numbers and addresses aside, so that errors of one kind are one line.
        let text: String = error.to_string().chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        let text = text.chars().take(100).collect::<String>();
        let mut errors = self.errors.lock().unwrap();
        if errors.len() < 200 {
            *errors.entry(format!("{outcome:?}: {text}")).or_default() += 1;
        }
        outcome
    }

    /// Errors by text.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap().clone()
    }

    /// Notes what must not be.
    pub fn violated(&self, what: String) {
        eprintln!("VIOLATION: {what}");
        self.violations.lock().unwrap().push(what);
    }

    /// All that must not be and was.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    /// Reads a partition in pages and checks it, its order and its count.
    pub async fn check(&self, session: &Session, set: &Set, page_size: u32) -> Result<(), Error> {
        let k = set.k;
        let select = session.prepare("SELECT e, v FROM chaos.sets WHERE k = ?").await?;
        let options = crate::options().page_size(page_size);
        let mut rows = session.execute_iter_with(&select, (k,), &options).await?;
        let mut found = Vec::new();
        while let Some((e, v)) = rows.next_as::<(i32, i64)>().await? {
            if v != value(k, e) {
                self.violated(format!("set {k}: element {e} is {v}, which was never written"));
            }
            found.push(e);
        }
        if !found.is_sorted_by(|a, b| a < b) {
            self.violated(format!("set {k}: pages of {page_size} repeat rows or are out of order: {found:?}"));
        }
        for (e, must) in set.elements.iter().enumerate() {
            let is_there = found.binary_search(&(e as i32)).is_ok();
            match must {
                Must::Be if !is_there => self.violated(format!("set {k}: acknowledged element {e} is missing")),
                Must::NotBe if is_there => {
                    self.violated(format!("set {k}: element {e} shows, which was deleted or refused"));
                }
                _ => {}
            }
        }
        if found.last().is_some_and(|last| *last >= set.elements.len() as i32) {
            self.violated(format!("set {k}: element {:?} was never sent", found.last()));
        }
        let count = session.prepare("SELECT COUNT(*) FROM chaos.sets WHERE k = ?").await?;
        let counted = session.execute_with(&count, (k,), &crate::options()).await?.first_as::<(i64,)>()?;
        let counted = counted.map_or(0, |(count,)| count) as usize;
        let least = set.elements.iter().filter(|must| **must == Must::Be).count();
        let most = least + set.elements.iter().filter(|must| **must == Must::MayBe).count();
        if !(least..=most).contains(&counted) {
            self.violated(format!("set {k}: counted {counted} rows, not {least} to {most}"));
        }
        self.reads.fetch_add(2, Ordering::Relaxed);
        Ok(())
    }

    /// Reads a register and checks that it does not go back.
    pub async fn check_register(&self, session: &Session, number: usize) -> Result<(), Error> {
        let register = &self.registers[number];
        let floor = register.floor.load(Ordering::SeqCst);
        let select = session.prepare("SELECT v FROM chaos.registers WHERE k = ?").await?;
        let found = session.execute_with(&select, (number as i32,), &crate::options()).await?.first_as::<(i32,)>()?;
        let found = found.map_or(0, |(value,)| value);
        let sent = register.sent.load(Ordering::SeqCst);
        if found < floor || found > sent {
            self.violated(format!("register {number} is {found}, but was {floor} before, and {sent} was sent last"));
        }
        register.floor.fetch_max(found, Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Checks everything; gives the number of partitions.
    pub async fn check_all(self: &Arc<Self>, session: &Session) -> usize {
        let sets = self.sets.lock().unwrap().clone();
        let mut reads = JoinSet::new();
        for part in sets.chunks(sets.len().div_ceil(READS_AT_ONCE).max(1)).map(<[Set]>::to_vec) {
            let (ledger, session) = (Arc::clone(self), session.clone());
            reads.spawn(async move {
                for set in &part {
                    let started = std::time::Instant::now();
                    while let Err(error) = ledger.check(&session, set, 150).await {
                        assert!(started.elapsed() < READ_WITHIN, "set {} cannot be read: {error}", set.k);
                    }
                }
            });
        }
        reads.join_all().await;
        for number in 0..self.registers.len() {
            eventually(READ_WITHIN, "a register can be read", async || {
                self.check_register(session, number).await.map_err(|error| error.to_string())
            })
            .await;
        }
        sets.len()
    }
}
