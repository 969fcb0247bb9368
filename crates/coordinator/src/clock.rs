//! A guard against timestamps from the future: such a write, above all such a deletion, would hide every later one.

use std::time::Duration;

use quorate_env::WallTime;
use quorate_model::Timestamp;
use quorate_model::request::RequestError;

/// Microseconds by which the timestamp exceeds what is allowed at `wall`; `None` if it does not.
pub fn ahead_by_us(timestamp: Timestamp, wall: WallTime, bound: Duration) -> Option<u64> {
    let bound_us = i64::try_from(bound.as_micros()).unwrap_or(i64::MAX);
    let latest = wall.0.saturating_add(bound_us);
    (timestamp.0 > latest).then(|| timestamp.0.abs_diff(wall.0))
}

/// Refuses a timestamp further ahead of the wall clock than `bound`.
pub fn check_timestamp(timestamp: Timestamp, wall: WallTime, bound: Duration) -> Result<(), RequestError> {
    match ahead_by_us(timestamp, wall, bound) {
        None => Ok(()),
        Some(ahead_us) => Err(RequestError::invalid(format!(
            "timestamp {timestamp} is {} ms ahead of this node's clock; at most {} ms are allowed",
            ahead_us / 1000,
            bound.as_millis()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_far_future_is_refused() {
        let bound = Duration::from_millis(5);
        let wall = WallTime(1_000_000);
        for (timestamp, allowed) in
            [(0, true), (1_000_000, true), (1_005_000, true), (1_005_001, false), (i64::MAX, false), (i64::MIN, true)]
        {
            assert_eq!(check_timestamp(Timestamp(timestamp), wall, bound).is_ok(), allowed, "{timestamp}");
        }
        assert!(check_timestamp(Timestamp(i64::MAX), WallTime(i64::MAX), Duration::MAX).is_ok());
    }
}
