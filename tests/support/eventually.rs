//! Waiting for what must come to be, and not a moment longer.

use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until the condition gives a value; fails with what it said last if the time is over.
pub async fn eventually<T>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        let last = match look().await {
            Ok(value) => return value,
            Err(last) => last,
        };
        assert!(started.elapsed() < within, "not within {} s: {what}. At last: {last}", within.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
