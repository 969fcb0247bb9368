//! Who is alive, judged from heartbeats.
//!
//! The accrual detector of Hayashibara, Défago, Yared and Katayama ("The φ accrual failure detector", 2004), with
//! exponentially distributed intervals as Cassandra has it: φ = silence / (mean interval × ln 10). Two bounds frame it:
//! nobody is convicted before `silence_min`, and nobody survives `silence_max`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::NodeId;

use crate::limits::{GOSSIP_INTERVAL_DEFAULT, HEARTBEAT_WINDOW};

/// Settings of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureDetectorConfig {
    /// Greatest φ of a node that is alive.
    pub threshold: f64,
    /// The interval assumed before any was seen.
    pub initial_interval: Duration,
    /// Silence that never convicts.
    pub silence_min: Duration,
    /// Silence that always convicts.
    pub silence_max: Duration,
    /// Silence that is enough if the link to the node was lost or refused as well.
    pub silence_suspect: Duration,
    /// If the detector itself was not called for longer than this, the fault is here: nobody is judged for as long.
    pub pause_max: Duration,
}

impl FailureDetectorConfig {
    /// Settings for heartbeats at this interval. At one second a dead node is convicted within ten: news of its last
    /// heartbeats may go round for three more.
    pub fn for_interval(interval: Duration) -> Self {
        Self {
            threshold: 3.0,
            initial_interval: interval * 2,
            // Bursts of messages make the mean small; gossip's own gaps reach four intervals now and then.
            silence_min: interval * 6,
            silence_max: interval * 7,
            silence_suspect: interval * 3,
            pause_max: interval * 3,
        }
    }
}

impl Default for FailureDetectorConfig {
    fn default() -> Self {
        Self::for_interval(GOSSIP_INTERVAL_DEFAULT)
    }
}

/// A change of judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The node is alive.
    Up(NodeId),
    /// The node is held to be dead.
    Down(NodeId),
}

#[derive(Clone, Debug)]
struct Record {
    last_heard: Instant,
    /// Of the intervals in the window, in nanoseconds.
    intervals: VecDeque<u64>,
    sum: u64,
    up: bool,
    suspected: bool,
}

impl Record {
    fn mean_ns(&self, initial: Duration) -> f64 {
        if self.intervals.is_empty() {
            return initial.as_nanos() as f64;
        }
        self.sum as f64 / self.intervals.len() as f64
    }
}

/// The machine. It tracks the nodes it is told of; a node is down until it is heard.
#[derive(Clone, Debug)]
pub struct FailureDetector {
    config: FailureDetectorConfig,
    nodes: BTreeMap<NodeId, Record>,
    last_step: Option<Instant>,
    /// Until then nobody is judged.
    amnesty_until: Option<Instant>,
}

impl FailureDetector {
    /// A detector that tracks nobody yet.
    pub fn new(config: FailureDetectorConfig) -> Self {
        Self { config, nodes: BTreeMap::new(), last_step: None, amnesty_until: None }
    }

    /// Tracks exactly these nodes from now on; new ones are down until heard.
    pub fn track(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        let mut before = std::mem::take(&mut self.nodes);
        for node in nodes {
            let record = before.remove(&node).unwrap_or(Record {
                last_heard: Instant::default(),
                intervals: VecDeque::new(),
                sum: 0,
                up: false,
                suspected: false,
            });
            self.nodes.insert(node, record);
        }
    }

    /// The node itself spoke: a heartbeat on its stream, or any message of it. Nodes that are not tracked do not count.
    pub fn heard_from(&mut self, now: Instant, node: NodeId, out: &mut Vec<Verdict>) {
        if let Some(record) = self.nodes.get_mut(&node) {
            record.suspected = false;
        }
        self.heard_of(now, node, out);
    }

    /// Others gossiped a newer heartbeat of the node. It counts as one, but it is old news when it arrives: it does not
    /// clear the suspicion of a lost link, nor revive a node that was convicted under it.
    pub fn heard_of(&mut self, now: Instant, node: NodeId, out: &mut Vec<Verdict>) {
        self.notice_pause(now);
        let longest = self.config.silence_max;
        let Some(record) = self.nodes.get_mut(&node) else { return };
        let interval = now.since(record.last_heard);
        // An outage is not a sample of how often the node speaks.
        if record.up && interval <= longest {
            let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            record.intervals.push_back(nanos);
            record.sum = record.sum.saturating_add(nanos);
            if record.intervals.len() > HEARTBEAT_WINDOW
                && let Some(oldest) = record.intervals.pop_front()
            {
                record.sum = record.sum.saturating_sub(oldest);
            }
        }
        record.last_heard = record.last_heard.max(now);
        if !record.up && !record.suspected {
            record.up = true;
            out.push(Verdict::Up(node));
        }
    }

    /// The link to the node was lost, or refused: less silence will do.
    pub fn suspect(&mut self, now: Instant, node: NodeId, out: &mut Vec<Verdict>) {
        if let Some(record) = self.nodes.get_mut(&node) {
            record.suspected = true;
        }
        self.step(now, out);
    }

    /// The node restarted: what is known of its rhythm does not count any more.
    pub fn forget_rhythm(&mut self, node: NodeId) {
        if let Some(record) = self.nodes.get_mut(&node) {
            record.intervals.clear();
            record.sum = 0;
        }
    }

    /// Judges everybody.
    pub fn step(&mut self, now: Instant, out: &mut Vec<Verdict>) {
        self.notice_pause(now);
        if self.amnesty_until.is_some_and(|until| now < until) {
            return;
        }
        self.amnesty_until = None;
        let config = &self.config;
        for (node, record) in &mut self.nodes {
            if record.up && now >= record.last_heard + tolerated(config, record) {
                record.up = false;
                out.push(Verdict::Down(*node));
            }
        }
    }

    /// When it wants to be called: when somebody will be convicted if nothing is heard, but also often enough that its
    /// sleep is not taken for a pause. `None` if nobody is up.
    pub fn deadline(&self) -> Option<Instant> {
        let up = self.nodes.values().filter(|record| record.up);
        let first = up.map(|record| record.last_heard + tolerated(&self.config, record)).min()?;
        let first = self.amnesty_until.map_or(first, |until| first.max(until));
        Some(self.last_step.map_or(first, |last| first.min(last + self.config.pause_max / 2)))
    }

    /// Whether a node is held to be alive.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|record| record.up)
    }

    /// Everybody held to be alive, ascending.
    pub fn up(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|(_, record)| record.up).map(|(node, _)| *node)
    }

    /// The present φ of a node, for operators; `None` if it was never heard.
    pub fn phi(&self, now: Instant, node: NodeId) -> Option<f64> {
        let record = self.nodes.get(&node).filter(|record| record.last_heard > Instant::default())?;
        let silence = now.since(record.last_heard).as_nanos() as f64;
        Some(silence / (record.mean_ns(self.config.initial_interval) * std::f64::consts::LN_10))
    }

    /// Asserts its invariants.
    pub fn check(&self) {
        for (node, record) in &self.nodes {
            assert!(record.intervals.len() <= HEARTBEAT_WINDOW, "the window of {node} is too long");
            assert_eq!(record.sum, record.intervals.iter().sum::<u64>(), "the sum of {node}'s window is off");
        }
    }

    /// If nobody called for long, this process was stopped or starved: heartbeats may wait unread.
    fn notice_pause(&mut self, now: Instant) {
        let paused = self.last_step.is_some_and(|last| now.since(last) > self.config.pause_max);
        if paused && self.nodes.values().any(|record| record.up) {
            let pause = self.last_step.map(|last| now.since(last)).unwrap_or_default();
            self.amnesty_until = Some(now + self.config.pause_max);
            for record in self.nodes.values_mut() {
                record.last_heard = (record.last_heard + pause).min(now);
            }
        }
        self.last_step = Some(now);
    }
}

/// The silence of a node that is still tolerated.
fn tolerated(config: &FailureDetectorConfig, record: &Record) -> Duration {
    let accrued = config.threshold * record.mean_ns(config.initial_interval) * std::f64::consts::LN_10;
    let accrued = Duration::from_nanos(accrued.min(1e18) as u64);
    let accrued = accrued.clamp(config.silence_min, config.silence_max);
    if record.suspected { accrued.min(config.silence_suspect) } else { accrued }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u128) -> NodeId {
        NodeId::from_u128(id)
    }

    fn detector(interval: Duration) -> FailureDetector {
        let mut detector = FailureDetector::new(FailureDetectorConfig::for_interval(interval));
        detector.track([node(1), node(2)]);
        detector
    }

    /// Steps ten times an interval; heartbeats as told. Returns the verdicts with their times in intervals.
    fn run(
        detector: &mut FailureDetector,
        interval: Duration,
        ticks: std::ops::Range<u32>,
        heard: impl Fn(u32) -> bool,
    ) -> Vec<(f64, Verdict)> {
        let mut verdicts = Vec::new();
        for tick in ticks {
            let now = Instant(1_000_000_000) + interval * tick / 10;
            let mut out = Vec::new();
            if heard(tick) {
                detector.heard_from(now, node(1), &mut out);
            }
            detector.step(now, &mut out);
            detector.check();
            verdicts.extend(out.into_iter().map(|verdict| (f64::from(tick) / 10.0, verdict)));
        }
        verdicts
    }

    const INTERVALS: [Duration; 4] =
        [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(5)];

    #[test]
    fn a_dead_node_is_convicted_in_bounded_time_at_any_interval() {
        for interval in INTERVALS {
            let mut detector = detector(interval);
            assert!(!detector.is_up(node(1)), "down until heard");
            let verdicts = run(&mut detector, interval, 0..1000, |tick| tick % 10 == 0 && tick < 500);
            let [(up_at, up), (down_at, down)] = verdicts[..] else { panic!("{verdicts:?}") };
            assert_eq!((up_at, up, down), (0.0, Verdict::Up(node(1)), Verdict::Down(node(1))));
            // Last heard at 49 intervals.
            assert!((55.0..57.0).contains(&down_at), "{interval:?}: convicted at {down_at}");
        }
    }

    #[test]
    fn an_irregular_or_lossy_heart_is_not_convicted() {
        for interval in INTERVALS {
            let mut detector = detector(interval);
            // Every other heartbeat lost, then four in a row.
            let verdicts = run(&mut detector, interval, 0..1000, |tick| tick % 20 == 0 && !(500..540).contains(&tick));
            assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        }
    }

    #[test]
    fn frequent_direct_heartbeats_convict_sooner_but_not_at_once() {
        let interval = Duration::from_secs(1);
        let mut detector = detector(interval);
        let verdicts = run(&mut detector, interval, 0..300, |tick| tick % 5 == 0 && tick < 200);
        let (at, verdict) = verdicts[1];
        assert_eq!(verdict, Verdict::Down(node(1)));
        assert!((25.0..26.1).contains(&at), "convicted at {at}");
    }

    #[test]
    fn a_lost_link_shortens_the_silence() {
        let interval = Duration::from_secs(1);
        let mut detector = detector(interval);
        run(&mut detector, interval, 0..101, |tick| tick % 10 == 0);
        let mut out = Vec::new();
        let last = Instant(1_000_000_000) + interval * 10;
        detector.suspect(last + interval / 2, node(1), &mut out);
        assert_eq!(out, []);
        detector.heard_of(last + interval, node(1), &mut out);
        detector.step(last + interval * 3, &mut out);
        assert_eq!((out.len(), detector.deadline()), (0, Some(last + interval * 4)));
        detector.step(last + interval * 4, &mut out);
        assert_eq!(out, [Verdict::Down(node(1))]);
        detector.heard_from(last + interval * 5, node(1), &mut out);
        assert_eq!(out.last(), Some(&Verdict::Up(node(1))));
    }

    #[test]
    fn a_heartbeat_clears_the_suspicion() {
        let interval = Duration::from_secs(1);
        let mut detector = detector(interval);
        run(&mut detector, interval, 0..101, |tick| tick % 10 == 0);
        let last = Instant(1_000_000_000) + interval * 10;
        let mut out = Vec::new();
        detector.suspect(last + interval / 2, node(1), &mut out);
        detector.heard_from(last + interval, node(1), &mut out);
        detector.step(last + interval * 3, &mut out);
        detector.step(last + interval * 9 / 2, &mut out);
        assert_eq!(out, []);
    }

    #[test]
    fn an_own_pause_convicts_nobody() {
        for interval in INTERVALS {
            let mut detector = detector(interval);
            run(&mut detector, interval, 0..101, |tick| tick % 10 == 0);
            // Stopped for a minute's worth of intervals; heartbeats go on half an interval after waking.
            let verdicts = run(&mut detector, interval, 700..1000, |tick| tick % 10 == 5);
            assert_eq!(verdicts, []);
            // And a node that died meanwhile is found out all the same.
            let verdicts = run(&mut detector, interval, 1700..2000, |_| false);
            assert_eq!(verdicts.len(), 1, "{verdicts:?}");
            assert!(verdicts[0].0 < 170.0 + 10.0, "{verdicts:?}");
        }
    }

    #[test]
    fn whoever_calls_at_the_deadlines_convicts_at_the_right_moment() {
        let interval = Duration::from_secs(1);
        let mut detector = detector(interval);
        run(&mut detector, interval, 0..101, |tick| tick % 10 == 0);
        let last = Instant(1_000_000_000) + interval * 10;
        let mut out = Vec::new();
        let mut now = last;
        while out.is_empty() {
            now = detector.deadline().unwrap();
            detector.step(Instant(now.0 - 1), &mut out);
            assert_eq!(out, []);
            detector.step(now, &mut out);
        }
        assert_eq!(out, [Verdict::Down(node(1))]);
        assert_eq!(detector.deadline(), None);
        let silence = now.since(last).as_secs_f64();
        assert!((silence - 3.0 * std::f64::consts::LN_10).abs() < 0.01, "convicted after {silence} s");
        assert!((detector.phi(now, node(1)).unwrap() - 3.0).abs() < 0.01);
    }
}
