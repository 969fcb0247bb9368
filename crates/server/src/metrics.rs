//! What the server counts, in the form that Prometheus reads.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quorate_model::Consistency;
use quorate_model::request::{RequestBody, RequestError};
use quorate_node::metrics::SampleKind;

use crate::driver::NodeView;
use crate::jobs::{JOB_CLASSES, JobPool};
use crate::mailbox::Mailbox;

/// Kinds of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Prepare,
    Execute,
    Batch,
    Admin,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Query, "query"),
    (Kind::Prepare, "prepare"),
    (Kind::Execute, "execute"),
    (Kind::Batch, "batch"),
    (Kind::Admin, "admin"),
];

impl Kind {
    pub(crate) fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Query { .. } => Self::Query,
            RequestBody::Prepare { .. } => Self::Prepare,
            RequestBody::Execute { .. } => Self::Execute,
            RequestBody::Batch { .. } => Self::Batch,
            RequestBody::Admin(_) => Self::Admin,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: &'static str,
    consistency: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

/// The server's own counters.
pub(crate) struct Metrics {
    registry: Registry,
    /// By kind and consistency, looked up once so that a request costs no map.
    requests: Vec<[Counter; Consistency::ALL_LEVELS.len()]>,
    latency: Vec<Histogram>,
    errors: Family<ErrorLabels, Counter>,
    in_flight: Gauge<i64, AtomicI64>,
    /// How long the commit log's syncs take.
    pub(crate) log_syncs: Histogram,
    /// How long jobs take, by class in the order of [`JOB_CLASSES`].
    pub(crate) jobs: [Histogram; JOB_CLASSES.len()],
    pub(crate) cancelled: Counter,
    pub(crate) overloaded: Counter,
    pub(crate) frames_sent: Counter,
    pub(crate) frames_received: Counter,
    pub(crate) frames_dropped: Counter,
    pub(crate) frames_damaged: Counter,
    pub(crate) links_refused: Counter,
    pub(crate) peers_refused: Counter,
}

/// Upper bounds of the histograms, in seconds: 50 µs to 13 s by factors of two.
fn latency_buckets() -> impl Iterator<Item = f64> {
    (0..19).map(|power| 50e-6 * f64::from(1u32 << power))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("quorate");
        let requests: Family<RequestLabels, Counter> = Family::default();
        let latency: Family<KindLabels, Histogram> = Family::new_with_constructor(|| Histogram::new(latency_buckets()));
        let errors = Family::default();
        registry.register("requests", "Client requests answered, by kind and consistency", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from a client request's arrival to its answer",
            Unit::Seconds,
            latency.clone(),
        );
        registry.register("request_errors", "Client requests that failed, by kind and error", Family::clone(&errors));
        let in_flight: Gauge<i64, AtomicI64> = Gauge::default();
        registry.register("front_requests_in_flight", "Client requests in flight at the fronts", in_flight.clone());
        let log_syncs = Histogram::new(latency_buckets());
        let help = "Time of a sync of the commit log";
        registry.register_with_unit("commit_log_sync_duration", help, Unit::Seconds, log_syncs.clone());
        let jobs: Family<ClassLabels, Histogram> = Family::new_with_constructor(|| Histogram::new(latency_buckets()));
        let help = "Time of a blocking job, from its beginning to its end, by class";
        registry.register_with_unit("job_duration", help, Unit::Seconds, jobs.clone());
        let mut counter = |name: &str, help: &str| {
            let counter: Counter<u64, AtomicU64> = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            cancelled: counter("requests_cancelled", "Client requests whose client went away"),
            overloaded: counter("front_overloaded", "Client requests refused by a limit of the front"),
            frames_sent: counter("frames_sent", "Frames queued for other nodes"),
            frames_received: counter("frames_received", "Frames that came from other nodes"),
            frames_dropped: counter("frames_dropped", "Frames lost to a full queue or a closed link"),
            frames_damaged: counter("frames_damaged", "Frames ignored because their checksum was wrong"),
            links_refused: counter("links_refused", "Times that another node refused to talk with this one"),
            peers_refused: counter("peers_refused", "Times that this node refused to talk with another"),
            requests: KINDS
                .iter()
                .map(|(_, kind)| {
                    Consistency::ALL_LEVELS
                        .map(|level| requests.get_or_create(&RequestLabels { kind, consistency: level.name() }).clone())
                })
                .collect(),
            latency: KINDS.iter().map(|(_, kind)| latency.get_or_create(&KindLabels { kind }).clone()).collect(),
            jobs: JOB_CLASSES.map(|class| jobs.get_or_create(&ClassLabels { class }).clone()),
            log_syncs,
            errors,
            in_flight,
            registry,
        }
    }

    pub(crate) fn request_begins(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn request_cancelled(&self) {
        self.in_flight.dec();
        self.cancelled.inc();
    }

    /// A request was answered.
    pub(crate) fn request_ends(&self, kind: Kind, level: Consistency, took: Duration, error: Option<&RequestError>) {
        self.in_flight.dec();
        let index = kind as usize;
        if let Some(counter) = self.requests.get(index).and_then(|levels| levels.get(usize::from(level.code()))) {
            counter.inc();
        }
        if let Some(histogram) = self.latency.get(index) {
            histogram.observe(took.as_secs_f64());
        }
        if let (Some(error), Some((_, kind))) = (error, KINDS.get(index)) {
            self.errors.get_or_create(&ErrorLabels { kind, error: error_name(error) }).inc();
        }
    }

    /// Adds what is read when the page is asked for.
    pub(crate) fn collect_from(&mut self, view: &Arc<dyn NodeView>, jobs: &Arc<JobPool>, mailboxes: &[Arc<Mailbox>]) {
        let collected = Collected {
            view: Arc::downgrade(view),
            jobs: Arc::downgrade(jobs),
            mailboxes: mailboxes.iter().map(Arc::downgrade).collect(),
        };
        self.registry.register_collector(Box::new(collected));
    }

    /// Where others register what they count.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The page, in the OpenMetrics text format.
    pub(crate) fn page(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn error_name(error: &RequestError) -> &'static str {
    match error {
        RequestError::Server(_) => "server",
        RequestError::Protocol(_) => "protocol",
        RequestError::Unavailable { .. } => "unavailable",
        RequestError::Overloaded(_) => "overloaded",
        RequestError::Bootstrapping(_) => "bootstrapping",
        RequestError::Truncate(_) => "truncate",
        RequestError::WriteTimeout { .. } => "write_timeout",
        RequestError::ReadTimeout { .. } => "read_timeout",
        RequestError::ReadFailure { .. } => "read_failure",
        RequestError::FunctionFailure { .. } => "function_failure",
        RequestError::WriteFailure { .. } => "write_failure",
        RequestError::Syntax { .. } => "syntax",
        RequestError::Unauthorized(_) => "unauthorized",
        RequestError::Invalid { .. } => "invalid",
        RequestError::Configuration(_) => "configuration",
        RequestError::AlreadyExists { .. } => "already_exists",
        RequestError::Unprepared(_) => "unprepared",
    }
}

/// Numbers that others keep.
struct Collected {
    view: Weak<dyn NodeView>,
    jobs: Weak<JobPool>,
    mailboxes: Vec<Weak<Mailbox>>,
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collected")
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(name, &format!("{help}."), None, gauge.metric_type())?;
    gauge.encode(metric)
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for sample in self.view.upgrade().map(|view| view.samples()).unwrap_or_default() {
            match sample.kind {
                SampleKind::Counter => {
                    let counter = ConstCounter::new(sample.value);
                    // The format adds the suffix itself.
                    let name = sample.name.strip_suffix("_total").unwrap_or(sample.name);
                    let help = format!("{}.", sample.help);
                    let metric = encoder.encode_descriptor(name, &help, None, counter.metric_type())?;
                    counter.encode(metric)?;
                }
                SampleKind::Gauge => gauge(&mut encoder, sample.name, sample.help, sample.value as f64)?,
            }
        }
        let depths = self.jobs.upgrade().map(|jobs| jobs.depths()).unwrap_or_default();
        let mut waiting = encoder.encode_descriptor("jobs_waiting", "Jobs that wait.", None, MetricType::Gauge)?;
        for (class, depth) in JOB_CLASSES.into_iter().zip(depths) {
            ConstGauge::new(depth as f64).encode(waiting.encode_family(&ClassLabels { class })?)?;
        }
        let mail: usize = self.mailboxes.iter().filter_map(Weak::upgrade).map(|mailbox| mailbox.len()).sum();
        gauge(&mut encoder, "mail_waiting", "Events that wait in the threads' mailboxes", mail as f64)?;
        if let Some(bytes) = quorate_os::resident_memory() {
            gauge(&mut encoder, "resident_memory_bytes", "Memory of this process", bytes as f64)?;
        }
        if let Some(cpu) = quorate_os::process_cpu() {
            let counter = ConstCounter::new(cpu.as_secs_f64());
            let metric = encoder.encode_descriptor(
                "cpu_seconds",
                "Processor time of this process.",
                None,
                counter.metric_type(),
            )?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_kind_and_consistency() {
        let metrics = Metrics::new();
        metrics.request_begins();
        metrics.request_ends(Kind::Execute, Consistency::Quorum, Duration::from_millis(3), None);
        metrics.request_begins();
        let error = RequestError::Overloaded("full".to_owned());
        metrics.request_ends(Kind::Query, Consistency::One, Duration::from_micros(10), Some(&error));
        let page = metrics.page().unwrap();
        for line in [
            "quorate_requests_total{kind=\"execute\",consistency=\"QUORUM\"} 1",
            "quorate_request_errors_total{kind=\"query\",error=\"overloaded\"} 1",
            "quorate_request_duration_seconds_count{kind=\"execute\"} 1",
            "quorate_front_requests_in_flight 0",
            "quorate_commit_log_sync_duration_seconds_count 0",
            "quorate_job_duration_seconds_count{class=\"flush\"} 0",
        ] {
            assert!(page.contains(line), "no line '{line}' in:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
