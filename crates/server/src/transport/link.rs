//! An outgoing stream to a peer, opened anew for as long as the link lives.

use std::sync::Arc;
use std::time::Duration;

use quorate_model::NodeId;
use quorate_node::{Input, Lane, MachineId};
use quorate_proto::internode::v1::refusal::Reason;
use quorate_proto::internode::v1::{Batch, Refusal};
use tokio::task::AbortHandle;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::limits::{
    CONNECT_TIMEOUT, HELLO_TIMEOUT, MESSAGE_BYTES_MAX, PING_INTERVAL, PING_TIMEOUT, RECONNECT_MAX, RECONNECT_MIN,
};
use crate::shared::Shared;
use crate::transport::identity::Peer;
use crate::transport::queue::{FrameQueue, FrameStream, Outgoing};
use crate::transport::stub::internode_client::InternodeClient;
use crate::transport::{deliver, primary_lane};

/// Whom a link is to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A node, wherever the directory says that it is.
    Node(NodeId),
    /// Whichever node listens there.
    Address(String),
}

/// A link. Dropping it closes its stream.
pub(crate) struct Link {
    pub(crate) queue: Arc<FrameQueue>,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.queue.close();
        self.task.abort();
    }
}

impl Link {
    /// Opens a link, in the background, on the present thread.
    pub(crate) fn open(target: Target, machine: MachineId, lane: Lane, shared: Arc<Shared>) -> Self {
        let queue = Arc::new(FrameQueue::default());
        let worker = Worker { target, machine, lane, shared, queue: Arc::clone(&queue) };
        let task = tokio::spawn(worker.run()).abort_handle();
        Self { queue, task }
    }
}

struct Worker {
    target: Target,
    machine: MachineId,
    lane: Lane,
    shared: Arc<Shared>,
    queue: Arc<FrameQueue>,
}

/// Why a stream could not be opened.
enum Closed {
    /// It may go better later.
    Retry(String),
    /// The peer refuses.
    Refused(Refusal),
}

impl Worker {
    async fn run(self) {
        let mut pause = RECONNECT_MIN;
        let mut reported = false;
        loop {
            match self.connect().await {
                Ok((peer, answers)) => {
                    pause = RECONNECT_MIN;
                    reported = false;
                    if self.queue.reachable() {
                        // These requests will not be answered, and no other end of this stream tells so.
                        self.link_state(peer.node, false);
                    }
                    self.link_state(peer.node, true);
                    let reason = read(peer.node, answers).await;
                    tracing::debug!(peer = %self.shown(), lane = ?self.lane, reason, "a stream to a peer ended");
                    self.lost(Some(peer.node));
                }
                Err(Closed::Retry(reason)) => {
                    if !reported {
                        tracing::info!(peer = %self.shown(), reason, "cannot reach a peer; trying again");
                        reported = true;
                    }
                    self.lost(None);
                }
                Err(Closed::Refused(refusal)) => {
                    if self.refused(&refusal) {
                        return;
                    }
                    self.lost(None);
                    pause = RECONNECT_MAX;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    fn shown(&self) -> String {
        match &self.target {
            Target::Node(node) => {
                format!("node {node} at {}", self.shared.directory.address_of(*node).unwrap_or_default())
            }
            Target::Address(address) => address.clone(),
        }
    }

    fn lost(&self, peer: Option<NodeId>) {
        let waited = self.queue.unreachable();
        if let (Target::Node(node), Lane::Large) = (&self.target, self.lane) {
            crate::host::with(|host| host.transport.send_small(*node, waited));
        }
        let node = peer.or(match &self.target {
            Target::Node(node) => Some(*node),
            Target::Address(_) => None,
        });
        if let Some(node) = node {
            self.link_state(node, false);
        }
        // A seed is written to again as soon as it answers, whoever it is: its frames are not old by then.
        if matches!(self.target, Target::Address(_)) {
            self.queue.reachable();
        }
    }

    fn link_state(&self, node: NodeId, up: bool) {
        if self.lane == primary_lane(self.machine) {
            crate::host::input(Input::Link { node, up });
        }
    }

    /// True if the link is at its end.
    fn refused(&self, refusal: &Refusal) -> bool {
        match Reason::try_from(refusal.reason) {
            Ok(Reason::Self_) => return true,
            Ok(Reason::ClusterName | Reason::ClusterId | Reason::ProtocolVersion) if !self.shared.view.has_joined() => {
                // It was told to join where it does not belong: going on would only hide that.
                self.shared.stopping.fail(format!("refused by {}: {}", self.shown(), refusal.message));
            }
            _ => tracing::warn!(peer = %self.shown(), reason = refusal.message, "refused by a peer"),
        }
        self.shared.metrics.links_refused.inc();
        false
    }

    async fn connect(&self) -> Result<(Peer, Streaming<Batch>), Closed> {
        let address = match &self.target {
            Target::Node(node) => self
                .shared
                .directory
                .address_of(*node)
                .ok_or_else(|| Closed::Retry("it is in no directory any more".to_owned()))?,
            Target::Address(address) => address.clone(),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Closed::Retry(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(8 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024);
        // The endpoint's own limit does not cover the resolution of names.
        let connected = match self.shared.tls.connecting() {
            None => limited(CONNECT_TIMEOUT * 2, endpoint.connect()).await?,
            Some(config) => {
                let connector = tower::service_fn(move |uri| crate::tls::connect(Arc::clone(&config), uri));
                limited(CONNECT_TIMEOUT * 2, endpoint.connect_with_connector(connector)).await?
            }
        };
        let channel = connected.map_err(|error| Closed::Retry(innermost(&error)))?;
        let mut client = InternodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let hello = self.shared.identity.hello(self.machine, self.lane);
        let stream = Outgoing(FrameStream::new(hello, Arc::clone(&self.queue)));
        let retry = |status: tonic::Status| Closed::Retry(status.message().to_owned());
        let mut answers = limited(HELLO_TIMEOUT, client.exchange(stream)).await?.map_err(retry)?.into_inner();
        let first = limited(HELLO_TIMEOUT, answers.message())
            .await?
            .map_err(retry)?
            .ok_or_else(|| Closed::Retry("it ended the stream at once".to_owned()))?;
        if let Some(refusal) = first.refusal {
            return Err(Closed::Refused(refusal));
        }
        let hello = first.hello.ok_or_else(|| Closed::Retry("it did not say hello".to_owned()))?;
        let peer = self.shared.identity.check(&hello).map_err(Closed::Refused)?;
        match &self.target {
            Target::Node(node) if *node != peer.node => {
                Err(Closed::Retry(format!("node {} answers there now", peer.node)))
            }
            _ => Ok((peer, answers)),
        }
    }
}

async fn limited<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Closed> {
    tokio::time::timeout(limit, work).await.map_err(|_| Closed::Retry("it did not answer in time".to_owned()))
}

/// The reason below all that only say 'transport error'.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

async fn read(peer: NodeId, mut answers: Streaming<Batch>) -> String {
    loop {
        match answers.message().await {
            Ok(Some(batch)) => deliver(peer, batch.frames),
            Ok(None) => return "the peer ended it".to_owned(),
            Err(status) => return status.message().to_owned(),
        }
    }
}
