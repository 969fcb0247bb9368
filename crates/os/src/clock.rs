//! Real clocks and real randomness.

use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_env::{Instant, Now, WallTime};

/// A node's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
    wall_offset_micros: i64,
}

impl Clock {
    /// The machine's clocks.
    pub fn new() -> Self {
        Self::with_wall_offset(0)
    }

    /// The machine's clocks with the wall clock set wrong by this many microseconds: to try what a wrong clock does.
    #[allow(clippy::disallowed_methods)] // The one place that reads the monotonic clock.
    pub fn with_wall_offset(wall_offset_micros: i64) -> Self {
        Self { start: std::time::Instant::now(), wall_offset_micros }
    }

    /// The monotonic clock alone.
    #[allow(clippy::disallowed_methods)] // The one place that reads the monotonic clock.
    pub fn mono(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Both clocks. The monotonic one starts at about zero with this value.
    #[allow(clippy::disallowed_methods)] // The one place that reads the wall clock.
    pub fn now(&self) -> Now {
        let mono = self.mono();
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Now { mono, wall: WallTime(wall.saturating_add(self.wall_offset_micros)) }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// 64 bits from the system's source of entropy, to seed a node's randomness and to draw identities from.
pub fn entropy_seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_on_and_may_be_set_wrong() {
        let (right, wrong) = (Clock::new(), Clock::with_wall_offset(3_600_000_000));
        let (first, second) = (right.now(), right.now());
        assert!(second.mono >= first.mono && first.wall.0 > 1_700_000_000_000_000);
        assert!(wrong.now().wall.0 - right.now().wall.0 > 3_500_000_000);
        assert_ne!(entropy_seed().unwrap(), entropy_seed().unwrap());
    }
}
