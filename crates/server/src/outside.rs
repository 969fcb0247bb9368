//! What the server tells its node of the process: clients, settings, and the addresses of hosts' names.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_node::{ClientFact, Surroundings};

use crate::front::Registry;
use crate::names::Names;

/// The surroundings of a node. It holds nothing that holds the node.
pub(crate) struct Outside {
    settings: Vec<(String, String)>,
    /// One a thread that serves drivers.
    registries: Mutex<Vec<Arc<Registry>>>,
    pub(crate) names: Names,
}

impl Outside {
    pub(crate) fn new(settings: Vec<(String, String)>) -> Self {
        Self { settings, registries: Mutex::default(), names: Names::default() }
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
}
