//! What this process uses, from `/proc`.

use std::time::Duration;

/// Ticks a second in `/proc`: fixed in Linux's interface to programs, whatever the kernel's own rate.
const TICKS_PER_SECOND: u64 = 100;

/// Resident memory in bytes, if the system tells.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Processor time used by all threads, in user and kernel mode, to a hundredth of a second.
pub fn process_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything; utime and stime are fields 14, 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    Some(Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_plausible() {
        assert!((1 << 20..1 << 36).contains(&resident_memory().unwrap()));
        let before = process_cpu().unwrap();
        let mut sum = 0_u64;
        while process_cpu().unwrap() - before < Duration::from_millis(30) {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
