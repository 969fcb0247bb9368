//! CPU time of processes, from /proc: user and system, all threads, in hundredths of a second.

use std::time::{Duration, Instant};

/// What processes had used at a moment.
pub struct Snapshot {
    at: Instant,
    own: Duration,
    others: Vec<(u32, Option<Duration>)>,
}

/// What they used since.
pub struct Used {
    /// Seconds that went by.
    pub elapsed: Duration,
    /// This process: driver and load.
    pub own: Duration,
    /// The others together; `None` if there are none, or one of them could not be read.
    pub others: Option<Duration>,
}

impl Snapshot {
    /// Now.
    pub fn take(pids: &[u32]) -> Self {
        let own = used(std::process::id()).unwrap_or_default();
        Self { at: Instant::now(), own, others: pids.iter().map(|pid| (*pid, used(*pid))).collect() }
    }

    /// From then to now.
    pub fn until_now(&self) -> Used {
        let elapsed = self.at.elapsed();
        let own = used(std::process::id()).unwrap_or_default().saturating_sub(self.own);
        let others = self.others.iter().map(|(pid, before)| Some(used(*pid)?.saturating_sub((*before)?)));
        let others = others.sum::<Option<Duration>>().filter(|_| !self.others.is_empty());
        Used { elapsed, own, others }
    }
}

fn used(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    Some(Duration::from_millis(10) * ticks)
}
