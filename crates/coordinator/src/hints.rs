//! Whether a replica that missed a write is to be sent a hint.

use std::time::Duration;

use crate::limits;

/// The bounds, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintPolicy {
    /// Whether hints are kept at all.
    pub enabled: bool,
    /// For how long after a node went down hints are still kept for it.
    pub window: Duration,
    /// Most bytes kept for one node.
    pub bytes_max: u64,
}

impl Default for HintPolicy {
    fn default() -> Self {
        Self { enabled: true, window: limits::HINT_WINDOW, bytes_max: limits::HINT_BYTES_MAX }
    }
}

/// What is to be done for a replica that missed a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintVerdict {
    /// Keep a hint.
    Keep,
    /// Hints are switched off.
    Disabled,
    /// It has been down too long: its ranges need repair when it returns.
    WindowPassed,
    /// Too many bytes wait for it already: its ranges need repair when it returns.
    TooMany,
}

impl HintPolicy {
    /// The verdict for a node that has been down so long (`None`: it is up, it merely failed to answer) and for which
    /// so many bytes are kept, for a hint of this size.
    pub fn verdict(&self, down_for: Option<Duration>, kept_bytes: u64, hint_bytes: u64) -> HintVerdict {
        if !self.enabled {
            HintVerdict::Disabled
        } else if down_for.is_some_and(|down_for| down_for > self.window) {
            HintVerdict::WindowPassed
        } else if kept_bytes.saturating_add(hint_bytes) > self.bytes_max {
            HintVerdict::TooMany
        } else {
            HintVerdict::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_kept_within_window_and_size() {
        let policy = HintPolicy { enabled: true, window: Duration::from_secs(10), bytes_max: 100 };
        let disabled = HintPolicy { enabled: false, ..policy };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (policy, down_for, kept, size, expected) in [
            (policy, None, 0, 1, HintVerdict::Keep),
            (policy, seconds(10), 99, 1, HintVerdict::Keep),
            (policy, seconds(11), 0, 1, HintVerdict::WindowPassed),
            (policy, None, 100, 1, HintVerdict::TooMany),
            (policy, None, u64::MAX, u64::MAX, HintVerdict::TooMany),
            (disabled, None, 0, 1, HintVerdict::Disabled),
        ] {
            assert_eq!(policy.verdict(down_for, kept, size), expected);
        }
    }
}
