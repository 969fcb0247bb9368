//! How long requests took, by table: exact counts, and histograms of the present and the last minute.
//!
//! Each worker writes its own [`Book`] and nobody else does, so counting takes no lock that anybody waits for and no
//! atomic read-modify-write; whoever shows the figures adds up all books. What is done within one step has no
//! length by the step's own time: the clock is asked again for one request of [`limits::LATENCY_SAMPLE`] once a
//! table has had [`limits::LATENCY_SAMPLED_AFTER`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::TableId;

use crate::limits;
use crate::shared::Shared;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    CoordinatorRead,
    CoordinatorScan,
    CoordinatorWrite,
    LocalRead,
    LocalScan,
    LocalWrite,
}

impl Series {
    /// The series that a table of `system_views` shows.
    pub(crate) fn of_view(name: &str) -> Option<Self> {
        Some(match name {
            "coordinator_read_latency" => Self::CoordinatorRead,
            "coordinator_scan_latency" => Self::CoordinatorScan,
            "coordinator_write_latency" => Self::CoordinatorWrite,
            "local_read_latency" => Self::LocalRead,
            "local_scan_latency" => Self::LocalScan,
            "local_write_latency" => Self::LocalWrite,
            _ => return None,
        })
    }
}

/// Buckets of a doubling.
const PARTS: u64 = 8;
/// Nanoseconds up to 2^36, about 69 s, an eighth of a doubling a bucket; what is longer is in the last.
const BUCKETS: usize = 280;
const WINDOW_NS: u64 = 60_000_000_000;

fn bucket_of(nanoseconds: u64) -> usize {
    let shift = nanoseconds.max(PARTS).ilog2() - PARTS.ilog2();
    let bucket = u64::from(shift) * PARTS + (nanoseconds >> shift);
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest that is in a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PARTS {
        return bucket;
    }
    let shift = bucket / PARTS - 1;
    ((bucket % PARTS + PARTS + 1) << shift) - 1
}

/// Adds where only one thread writes.
fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// What happened within one minute.
struct Window {
    minute: AtomicU64,
    count: AtomicU64,
    longest_ns: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

impl Default for Window {
    fn default() -> Self {
        let [minute, count, longest_ns] = [u64::MAX, 0, 0].map(AtomicU64::new);
        Self { minute, count, longest_ns, buckets: [const { AtomicU32::new(0) }; BUCKETS] }
    }
}

/// One series of one table, as one worker counts it.
struct Histogram {
    total: AtomicU64,
    began_ns: u64,
    windows: [Window; 2],
}

impl Histogram {
    fn new(now: Instant) -> Self {
        Self { total: AtomicU64::new(0), began_ns: now.0, windows: Default::default() }
    }

    fn record(&self, now: Instant, took: Option<Duration>) {
        add(&self.total, 1);
        let minute = now.0 / WINDOW_NS;
        let window = &self.windows[usize::from(minute % 2 == 1)];
        if window.minute.load(Ordering::Relaxed) != minute {
            window.minute.store(minute, Ordering::Relaxed);
            window.count.store(0, Ordering::Relaxed);
            window.longest_ns.store(0, Ordering::Relaxed);
            window.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        }
        add(&window.count, 1);
        let Some(took) = took else { return };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if nanoseconds > window.longest_ns.load(Ordering::Relaxed) {
            window.longest_ns.store(nanoseconds, Ordering::Relaxed);
        }
        let bucket = &window.buckets[bucket_of(nanoseconds)];
        bucket.store(bucket.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }
}

/// A table's series.
#[derive(Default)]
struct TableBook {
    requests: AtomicU64,
    series: [OnceLock<Box<Histogram>>; 6],
}

/// What one worker has counted.
#[derive(Default)]
pub(crate) struct WorkerBook {
    /// Requests of clients that it has taken on.
    pub(crate) begun: AtomicU64,
    /// Those of them that are not answered.
    pub(crate) in_flight: AtomicU64,
    tables: Mutex<BTreeMap<TableId, Arc<TableBook>>>,
}

impl WorkerBook {
    fn table(&self, table: TableId) -> Arc<TableBook> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.len() >= limits::LATENCY_TABLES_MAX && !tables.contains_key(&table) {
            // Tables come and go: those that are still used are counted anew.
            tables.clear();
        }
        Arc::clone(tables.entry(table).or_default())
    }
}

/// A worker's own hand in its book.
#[derive(Default)]
pub(crate) struct Book {
    /// The time of the present step.
    now: Instant,
    worker: Arc<WorkerBook>,
    /// The table that was counted last.
    last: Option<(TableId, Arc<TableBook>)>,
}

impl Book {
    /// The book of a worker, listed with the others' for whoever shows them.
    pub(crate) fn listed(shared: &Shared) -> Self {
        let book = Self::default();
        shared.books.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&book.worker));
        book
    }

    /// A step begins.
    pub(crate) fn begin_step(&mut self, now: Instant, requests: u64) {
        self.now = now;
        add(&self.worker.begun, requests);
    }

    /// The time of the present step.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// A step ends, with so many requests that wait for their answers.
    pub(crate) fn end_step(&self, in_flight: usize) {
        self.worker.in_flight.store(in_flight as u64, Ordering::Relaxed);
    }

    fn table(&mut self, table: TableId) -> &TableBook {
        if self.last.as_ref().is_none_or(|(last, _)| *last != table) {
            self.last = None;
        }
        let worker = &self.worker;
        &self.last.get_or_insert_with(|| (table, worker.table(table))).1
    }

    /// Whether a request of the table is one of those that are measured.
    fn is_measured(&mut self, table: TableId) -> bool {
        let requests = &self.table(table).requests;
        add(requests, 1);
        let count = requests.load(Ordering::Relaxed);
        count <= limits::LATENCY_SAMPLED_AFTER || count.is_multiple_of(limits::LATENCY_SAMPLE)
    }

    /// Something begins: the moment, if it is measured.
    pub(crate) fn begin(&mut self, shared: &Shared, table: TableId) -> Option<Instant> {
        self.is_measured(table).then(|| shared.precisely(self.now))
    }

    /// Something has ended that began then.
    pub(crate) fn end(&mut self, shared: &Shared, (table, series): (TableId, Series), began: Option<Instant>) {
        let now = self.now;
        let took = began.map(|began| shared.precisely(now).since(began));
        let histogram = &self.table(table).series[series as usize];
        histogram.get_or_init(|| Box::new(Histogram::new(now))).record(now, took);
    }

    /// Something has ended that began in an earlier step, or in this.
    pub(crate) fn end_since(&mut self, shared: &Shared, what: (TableId, Series), began: Instant) {
        let began = self.is_measured(what.0).then_some(began);
        self.end(shared, what, began);
    }
}

/// A series of a table in figures: the count is of all, the rest of the present and the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) longest: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) per_second: f64,
}

/// What all workers have counted of a series of a table.
pub(crate) fn summary(books: &[Arc<WorkerBook>], table: TableId, series: Series, now: Instant) -> Summary {
    let mut buckets = [0u64; BUCKETS];
    let (mut count, mut recent, mut longest_ns) = (0u64, 0u64, 0u64);
    let minute = now.0 / WINDOW_NS;
    // Of the last minute on, or since anything was counted.
    let mut since = now.0;
    for book in books {
        let tables = book.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(histogram) = tables.get(&table).and_then(|book| book.series[series as usize].get()) else { continue };
        count = count.saturating_add(histogram.total.load(Ordering::Relaxed));
        since = since.min(histogram.began_ns);
        let windows = histogram.windows.iter();
        for window in windows.filter(|window| {
            let of = window.minute.load(Ordering::Relaxed);
            of == minute || of.checked_add(1) == Some(minute)
        }) {
            recent = recent.saturating_add(window.count.load(Ordering::Relaxed));
            longest_ns = longest_ns.max(window.longest_ns.load(Ordering::Relaxed));
            for (sum, bucket) in buckets.iter_mut().zip(&window.buckets) {
                *sum += u64::from(bucket.load(Ordering::Relaxed));
            }
        }
    }
    let since = since.max(minute.saturating_sub(1) * WINDOW_NS);
    let seconds = Duration::from_nanos(now.0.saturating_sub(since)).as_secs_f64().max(1.0);
    let measured: u64 = buckets.iter().sum();
    let quantile = |percent: u64| {
        let wanted = (measured * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= wanted
        });
        Duration::from_nanos(found.map_or(0, bucket_end).min(longest_ns))
    };
    let longest = Duration::from_nanos(longest_ns);
    Summary { count, longest, p50: quantile(50), p99: quantile(99), per_second: recent as f64 / seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_and_hold_what_is_put_into_them() {
        for nanoseconds in (0..100_000).chain((1..100_000).map(|step| step * 700_000)) {
            let bucket = bucket_of(nanoseconds);
            let (before, end) = (bucket.checked_sub(1).map(bucket_end), bucket_end(bucket));
            let fits = before.is_none_or(|before| before < nanoseconds) && nanoseconds <= end;
            assert!(fits || bucket == BUCKETS - 1, "{nanoseconds} is in {bucket}: {before:?} to {end}");
            assert!(end - nanoseconds <= nanoseconds / 8 || bucket == BUCKETS - 1, "{nanoseconds} shows as {end}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn figures_are_of_two_minutes_and_the_count_of_all() {
        let book = WorkerBook::default();
        let id = TableId([7; 16]);
        let table = book.table(id);
        let start = Instant(90 * WINDOW_NS);
        let series = |series: Series| {
            let histogram = table.series[series as usize].get_or_init(|| Box::new(Histogram::new(start)));
            &**histogram
        };
        for number in 1..=100 {
            series(Series::LocalRead).record(start, Some(Duration::from_micros(number)));
            series(Series::LocalRead).record(start, None);
        }
        let books = [Arc::new(book)];
        let at = |seconds: u64| summary(&books, id, Series::LocalRead, start + Duration::from_secs(seconds));
        let first = at(10);
        assert_eq!((first.count, first.longest, first.per_second), (200, Duration::from_micros(100), 20.0));
        let near = |got: Duration, wanted: u64| {
            let wanted = Duration::from_micros(wanted);
            assert!(got >= wanted && got <= wanted + wanted / 7, "{got:?} for {wanted:?}");
        };
        near(first.p50, 50);
        near(first.p99, 99);
        assert_eq!(at(119).longest, first.longest);
        let later = at(120);
        assert_eq!(
            (later.count, later.longest, later.p99, later.per_second),
            (200, Duration::ZERO, Duration::ZERO, 0.0)
        );
        series(Series::LocalRead).record(start + Duration::from_secs(120), Some(Duration::from_micros(3)));
        assert_eq!((at(121).count, at(121).longest), (201, Duration::from_micros(3)));
        assert_eq!(summary(&books, id, Series::LocalScan, start), Summary::default());
    }
}
