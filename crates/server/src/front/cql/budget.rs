//! How much memory the requests and answers of a thread's clients may take: in all, and by client address.
//!
//! Each connection reckons for itself in plain numbers and publishes its sum once a turn, so a request costs nothing here. Only
//! a request that comes in many pieces asks before it is taken in, for the whole of its length: what was granted can always
//! be finished, and what was not granted is not read, so clients cannot block one another with halves.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{CQL_CLIENT_CONNECTIONS_MAX, CQL_CLIENTS_BYTES_MAX, CQL_CLIENTS_BYTES_MIN, CQL_CONNECTIONS_MAX};

/// What the clients of one thread hold. Only its thread changes it, so its counters are never contended.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
    connections: AtomicUsize,
    clients: Mutex<BTreeMap<IpAddr, Arc<Client>>>,
}

/// What the connections of one address hold.
#[derive(Debug, Default)]
struct Client {
    bytes: AtomicUsize,
    connections: AtomicUsize,
}

impl Budget {
    /// The budget of one of so many threads.
    pub(super) fn of_one_of(threads: usize) -> Self {
        Self::new((CQL_CLIENTS_BYTES_MAX / threads.max(1)).max(CQL_CLIENTS_BYTES_MIN))
    }

    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            clients: Mutex::new(BTreeMap::new()),
        }
    }

    /// Counts a connection in; `None` if there are too many, of this client or in all.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        if self.connections.load(Ordering::Relaxed) >= CQL_CONNECTIONS_MAX {
            return None;
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = Arc::clone(clients.entry(address).or_default());
        drop(clients);
        if client.connections.load(Ordering::Relaxed) >= CQL_CLIENT_CONNECTIONS_MAX {
            return None;
        }
        self.connections.fetch_add(1, Ordering::Relaxed);
        client.connections.fetch_add(1, Ordering::Relaxed);
        Some(Share { budget: Arc::clone(self), client, address, in_flight: 0, reserved: 0, queued: 0, published: 0 })
    }
}

/// One connection's share of the budget. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    client: Arc<Client>,
    address: IpAddr,
    /// Bytes of requests that are executed.
    in_flight: usize,
    /// Bytes granted to a request that has come in part.
    reserved: usize,
    /// Bytes of answers that the client has not taken.
    queued: usize,
    /// What the others know of.
    published: usize,
}

impl Share {
    /// A request is executed.
    pub(super) fn begin(&mut self, bytes: usize) {
        self.reserved = 0;
        self.in_flight = self.in_flight.saturating_add(bytes);
    }

    /// A request was answered.
    pub(super) fn end(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// So many bytes of answers wait for the client.
    pub(super) fn queue(&mut self, bytes: usize) {
        self.queued = bytes;
    }

    /// Tells the others what this connection holds.
    pub(super) fn publish(&mut self) {
        let now = self.in_flight.saturating_add(self.reserved).saturating_add(self.queued);
        if now > self.published {
            self.change(now - self.published, AtomicUsize::fetch_add);
        } else if now < self.published {
            self.change(self.published - now, AtomicUsize::fetch_sub);
        }
        self.published = now;
    }

    fn change(&self, by: usize, how: impl Fn(&AtomicUsize, usize, Ordering) -> usize) {
        how(&self.budget.bytes, by, Ordering::Relaxed);
        how(&self.client.bytes, by, Ordering::Relaxed);
    }

    /// Whether this client may ask for more. What was granted may always be asked.
    pub(super) fn has_room(&self) -> bool {
        self.reserved > 0 || self.fits(1)
    }

    fn fits(&self, more: usize) -> bool {
        let within = |bytes: &AtomicUsize, max: usize| bytes.load(Ordering::Relaxed).saturating_add(more) <= max;
        within(&self.budget.bytes, self.budget.bytes_max) && within(&self.client.bytes, self.budget.bytes_max / 2)
    }

    /// Asks for the memory of a request that has come in part; true if it may be taken in.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        if self.reserved >= bytes {
            return true;
        }
        self.publish();
        if !self.fits(bytes) {
            return false;
        }
        self.reserved = bytes;
        self.publish();
        true
    }

    /// Nothing is coming in part.
    pub(super) fn unreserve(&mut self) {
        self.reserved = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        (self.in_flight, self.reserved, self.queued) = (0, 0, 0);
        self.publish();
        self.budget.connections.fetch_sub(1, Ordering::Relaxed);
        if self.client.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.budget.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(last: u8) -> IpAddr {
        IpAddr::from(Ipv4Addr::new(127, 0, 0, last))
    }

    #[test]
    fn one_client_cannot_take_what_another_needs() {
        let budget = Arc::new(Budget::new(64 * MIB));
        let mut greedy: Vec<_> = (0..4).filter_map(|_| budget.admit(address(1))).collect();
        let granted: Vec<_> = greedy.iter_mut().map(|share| share.reserve(16 * MIB)).collect();
        assert_eq!(granted, [true, true, false, false], "half of the budget, whole requests");
        let may_ask: Vec<_> = greedy.iter().map(Share::has_room).collect();
        assert_eq!(may_ask, [true, true, false, false], "what was granted is taken");
        let mut other = budget.admit(address(2)).expect("there is room for a connection");
        assert!(other.has_room() && other.reserve(16 * MIB));
        greedy.remove(0);
        assert!(
            greedy.iter_mut().last().is_some_and(|share| share.reserve(16 * MIB)),
            "what a connection held is free"
        );
        drop((greedy, other));
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
        assert!(budget.clients.lock().is_ok_and(|clients| clients.is_empty()), "clients that left are forgotten");
    }

    #[test]
    fn a_request_counts_until_it_is_answered_and_an_answer_until_it_is_taken() {
        let budget = Arc::new(Budget::new(64 * MIB));
        let mut share = budget.admit(address(1)).expect("there is room for a connection");
        assert!(share.reserve(10 * MIB));
        share.begin(10 * MIB);
        share.publish();
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 10 * MIB, "not twice");
        share.end(10 * MIB);
        share.queue(40 * MIB);
        share.publish();
        assert!(!share.has_room(), "who does not take answers asks for no more");
        share.queue(0);
        share.publish();
        assert!(share.has_room());
    }

    #[test]
    fn connections_are_counted_by_client() {
        let budget = Arc::new(Budget::new(64 * MIB));
        let all: Vec<_> = (0..CQL_CLIENT_CONNECTIONS_MAX).filter_map(|_| budget.admit(address(1))).collect();
        assert_eq!(all.len(), CQL_CLIENT_CONNECTIONS_MAX);
        assert!(budget.admit(address(1)).is_none());
        assert!(budget.admit(address(2)).is_some());
        drop(all);
        assert!(budget.admit(address(1)).is_some());
    }
}
