//! CPU time of processes, from /proc.

use std::time::Duration;

/// Linux counts in hundredths of a second, on every architecture that it runs on today.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has used, user and system.
pub fn used(pid: u32) -> Option<Duration> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// What each of these processes has used so far, where that can be had.
pub fn used_by_all(pids: &[u32]) -> Vec<(u32, Option<Duration>)> {
    pids.iter().map(|pid| (*pid, used(*pid))).collect()
}

/// What each has used since.
pub fn used_since(before: &[(u32, Option<Duration>)]) -> Vec<(u32, Option<Duration>)> {
    let since = |(pid, before): &(u32, Option<Duration>)| {
        (*pid, before.zip(used(*pid)).map(|(before, after)| after.saturating_sub(before)))
    };
    before.iter().map(since).collect()
}

fn parse(stat: &str) -> Option<Duration> {
    // The name stands in parentheses and may hold anything, spaces and parentheses too.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let user: u32 = fields.get(11)?.parse().ok()?;
    let system: u32 = fields.get(12)?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        assert!(used(std::process::id()).is_some());
        assert_eq!(parse("garbage"), None);
    }
}
