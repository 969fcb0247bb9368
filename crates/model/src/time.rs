//! Write timestamps and time to live.

use std::fmt;

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
