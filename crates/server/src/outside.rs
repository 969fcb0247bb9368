//! What the server tells its node of the process: clients, settings, and the addresses of hosts' names.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_env::Instant;
use quorate_node::{ClientFact, PoolFact, Surroundings};
use quorate_os::Clock;

use crate::committer::Committer;
use crate::front::Registry;
use crate::jobs::JobPool;
use crate::mailbox::Mailbox;
use crate::names::Names;

/// What the threads of a server work off.
pub(crate) struct Queues {
    /// By machine: control, then the workers.
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) jobs: Arc<JobPool>,
    pub(crate) committer: Arc<Committer>,
}

/// The surroundings of a node. It holds nothing that holds the node.
pub(crate) struct Outside {
    settings: Vec<(String, String)>,
    /// One a thread that serves drivers.
    registries: Mutex<Vec<Arc<Registry>>>,
    queues: Queues,
    clock: Clock,
    pub(crate) names: Names,
}

impl Outside {
    pub(crate) fn new(settings: Vec<(String, String)>, queues: Queues, clock: Clock) -> Self {
        Self { settings, registries: Mutex::default(), queues, clock, names: Names::default() }
    }

    /// A thread serves drivers from now on.
    pub(crate) fn serves(&self, registry: &Arc<Registry>) {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(registry));
    }
}

impl Surroundings for Outside {
    fn clients(&self) -> Vec<ClientFact> {
        let registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        registries.iter().flat_map(|registry| registry.clients()).collect()
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    fn resolve(&self, host: &str) -> Option<IpAddr> {
        self.names.get(host)
    }

    fn now(&self) -> Instant {
        self.clock.now().mono
    }

    fn pools(&self) -> Vec<PoolFact> {
        let mailboxes = self.queues.mailboxes.iter().enumerate().map(|(machine, mailbox)| {
            let name = match machine.checked_sub(1) {
                None => "control".to_owned(),
                Some(worker) => format!("worker-{worker}"),
            };
            PoolFact { name, pending: Some(mailbox.len() as u64), ..PoolFact::default() }
        });
        mailboxes.chain([self.queues.committer.fact()]).chain(self.queues.jobs.facts()).collect()
    }
}
