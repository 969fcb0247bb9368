//! What only whoever runs a node knows, for the tables that show it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use quorate_env::Instant;

/// What a node is told of the process around it. All of it is looked up when it is asked for, on a worker's thread: it
/// must be at hand.
pub trait Surroundings: Send + Sync {
    /// Clients of the native protocol that are connected now.
    fn clients(&self) -> Vec<ClientFact>;
    /// Names and values of what the process was configured with.
    fn settings(&self) -> Vec<(String, String)>;
    /// The address of a host name, if it is known.
    fn resolve(&self, host: &str) -> Option<IpAddr>;
    /// The node's monotonic clock, finer than steps are.
    fn now(&self) -> Instant;
    /// Threads and queues around the node. One with a worker's name adds to what the worker knows of itself.
    fn pools(&self) -> Vec<PoolFact>;
}

/// Who works off a queue. What nobody counts is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFact {
    /// Its name: `worker-0`, `committer`, …
    pub name: String,
    /// What is being worked on.
    pub active: Option<u64>,
    /// How much can be worked on at once.
    pub limit: Option<u64>,
    /// What waits.
    pub pending: Option<u64>,
    /// What was done since the start.
    pub completed: Option<u64>,
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFact {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The options it has started with; none before it has.
    pub options: Vec<(String, String)>,
    /// The protocol's version, once it has started.
    pub protocol_version: Option<u8>,
    /// The keyspace of `USE`.
    pub keyspace: Option<String>,
    /// Requests that it has sent.
    pub requests: u64,
    /// TLS, if it is used.
    pub tls: Option<TlsFact>,
}

/// What was agreed on for a connection with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFact {
    /// The version, as `TLSv1.3`.
    pub protocol: String,
    /// The cipher suite, as IANA names it.
    pub cipher_suite: String,
}

/// The surroundings once they are known.
#[derive(Default)]
pub(crate) struct Around(OnceLock<Arc<dyn Surroundings>>);

impl Around {
    /// The first ones stay.
    pub(crate) fn set(&self, surroundings: Arc<dyn Surroundings>) {
        let _ = self.0.set(surroundings);
    }

    pub(crate) fn get(&self) -> Option<&dyn Surroundings> {
        self.0.get().map(|surroundings| &**surroundings)
    }

    /// The IP of `HOST:PORT` or of `HOST`; none if it is a name whose address is not known.
    pub(crate) fn ip(&self, address: &str) -> Option<IpAddr> {
        let bare = address.parse::<IpAddr>().ok();
        bare.or_else(|| {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse().ok().or_else(|| self.get()?.resolve(host))
        })
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "known surroundings" } else { "unknown surroundings" })
    }
}
