//! How fast the nodes answered lately: whom to ask first, and how long to wait before asking another one too.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::NodeId;

use crate::limits;

/// The order in which replicas are asked: fields compare from the first to the last, smaller first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proximity {
    /// Not the coordinating node itself.
    pub elsewhere: bool,
    /// In another data centre.
    pub other_datacenter: bool,
    /// Latency lately.
    pub latency_us: u64,
    /// In another rack.
    pub other_rack: bool,
    /// Makes the order total.
    pub node: NodeId,
}

/// Latencies by node, and over all of them.
#[derive(Clone, Debug, Default)]
pub struct LatencyTracker {
    nodes: BTreeMap<NodeId, u64>,
    samples: Vec<u32>,
    next_sample: usize,
    /// The samples in order, as they were a while ago.
    sorted: Vec<u32>,
    /// Samples that came since.
    unsorted: usize,
}

/// Percentiles lag behind by so many samples at most, and by an eighth of what there are: sorting at each read would cost
/// more than many a read.
const PERCENTILE_LAG_MAX: usize = limits::LATENCY_SAMPLES / 8;

/// The weight of a new sample in a node's average is one in so many.
const AVERAGE_WEIGHT: u64 = 8;

impl LatencyTracker {
    /// Notes how long a node took to answer; a request that was given up counts with the time waited.
    pub fn record(&mut self, node: NodeId, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX));
        if self.nodes.len() < limits::LATENCY_NODES_MAX || self.nodes.contains_key(&node) {
            let average = self.nodes.entry(node).or_insert(took_us);
            *average = (*average * (AVERAGE_WEIGHT - 1) + took_us) / AVERAGE_WEIGHT;
        }
        let sample = took_us as u32;
        match self.samples.get_mut(self.next_sample) {
            Some(slot) => *slot = sample,
            None => self.samples.push(sample),
        }
        self.next_sample = (self.next_sample + 1) % limits::LATENCY_SAMPLES;
        self.unsorted += 1;
    }

    /// A node's moving average in microseconds; 0 if it never answered.
    pub fn average_us(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).copied().unwrap_or(0)
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// The latency below which so many per mille of the last answers lay; `None` until there are some.
    pub fn percentile(&mut self, per_mille: u32) -> Option<Duration> {
        if self.unsorted > PERCENTILE_LAG_MAX.min(self.sorted.len() / 8) {
            self.sorted.clone_from(&self.samples);
            self.sorted.sort_unstable();
            self.unsorted = 0;
        }
        let rank = self.sorted.len().checked_sub(1)? * per_mille.min(1000) as usize / 1000;
        self.sorted.get(rank).map(|sample| Duration::from_micros(u64::from(*sample)))
    }
}

/// When a read asks one more replica than its level needs (`speculative_retry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeculativeRetry {
    /// Never.
    Never,
    /// From the start.
    Always,
    /// After so long.
    Fixed(Duration),
    /// Once it takes longer than so many per mille of the reads.
    PerMille(u32),
}

impl SpeculativeRetry {
    /// Reads `99p`, `99.9PERCENTILE`, `50ms`, `ALWAYS`, `NEVER`, `NONE`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "always" => return Some(Self::Always),
            "never" | "none" => return Some(Self::Never),
            _ => {}
        }
        if let Some(number) = text.strip_suffix("ms") {
            let millis = number.trim().parse::<f64>().ok().filter(|millis| (0.0..=86_400_000.0).contains(millis))?;
            return Some(Self::Fixed(Duration::from_micros((millis * 1000.0) as u64)));
        }
        let number = text.strip_suffix("percentile").or_else(|| text.strip_suffix('p'))?;
        let percent = number.trim().parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
        Some(Self::PerMille((percent * 10.0).round() as u32))
    }

    /// The time after which to ask another replica; `None` for not at all. Without any measurement a percentile waits
    /// for a quarter of the timeout.
    pub fn delay(self, tracker: &mut LatencyTracker, timeout: Duration) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Always => Some(Duration::ZERO),
            Self::Fixed(delay) => Some(delay),
            Self::PerMille(per_mille) => Some(tracker.percentile(per_mille).unwrap_or(timeout / 4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_and_percentiles_follow_the_samples() {
        let mut tracker = LatencyTracker::default();
        let node = NodeId::from_u128(1);
        assert_eq!((tracker.average_us(node), tracker.percentile(990)), (0, None));
        for millis in 1..=100 {
            tracker.record(node, Duration::from_millis(millis));
        }
        assert_eq!(tracker.percentile(500), Some(Duration::from_millis(50)));
        assert_eq!(tracker.percentile(1000), Some(Duration::from_millis(100)));
        assert!(tracker.average_us(node) > 85_000 && tracker.average_us(node) < 100_000);
        for _ in 0..limits::LATENCY_SAMPLES {
            tracker.record(node, Duration::from_micros(7));
        }
        assert_eq!(tracker.percentile(1000), Some(Duration::from_micros(7)));
        assert!(tracker.samples.len() <= limits::LATENCY_SAMPLES);
    }

    #[test]
    fn policies_are_read_as_cassandra_writes_them() {
        for (text, policy) in [
            ("99p", Some(SpeculativeRetry::PerMille(990))),
            ("99.9PERCENTILE", Some(SpeculativeRetry::PerMille(999))),
            ("50ms", Some(SpeculativeRetry::Fixed(Duration::from_millis(50)))),
            ("ALWAYS", Some(SpeculativeRetry::Always)),
            ("never", Some(SpeculativeRetry::Never)),
            ("101p", None),
            ("-1ms", None),
            ("soon", None),
        ] {
            assert_eq!(SpeculativeRetry::parse(text), policy, "{text}");
        }
    }
}
