//! The load itself: so many requests in flight, due now or at a fixed rate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use quorate_client::Outcome;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::args::{BenchArgs, Workload};
use crate::cpu;
use crate::report::Report;
use crate::target::{BenchError, Failure, Operation, Target};

/// Requests in flight while the keys are written before a read.
const FILL_IN_FLIGHT: u32 = 512;
/// Latencies beyond this are counted as this: an hour.
pub(crate) const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Prepares, fills, warms up, measures.
pub async fn run(args: &BenchArgs) -> Result<Report, BenchError> {
    let target = Rc::new(Target::prepare(args).await?);
    let local = LocalSet::new();
    local.run_until(measure(args, target)).await
}

async fn measure(args: &BenchArgs, target: Rc<Target>) -> Result<Report, BenchError> {
    if args.workload != Workload::Write && !args.no_fill {
        fill(args, &target).await?;
    }
    if args.warmup > 0 {
        let until = Duration::from_secs(u64::from(args.warmup));
        drive(Plan::new(args, until, 1), &target).await;
    }
    let before = cpu::used_by_all(&args.pids);
    let started = Instant::now();
    let plan = Plan::new(args, Duration::from_secs(u64::from(args.duration)), 2);
    let tally = drive(plan, &target).await;
    let elapsed = started.elapsed();
    let cpu = cpu::used_since(&before);
    let mode = format!("{:?}", args.grpc.mode).to_lowercase();
    Ok(Report::new(args, mode, &tally, elapsed, cpu))
}

/// Writes every key once, so that reads find something.
async fn fill(args: &BenchArgs, target: &Rc<Target>) -> Result<(), BenchError> {
    let next = Rc::new(Cell::new(0));
    let failed = Rc::new(RefCell::new(None));
    let workers: Vec<_> = (0..FILL_IN_FLIGHT)
        .map(|_| {
            let (target, next, failed) = (Rc::clone(target), Rc::clone(&next), Rc::clone(&failed));
            let (keys, size) = (args.keys, args.value_size);
            tokio::task::spawn_local(async move {
                loop {
                    let key = next.get();
                    if key >= keys || failed.borrow().is_some() {
                        return;
                    }
                    next.set(key + 1);
                    if let Err(failure) = target.run(Operation::Write(key, value_of(key, size))).await {
                        *failed.borrow_mut() = Some(failure.reason);
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        // A worker ends by itself; it cannot be cancelled here.
        let _ = worker.await;
    }
    match failed.take() {
        Some(reason) => Err(BenchError::Setup { what: "writing the keys", reason }),
        None => Ok(()),
    }
}

/// Bytes that do not compress, from a fixed sequence.
pub(crate) fn value_of(seed: u64, size: u32) -> Bytes {
    let mut random = Random(seed | 1);
    (0..size).map(|_| random.next() as u8).collect::<Vec<u8>>().into()
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// What is to be sent and when.
struct Plan {
    workload: Workload,
    reads_percent: u8,
    keys: u64,
    in_flight: u32,
    rate: Option<u32>,
    duration: Duration,
    seed: u64,
    value: Bytes,
}

impl Plan {
    fn new(args: &BenchArgs, duration: Duration, seed: u64) -> Self {
        Self {
            workload: args.workload,
            reads_percent: args.reads,
            keys: args.keys,
            in_flight: args.in_flight,
            rate: args.rate,
            duration,
            seed,
            value: value_of(seed, args.value_size),
        }
    }

    /// When the request of this number is due, at a fixed rate.
    fn due(&self, number: u64) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(number as f64 / f64::from(rate)))
    }

    fn operation(&self, random: &mut Random) -> Operation {
        let key = random.next() % self.keys;
        let reads = match self.workload {
            Workload::Write => false,
            Workload::Read => true,
            Workload::Mixed => random.next() % 100 < u64::from(self.reads_percent),
        };
        if reads { Operation::Read(key) } else { Operation::Write(key, self.value.clone()) }
    }
}

/// What came of it.
pub struct Tally {
    /// Latencies of what succeeded, in microseconds.
    pub latencies: Histogram<u64>,
    /// Requests that certainly had no effect.
    pub refused: u64,
    /// Requests of which it is not known.
    pub unknown: u64,
    /// Reads that found no row.
    pub missing: u64,
    /// The first failure's words.
    pub first_failure: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        #[allow(clippy::expect_used, reason = "three digits are allowed")]
        let latencies = Histogram::new_with_max(LATENCY_US_MAX, 3).expect("three digits are allowed");
        Self { latencies, refused: 0, unknown: 0, missing: 0, first_failure: None }
    }
}

impl Tally {
    /// Counts another's as well.
    pub fn add(&mut self, other: Self) {
        // Both have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.missing += other.missing;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// A load under way, shared by its workers, which all live on one thread.
struct Drive {
    plan: Plan,
    target: Rc<Target>,
    tally: RefCell<Tally>,
    random: RefCell<Random>,
    next: Cell<u64>,
    started: Instant,
}

async fn drive(plan: Plan, target: &Rc<Target>) -> Tally {
    let drive = Rc::new(Drive {
        tally: RefCell::default(),
        random: RefCell::new(Random(plan.seed)),
        next: Cell::new(0),
        started: Instant::now(),
        target: Rc::clone(target),
        plan,
    });
    let workers: Vec<_> =
        (0..drive.plan.in_flight).map(|_| tokio::task::spawn_local(Rc::clone(&drive).work())).collect();
    for worker in workers {
        // A worker ends by itself; it cannot be cancelled here.
        let _ = worker.await;
    }
    drive.tally.take()
}

impl Drive {
    /// Sends one request after another until the time is over.
    async fn work(self: Rc<Self>) {
        loop {
            let number = self.next.get();
            let due = self.plan.due(number);
            if due.unwrap_or_else(|| self.started.elapsed()) >= self.plan.duration {
                return;
            }
            self.next.set(number + 1);
            let since = match due {
                // Late requests are sent at once, and what they waited counts.
                Some(due) => {
                    tokio::time::sleep_until(self.started + due).await;
                    self.started + due
                }
                None => Instant::now(),
            };
            let operation = self.plan.operation(&mut self.random.borrow_mut());
            let result = self.target.run(operation).await;
            if !self.count(result, since.elapsed()) {
                // A refusal comes back in microseconds: without a pause the generator would only measure itself.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Counts a result; whether it was a success.
    fn count(&self, result: Result<bool, Failure>, latency: Duration) -> bool {
        let mut tally = self.tally.borrow_mut();
        match result {
            Ok(found) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                tally.latencies.saturating_record(micros.min(LATENCY_US_MAX));
                tally.missing += u64::from(!found);
                true
            }
            Err(failure) => {
                match failure.outcome {
                    Outcome::Refused => tally.refused += 1,
                    Outcome::Unknown => tally.unknown += 1,
                }
                tally.first_failure.get_or_insert(failure.reason);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let plan = Plan {
            workload: Workload::Mixed,
            reads_percent: 100,
            keys: 3,
            in_flight: 1,
            rate: Some(200),
            duration: Duration::from_secs(1),
            seed: 1,
            value: Bytes::new(),
        };
        assert_eq!(plan.due(0), Some(Duration::ZERO));
        assert_eq!(plan.due(200), Some(Duration::from_secs(1)));
        let mut random = Random(1);
        assert!((0..50).all(|_| matches!(plan.operation(&mut random), Operation::Read(key) if key < 3)));
    }
}
