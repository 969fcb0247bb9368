//! Counters and gauges of a node, read by the metrics page. One instance a node: several nodes live in one process in
//! simulation.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or a level, that any thread may change.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a level.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a sample only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number with its name, as the metrics page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name without the `quorate_` prefix; counters end with `_total`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Its kind.
    pub kind: SampleKind,
    /// Its value.
    pub value: u64,
}

macro_rules! metrics {
    ($($kind:ident $field:ident : $help:literal),* $(,)?) => {
        /// A node's own counters and gauges.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Number,)*
        }

        impl Metrics {
            /// All of them.
            pub fn samples(&self) -> Vec<Sample> {
                vec![$(Sample { name: stringify!($field), help: $help, kind: SampleKind::$kind, value: self.$field.get() },)*]
            }
        }
    };
}

metrics! {
    Counter coordinated_writes_total: "Mutations that this node coordinated",
    Counter coordinated_reads_total: "Reads of partitions or ranges that this node coordinated",
    Counter replica_writes_total: "Mutations applied here as a replica",
    Counter replica_reads_total: "Reads served here as a replica",
    Counter replica_disk_reads_total: "Replica reads that had to wait for the disk",
    Counter requests_refused_total: "Client requests refused because a limit was met",
    Counter peer_requests_refused_total: "Peers' requests refused: stale epoch, deadline passed, or a limit",
    Counter stale_epoch_total: "Requests planned again because a replica knew a later epoch",
    Counter parked_total: "Requests that waited for this node to catch up with their epoch",
    Counter hints_stored_total: "Hints stored for other nodes",
    Counter hints_failed_total: "Hints that could not be stored",
    Counter hints_delivered_total: "Hints delivered",
    Counter read_repairs_total: "Replica differences written back by reads",
    Counter speculative_reads_total: "Reads sent to a further replica because one was slow",
    Counter traces_stored_total: "Traces of requests stored in system_traces",
    Counter traces_dropped_total: "Traces, or parts of them, dropped because too many waited or they could not be stored",
    Counter frames_malformed_total: "Peers' frames that could not be decoded",
    Counter streamed_partitions_total: "Partitions received while joining",
    Counter rebuilds_total: "Rebuilds of lost ranges that have ended",
    Counter lost_for_good_total: "Ranges rebuilt though so many of their replicas had lost them that writes acknowledged at QUORUM may be gone for good",
    Gauge requests_in_flight: "Client requests in flight",
    Gauge epoch: "Entries of the metadata log applied",
    Gauge nodes_up: "Nodes held to be alive, this one included",
    Gauge nodes_known: "Nodes of the cluster",
}
