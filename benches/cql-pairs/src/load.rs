//! The load: so many requests in flight, or so many a second.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Problem;
use crate::arguments::{Arguments, Workload};
use crate::target::{Operation, PARTITION_ROWS, Random, SLICE_ROWS, Target};

/// At a rate, requests in flight at most. What exceeds it waits here, and its wait counts.
const OPEN_LOOP_IN_FLIGHT: usize = 4_096;
/// At a rate, requests become due in bursts this far apart: what an operating system's timer can keep.
const BURST: Duration = Duration::from_micros(250);
/// At a rate, how long answers are waited for after the last request was due.
const DRAIN: Duration = Duration::from_secs(10);
/// Latencies beyond this are counted as this, in nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;
/// Threads that record without meeting.
const SHARDS: usize = 16;
/// Parts of a run that are told apart.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// Requests in flight while the tables are filled.
const FILL_IN_FLIGHT: usize = 256;
/// Failures in a row after which filling ends.
const FILL_TRIES: u32 = 20;

/// What came of a load.
pub struct Tally {
    /// Latencies of what succeeded, in nanoseconds; at a rate, from the moment it was due.
    pub latencies: Histogram<u64>,
    /// Requests that failed.
    pub failed: u64,
    /// Reads that brought another number of rows than they should.
    pub wrong_rows: u64,
    /// Requests that were due and had no answer when waiting ended.
    pub unanswered: u64,
    /// The first failure's words.
    pub first_failure: Option<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// What came of each quarter of a second, by the moment of the answer; empty if nobody asked.
    pub series: Vec<Interval>,
}

/// A quarter of a second.
#[derive(Clone)]
pub struct Interval {
    /// Latencies of what succeeded, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Requests that failed.
    pub failed: u64,
}

struct Shared {
    workload: Workload,
    keys: u64,
    partitions: u64,
    reads: u64,
    target: Arc<Target>,
    started: Instant,
    until: Instant,
    pace: Option<Pace>,
    shards: Vec<Mutex<Histogram<u64>>>,
    failed: AtomicU64,
    wrong_rows: AtomicU64,
    first_failure: Mutex<Option<String>>,
    series: Option<Mutex<Vec<Interval>>>,
}

/// A fixed rate: a permit for every request that is due.
struct Pace {
    rate: f64,
    due: Semaphore,
    next: AtomicU64,
    total: u64,
}

impl Pace {
    /// When the request of this number is due, from the start: at the burst that follows its even distance.
    fn due(&self, number: u64) -> Duration {
        let bursts = (number as f64 / self.rate / BURST.as_secs_f64()).ceil();
        BURST.mul_f64(bursts)
    }
}

/// Runs a load for so many seconds.
pub async fn drive(arguments: &Arguments, target: &Arc<Target>, seconds: f64, seed: u64) -> Tally {
    let started = Instant::now();
    let pace = arguments.rate.map(|rate| Pace {
        rate,
        due: Semaphore::new(0),
        next: AtomicU64::new(0),
        total: (rate * seconds) as u64,
    });
    let workers = if pace.is_some() { OPEN_LOOP_IN_FLIGHT } else { arguments.in_flight };
    let shared = Arc::new(Shared {
        workload: arguments.workload,
        keys: arguments.keys.max(1),
        partitions: arguments.partitions.max(1),
        reads: arguments.reads,
        target: Arc::clone(target),
        started,
        until: started + Duration::from_secs_f64(seconds),
        pace,
        shards: (0..SHARDS).map(|_| Mutex::new(histogram())).collect(),
        failed: AtomicU64::new(0),
        wrong_rows: AtomicU64::new(0),
        first_failure: Mutex::new(None),
        series: arguments.series.as_ref().map(|_| Mutex::new(Vec::new())),
    });
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let shared = Arc::clone(&shared);
        let random = Random(seed << 32 | worker as u64);
        tasks.spawn(async move {
            match shared.pace {
                Some(_) => shared.work_paced(random).await,
                None => shared.work(random).await,
            }
        });
    }
    let pacer = shared.pace.is_some().then(|| {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || shared.keep_pace())
    });
    let all = async { while tasks.join_next().await.is_some() {} };
    let limit = Duration::from_secs_f64(seconds) + DRAIN;
    // Requests without a rate have the driver's own time limit.
    let _ = tokio::time::timeout(limit.max(Duration::from_secs(30)), all).await;
    let elapsed = started.elapsed();
    if let Some(pacer) = pacer {
        let _ = pacer.join();
    }
    tasks.shutdown().await;
    shared.tally(elapsed)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_NS_MAX, 3).expect("the bounds are in order")
}

/// With two digits, as there are many.
fn short_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_NS_MAX, 2).expect("the bounds are in order")
}

/// A number of its own for each thread, so that threads record without meeting.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS); }
    MINE.get()
}

impl Shared {
    async fn work(&self, mut random: Random) {
        let mut now = Instant::now();
        while now < self.until {
            let since = now;
            let result = self.target.run(self.operation(&mut random)).await;
            now = Instant::now();
            if !self.count(result, now - since) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                now = Instant::now();
            }
        }
    }

    async fn work_paced(&self, mut random: Random) {
        let Some(pace) = &self.pace else { return };
        while let Ok(permit) = pace.due.acquire().await {
            permit.forget();
            let due = self.started + pace.due(pace.next.fetch_add(1, Ordering::Relaxed));
            let result = self.target.run(self.operation(&mut random)).await;
            self.count(result, due.elapsed());
        }
    }

    /// Hands out permits as requests become due. Once all are handed out, workers that find none end.
    fn keep_pace(&self) {
        let Some(pace) = &self.pace else { return };
        let mut released = 0;
        for burst in 0_u32.. {
            let at = self.started + BURST * burst;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let due = ((BURST * burst).as_secs_f64() * pace.rate + 1e-6) as u64 + 1;
            let due = due.min(pace.total);
            pace.due.add_permits((due - released) as usize);
            released = due;
            if released == pace.total {
                break;
            }
        }
        // Closing refuses whoever waits, even one that was just given its permit.
        while pace.next.load(Ordering::Relaxed) < pace.total && Instant::now() < self.until + DRAIN {
            std::thread::sleep(Duration::from_millis(1));
        }
        pace.due.close();
    }

    fn operation(&self, random: &mut Random) -> Operation {
        let number = random.next();
        let key = number % self.keys;
        match self.workload {
            Workload::Read => Operation::Read(key),
            Workload::Mixed if random.next() % 100 < self.reads => Operation::Read(key),
            Workload::Slice => {
                let from = random.next() % (PARTITION_ROWS - SLICE_ROWS + 1) as u64;
                Operation::Slice(number % self.partitions, from as i32)
            }
            Workload::Churn => {
                // A window over the keys moves on by a tenth of itself a minute; what it leaves behind is deleted.
                let minutes = self.started.elapsed().as_secs_f64() / 60.0;
                let first = (minutes * self.keys as f64 / 10.0) as u64;
                match random.next() % 100 {
                    0..30 => Operation::Write(first + key),
                    30..60 => Operation::WriteBriefly(first + key),
                    60..70 => Operation::Delete(first.saturating_sub(1 + key % (self.keys / 10).max(1))),
                    _ => Operation::Look(first + key),
                }
            }
            Workload::Write | Workload::Mixed | Workload::Fill => Operation::Write(key),
        }
    }

    /// Counts a result; whether it was a success.
    fn count(&self, result: Result<bool, Problem>, latency: Duration) -> bool {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).clamp(1_000, LATENCY_NS_MAX);
        if let Some(series) = &self.series {
            let place = (self.started.elapsed().as_secs_f64() / INTERVAL.as_secs_f64()) as usize;
            let mut series = series.lock().expect("nobody panics");
            while series.len() <= place {
                series.push(Interval { latencies: short_histogram(), failed: 0 });
            }
            match &result {
                Ok(_) => series[place].latencies.saturating_record(nanos),
                Err(_) => series[place].failed += 1,
            }
        }
        match result {
            Ok(right) => {
                self.shards[shard()].lock().expect("nobody panics").saturating_record(nanos);
                if !right {
                    self.wrong_rows.fetch_add(1, Ordering::Relaxed);
                }
                true
            }
            Err(problem) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.first_failure.lock().expect("nobody panics").get_or_insert_with(|| problem.to_string());
                false
            }
        }
    }

    fn tally(&self, elapsed: Duration) -> Tally {
        let mut latencies = histogram();
        for shard in &self.shards {
            latencies.add(&*shard.lock().expect("nobody panics")).expect("the bounds are the same");
        }
        let failed = self.failed.load(Ordering::Relaxed);
        let answered = latencies.len() + failed;
        let total = self.pace.as_ref().map_or(answered, |pace| pace.total);
        Tally {
            latencies,
            failed,
            wrong_rows: self.wrong_rows.load(Ordering::Relaxed),
            unanswered: total.saturating_sub(answered),
            first_failure: self.first_failure.lock().expect("nobody panics").take(),
            elapsed,
            series: self
                .series
                .as_ref()
                .map(|series| series.lock().expect("nobody panics").clone())
                .unwrap_or_default(),
        }
    }
}

/// Writes every key and every row of every partition once. A request that fails is tried again, a few times in a row.
pub async fn fill(arguments: &Arguments, target: &Arc<Target>) -> Result<(), Problem> {
    let wide = arguments.partitions * PARTITION_ROWS as u64;
    let (keys, total) = (arguments.keys, arguments.keys + wide);
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..FILL_IN_FLIGHT {
        let (target, next) = (Arc::clone(target), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return Ok(());
                }
                let operation = match number.checked_sub(keys) {
                    None => Operation::Write(number),
                    Some(row) => {
                        Operation::WriteWide(row / PARTITION_ROWS as u64, (row % PARTITION_ROWS as u64) as i32)
                    }
                };
                let mut tries = 0;
                while let Err(problem) = target.run(operation).await {
                    tries += 1;
                    if tries == FILL_TRIES {
                        return Err(problem);
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
