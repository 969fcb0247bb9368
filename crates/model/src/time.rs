//! Write timestamps and time to live.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// A write's timestamp in microseconds since 1970. Larger wins. Clients may choose it; otherwise the coordinator's
/// hybrid clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The smallest timestamp; nothing can be written with it (Cassandra reserves it as 'no timestamp').
    pub const MIN: Self = Self(i64::MIN);
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970, the unit of expiry and of local deletion times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub i64);

impl Seconds {
    /// The whole second that contains this many microseconds since 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.div_euclid(1_000_000))
    }

    /// This moment plus a time to live; saturates instead of wrapping, so that nothing ever dies early.
    pub fn plus(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(i64::from(ttl.0)))
    }
}

/// A time to live in seconds, never zero where it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ttl(pub u32);

impl Ttl {
    /// Cassandra's limit: 20 years.
    pub const MAX: Self = Self(20 * 365 * 24 * 60 * 60);
}

/// A hybrid logical clock: timestamps close to the wall clock that strictly increase over all calls, and that follow
/// what other nodes have used. It reads no clock: the caller brings the wall's time. Threads share it.
///
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014), with the logical part carried in the microseconds.
#[derive(Debug)]
pub struct HybridClock {
    last: AtomicI64,
}

impl Default for HybridClock {
    fn default() -> Self {
        Self { last: AtomicI64::new(i64::MIN) }
    }
}

impl HybridClock {
    /// A timestamp greater than every one given or observed before, and not before the wall's time. At the end of time
    /// (`i64::MAX`) it stands still instead of wrapping.
    pub fn next(&self, wall_micros: i64) -> Timestamp {
        let step = |last: i64| Some(last.saturating_add(1).max(wall_micros));
        match self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(last) | Err(last) => Timestamp(last.saturating_add(1).max(wall_micros)),
        }
    }

    /// Another node has used this timestamp: later ones here will be greater.
    pub fn observe(&self, timestamp: Timestamp) {
        self.last.fetch_max(timestamp.0, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_only_goes_forward() {
        let clock = HybridClock::default();
        assert_eq!(clock.next(100), Timestamp(100));
        assert_eq!(clock.next(100), Timestamp(101));
        assert_eq!(clock.next(50), Timestamp(102));
        clock.observe(Timestamp(500));
        clock.observe(Timestamp(400));
        assert_eq!(clock.next(103), Timestamp(501));
        assert_eq!(clock.next(1000), Timestamp(1000));
        clock.observe(Timestamp(i64::MAX));
        assert_eq!(clock.next(1), Timestamp(i64::MAX));
    }
}
