//! Requests of this worker to replicas, from their sending to their answer.

use std::collections::BTreeMap;

use quorate_coordinator::Tag;
use quorate_env::Instant;
use quorate_model::NodeId;

/// A request that a replica has not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The operation that made it.
    pub op: u64,
    /// Which of the operation's machines.
    pub part: usize,
    /// Whom it asked.
    pub node: NodeId,
    /// That machine's name for it.
    pub tag: Tag,
    /// When it was sent.
    pub sent: Instant,
}

/// All calls in flight. An answer to a call that is not here (any more) is ignored.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: BTreeMap<u64, Call>,
    next: u64,
}

impl Calls {
    /// Notes a call and names it.
    pub(super) fn insert(&mut self, call: Call) -> u64 {
        self.next += 1;
        self.calls.insert(self.next, call);
        self.next
    }

    /// Takes a call out, if `node` is the one that was asked.
    pub(super) fn take(&mut self, id: u64, node: NodeId) -> Option<Call> {
        match self.calls.get(&id) {
            Some(call) if call.node == node => self.calls.remove(&id),
            _ => None,
        }
    }

    /// Forgets an operation's calls, named by it.
    pub(super) fn forget(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.calls.remove(&id);
        }
    }

    /// Operations that wait for this node.
    pub(super) fn ops_waiting_for(&self, node: NodeId) -> Vec<u64> {
        let mut ops: Vec<u64> = self.calls.values().filter(|call| call.node == node).map(|call| call.op).collect();
        ops.sort_unstable();
        ops.dedup();
        ops
    }
}
