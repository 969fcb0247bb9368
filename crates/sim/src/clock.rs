//! A node's clocks: derived from virtual time, but neither right nor alike.

use quorate_env::{Instant, Now, WallTime};

/// Wall time at virtual time zero, in microseconds since 1970: late in 2023.
pub const WALL_START_US: i64 = 1_700_000_000_000_000;

/// Two clocks that drift, of which the wall clock also stands wrong and may jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeClock {
    /// The monotonic clock's reading at virtual time zero, in nanoseconds.
    pub mono_offset_ns: u64,
    /// How much faster than true it runs, in millionths; between -1000 and 1000.
    pub drift_ppm: i64,
    /// How far ahead the wall clock stands, in microseconds.
    pub skew_us: i64,
    /// Where the wall clock stands still, if it does.
    pub stopped_at: Option<WallTime>,
}

impl NodeClock {
    /// Both readings at a virtual time.
    pub fn read(&self, virtual_ns: u64) -> Now {
        let elapsed = self.elapsed(virtual_ns);
        let wall = WALL_START_US.saturating_add((elapsed / 1_000) as i64).saturating_add(self.skew_us);
        let wall = self.stopped_at.unwrap_or(WallTime(wall));
        Now { mono: Instant(self.mono_offset_ns.saturating_add(elapsed)), wall }
    }

    /// The first virtual time at which the monotonic clock has reached a reading.
    pub fn when(&self, mono: Instant) -> u64 {
        let elapsed = i128::from(mono.0.saturating_sub(self.mono_offset_ns));
        let scale = i128::from(1_000_000 + self.drift_ppm);
        let mut at = u64::try_from(elapsed.saturating_mul(1_000_000) / scale).unwrap_or(u64::MAX);
        while self.elapsed(at) < mono.0.saturating_sub(self.mono_offset_ns) {
            at = at.saturating_add(1);
        }
        at
    }

    fn elapsed(&self, virtual_ns: u64) -> u64 {
        let drift = i128::from(virtual_ns) * i128::from(self.drift_ppm) / 1_000_000;
        u64::try_from(i128::from(virtual_ns) + drift).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_reached_when_it_is_said_to_be() {
        for drift_ppm in [-500, -1, 0, 3, 500] {
            let clock = NodeClock { mono_offset_ns: 77, drift_ppm, skew_us: -5, stopped_at: None };
            for reading in [0, 77, 78, 1_000_000, 123_456_789_012] {
                let at = clock.when(Instant(reading));
                assert!(clock.read(at).mono >= Instant(reading), "drift {drift_ppm}, reading {reading}");
                assert!(at == 0 || clock.read(at - 1).mono < Instant(reading) || reading < 77);
            }
        }
    }

    #[test]
    fn a_wall_clock_that_stands_still_leaves_the_other_running() {
        let mut clock = NodeClock { skew_us: 5, ..NodeClock::default() };
        clock.stopped_at = Some(clock.read(1_000_000).wall);
        assert_eq!(clock.read(9_000_000).wall, clock.read(1_000_000).wall);
        assert!(clock.read(9_000_000).mono > clock.read(1_000_000).mono);
    }
}
