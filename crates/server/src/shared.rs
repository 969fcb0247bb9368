//! What the threads of one server share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quorate_model::NodeId;
use quorate_node::{Input, MachineId};
use tokio::sync::Notify;

use crate::committer::Committer;
use crate::driver::NodeView;
use crate::front::PreparedMetadata;
use crate::jobs::JobPool;
use crate::mailbox::{Mail, Mailbox};
use crate::metrics::Metrics;
use crate::outside::Outside;
use crate::tls::Tls;
use crate::transport::Directory;
use crate::transport::Identity;

/// Shared by all threads of a server.
pub(crate) struct Shared {
    /// Mailboxes by machine: control, then the workers.
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) jobs: Arc<JobPool>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) directory: Directory,
    pub(crate) identity: Identity,
    pub(crate) view: Arc<dyn NodeView>,
    pub(crate) metrics: Metrics,
    pub(crate) stopping: Stopping,
    pub(crate) prepared_metadata: PreparedMetadata,
    pub(crate) tls: Arc<Tls>,
    pub(crate) outside: Arc<Outside>,
    /// What is logged, as configured.
    pub(crate) log_level: String,
}

impl Shared {
    /// The mailbox of a machine, if there is such a machine.
    pub(crate) fn mailbox(&self, machine: MachineId) -> Option<&Arc<Mailbox>> {
        self.mailboxes.get(usize::from(machine.0))
    }

    /// Tells every thread that the directory changed.
    pub(crate) fn announce_directory(&self) {
        for mailbox in &self.mailboxes {
            mailbox.send(Mail::Directory);
        }
    }

    /// Tells every worker that answers of this node may be lost.
    pub(crate) fn announce_link_down(&self, node: NodeId) {
        for mailbox in self.mailboxes.iter().skip(1) {
            mailbox.send(Mail::Input(Input::Link { node, up: false }));
        }
    }
}

/// Whether and why the server stops.
#[derive(Default)]
pub(crate) struct Stopping {
    fatal: Mutex<Option<String>>,
    draining: AtomicBool,
    wake: Notify,
}

impl Stopping {
    /// The node cannot go on. The first reason stands.
    pub(crate) fn fail(&self, message: String) {
        tracing::error!("{message}");
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
        self.wake.notify_one();
    }

    /// Why the node cannot go on.
    pub(crate) fn failure(&self) -> Option<String> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a failure.
    pub(crate) async fn failed(&self) -> String {
        loop {
            if let Some(message) = self.failure() {
                return message;
            }
            self.wake.notified().await;
        }
    }

    /// New requests are refused from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new requests are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
