//! Streams that peers open to this thread.

use std::sync::Arc;

use quorate_node::{Lane, PeerAddress};
use quorate_proto::internode::v1::refusal::Reason;
use quorate_proto::internode::v1::{Batch, Refusal};
use tonic::{Request, Response, Status, Streaming};

use crate::limits::HELLO_TIMEOUT;
use crate::shared::Shared;
use crate::tls::{PeerInfo, holds_host_of};
use crate::transport::deliver;
use crate::transport::identity::Peer;
use crate::transport::queue::{FrameQueue, FrameStream};
use crate::transport::stub::internode_server::Internode;

/// The internode service of one thread.
#[derive(Clone)]
pub(crate) struct InternodeService {
    shared: Arc<Shared>,
}

impl InternodeService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn greet(&self, stream: &mut Streaming<Batch>, info: Option<&PeerInfo>) -> Result<Peer, Refusal> {
        let malformed = |message: &str| Refusal { reason: Reason::Malformed as i32, message: message.to_owned() };
        if self.shared.stopping.is_draining() {
            return Err(Refusal { reason: Reason::Stopping as i32, message: "the node is stopping".to_owned() });
        }
        let first = tokio::time::timeout(HELLO_TIMEOUT, stream.message())
            .await
            .map_err(|_| malformed("no hello came in time"))?
            .map_err(|status| malformed(&format!("the hello cannot be read: {}", status.message())))?
            .ok_or_else(|| malformed("the stream ended before its hello"))?;
        let hello = first.hello.ok_or_else(|| malformed("the first message is no hello"))?;
        let peer = self.shared.identity.check(&hello)?;
        if self.shared.tls.verifies_names() {
            let certificate = info.and_then(|info| info.certificate.as_ref());
            let held = certificate.ok_or_else(|| "it has shown no certificate".to_owned());
            let held = held.and_then(|certificate| holds_host_of(certificate, &peer.address));
            held.map_err(|reason| malformed(&format!("the node at {} is not who it says: {reason}", peer.address)))?;
        }
        Ok(peer)
    }
}

#[tonic::async_trait]
impl Internode for InternodeService {
    type ExchangeStream = FrameStream;

    async fn exchange(&self, request: Request<Streaming<Batch>>) -> Result<Response<FrameStream>, Status> {
        let info = request.extensions().get::<PeerInfo>().cloned();
        let remote = request.remote_addr().or(info.as_ref().and_then(|info| info.address));
        let mut stream = request.into_inner();
        let peer = match self.greet(&mut stream, info.as_ref()).await {
            Ok(peer) => peer,
            Err(refusal) => {
                if refusal.reason != Reason::Self_ as i32 {
                    tracing::warn!(peer = ?remote, reason = refusal.message, "refused a peer");
                    self.shared.metrics.peers_refused.inc();
                }
                let answer = Batch { refusal: Some(refusal), ..Batch::default() };
                return Ok(Response::new(FrameStream::refusal(answer)));
            }
        };
        self.shared.directory.learn(peer.node, &peer.address);
        let queue = Arc::new(FrameQueue::default());
        let from = PeerAddress { node: peer.node, machine: peer.machine };
        let machine = crate::host::with(|host| {
            host.transport.accepted(from, peer.lane, &queue);
            host.id
        });
        let Some(machine) = machine else { return Err(Status::unavailable("the node is stopping")) };
        let hello = self.shared.identity.hello(machine, peer.lane);
        tokio::spawn(read(from, peer, stream, Arc::clone(&queue), Arc::clone(&self.shared)));
        Ok(Response::new(FrameStream::new(hello, queue)))
    }
}

async fn read(
    from: PeerAddress,
    peer: Peer,
    mut stream: Streaming<Batch>,
    queue: Arc<FrameQueue>,
    shared: Arc<Shared>,
) {
    let reason = loop {
        match stream.message().await {
            Ok(Some(batch)) => deliver(peer.node, batch.frames),
            Ok(None) => break "the peer ended it".to_owned(),
            Err(status) => break status.message().to_owned(),
        }
    };
    tracing::debug!(node = %peer.node, lane = ?peer.lane, reason, "a peer's stream ended");
    crate::host::with(|host| host.transport.ended(from, peer.lane, &queue));
    if peer.lane == Lane::Large {
        // Answers to this node's workers come on it, and those that were under way are lost.
        shared.announce_link_down(peer.node);
    }
}
