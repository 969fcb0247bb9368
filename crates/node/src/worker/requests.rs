//! The requests in flight that a worker coordinates, and when each wants to be woken.

use std::collections::{BTreeMap, BTreeSet};

use quorate_env::Instant;

use super::op::Op;
use crate::machine::RequestId;

/// What a worker coordinates. Every timer and every client belongs to a request that is there.
#[derive(Default)]
pub(super) struct Requests {
    /// Boxed: each answer takes one out and puts it back.
    pub(super) by_id: BTreeMap<u64, Box<Op>>,
    /// Those whose client still waits.
    pub(super) by_client: BTreeMap<RequestId, u64>,
    /// When each wants to be woken; one moment a request.
    pub(super) timers: BTreeSet<(Instant, u64)>,
    latest: u64,
}

impl Requests {
    /// A number that no request had before.
    pub(super) fn draw(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }

    /// The next moment at which one of them wants to be woken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        for (at, id) in &self.timers {
            assert_eq!(self.by_id.get(id).and_then(|op| op.timer), Some(*at), "a timer of a request that has none");
        }
        for id in self.by_client.values() {
            assert!(self.by_id.contains_key(id), "a client waits for a request that is gone");
        }
    }
}
