//! The transport between nodes: per thread, peer and lane one long-lived stream, on which a message carries every frame
//! that one tick brought.
//!
//! A thread opens streams to its peers and accepts theirs. Requests go out on its own streams; answers to a peer's
//! machine go back on the stream which that machine opened, great ones on the large lane's stream, or by the small lane
//! while that is down. Frames may be lost (a full queue, a closed stream): the
//! machines cope with that. They are never altered: each has a checksum.

mod accept;
mod directory;
mod identity;
mod link;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::NodeId;
use quorate_node::{Input, Lane, MachineId, PeerAddress};
use quorate_proto::internode::v1 as message;

use crate::limits::FRAME_BYTES_MAX;
use crate::shared::Shared;

pub(crate) use accept::InternodeService;
pub(crate) use directory::Directory;
pub(crate) use identity::Identity;
use link::Link;
use queue::FrameQueue;

/// The generated stubs.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
pub(crate) mod stub {
    include!(concat!(env!("OUT_DIR"), "/quorate.internode.v1.rs"));
}

/// One thread's side of the transport.
pub(crate) struct Transport {
    machine: MachineId,
    shared: Arc<Shared>,
    links: BTreeMap<(NodeId, Lane), Link>,
    /// Links to addresses whose node is not known yet.
    seeds: BTreeMap<String, Link>,
    /// Streams that peers' machines opened to this thread.
    accepted: BTreeMap<(PeerAddress, Lane), Arc<FrameQueue>>,
}

/// The lane whose stream stands for the link as a whole, and is opened to every node at once.
fn primary_lane(machine: MachineId) -> Lane {
    if machine == MachineId::CONTROL { Lane::Urgent } else { Lane::Small }
}

pub(crate) fn lane_to_message(lane: Lane) -> message::Lane {
    match lane {
        Lane::Urgent => message::Lane::Urgent,
        Lane::Small => message::Lane::Small,
        Lane::Large => message::Lane::Large,
    }
}

pub(crate) fn lane_from_message(lane: message::Lane) -> Lane {
    match lane {
        message::Lane::Large => Lane::Large,
        message::Lane::Small => Lane::Small,
        message::Lane::Urgent | message::Lane::Unspecified => Lane::Urgent,
    }
}

impl Transport {
    pub(crate) fn new(machine: MachineId, shared: Arc<Shared>) -> Self {
        Self { machine, shared, links: BTreeMap::new(), seeds: BTreeMap::new(), accepted: BTreeMap::new() }
    }

    /// Sends a frame to a machine of a node.
    pub(crate) fn send(&mut self, to: PeerAddress, lane: Lane, payload: Bytes) {
        let Some(frame) = self.frame(to.machine, payload) else { return };
        if to.machine != MachineId::ANY_WORKER
            && let Some(queue) = self.accepted.get(&(to, lane)).filter(|queue| queue.is_open())
        {
            self.count_dropped(queue.push(frame));
            return;
        }
        if !self.links.contains_key(&(to.node, lane)) && !self.open(to.node, lane) {
            self.count_dropped(false);
            return;
        }
        let Some(link) = self.links.get(&(to.node, lane)) else { return };
        if lane == Lane::Large && !link.queue.is_open() {
            self.send_small(to.node, [frame]);
            return;
        }
        self.count_dropped(link.queue.push(frame));
    }

    /// Sends frames that cannot go by the large lane by the small one: whoever asked waits for them, and hears of the small
    /// lane's end alone.
    fn send_small(&mut self, node: NodeId, frames: impl IntoIterator<Item = message::Frame>) {
        for frame in frames {
            let machine = u16::try_from(frame.target).map_or(MachineId::ANY_WORKER, MachineId);
            let accepted = self.accepted.get(&(PeerAddress { node, machine }, Lane::Small));
            let link = self.links.get(&(node, Lane::Small)).map(|link| &link.queue);
            let queue = accepted.filter(|queue| queue.is_open()).or(link);
            self.count_dropped(queue.is_some_and(|queue| queue.push(frame)));
        }
    }

    /// Sends a frame to the control machine of whichever node listens at this address.
    pub(crate) fn send_to_address(&mut self, address: &str, payload: Bytes) {
        if let Some(node) = self.shared.directory.node_at(address) {
            self.seeds.remove(address);
            self.send(PeerAddress { node, machine: MachineId::CONTROL }, Lane::Urgent, payload);
            return;
        }
        let Some(frame) = self.frame(MachineId::CONTROL, payload) else { return };
        let (machine, shared) = (self.machine, &self.shared);
        let link = self.seeds.entry(address.to_owned()).or_insert_with(|| {
            Link::open(link::Target::Address(address.to_owned()), machine, Lane::Urgent, Arc::clone(shared))
        });
        let sent = link.queue.push(frame);
        self.count_dropped(sent);
    }

    fn frame(&self, target: MachineId, payload: Bytes) -> Option<message::Frame> {
        if payload.len() > FRAME_BYTES_MAX {
            tracing::error!(
                bytes = payload.len(),
                limit = FRAME_BYTES_MAX,
                "a frame is over the limit and is not sent"
            );
            self.count_dropped(false);
            return None;
        }
        let crc32c = quorate_proto::frame_checksum(target.0, self.machine.0, &payload);
        Some(message::Frame { target: target.0.into(), source: self.machine.0.into(), payload, crc32c })
    }

    fn count_dropped(&self, sent: bool) {
        if sent {
            self.shared.metrics.frames_sent.inc();
        } else {
            self.shared.metrics.frames_dropped.inc();
        }
    }

    /// Opens a link to a node in the directory; false if it is not there.
    fn open(&mut self, node: NodeId, lane: Lane) -> bool {
        if node == self.shared.identity.node_id || self.shared.directory.address_of(node).is_none() {
            return false;
        }
        let link = Link::open(link::Target::Node(node), self.machine, lane, Arc::clone(&self.shared));
        self.links.insert((node, lane), link);
        true
    }

    /// Opens links to new nodes and closes those to nodes that are gone.
    pub(crate) fn directory_changed(&mut self) {
        let nodes = self.shared.directory.nodes();
        self.links.retain(|(node, _), _| nodes.contains_key(node));
        self.seeds.retain(|address, _| !nodes.values().any(|known| known == address));
        let lane = primary_lane(self.machine);
        for node in nodes.keys() {
            if !self.links.contains_key(&(*node, lane)) {
                self.open(*node, lane);
            }
        }
    }

    /// A peer's machine opened a stream to this thread; an earlier one of the same machine and lane ends.
    fn accepted(&mut self, from: PeerAddress, lane: Lane, queue: &Arc<FrameQueue>) {
        if let Some(old) = self.accepted.insert((from, lane), Arc::clone(queue)) {
            old.close();
        }
    }

    /// A peer's stream ended.
    fn ended(&mut self, from: PeerAddress, lane: Lane, queue: &Arc<FrameQueue>) {
        queue.close();
        if self.accepted.get(&(from, lane)).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            self.accepted.remove(&(from, lane));
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        for queue in self.accepted.values() {
            queue.close();
        }
    }
}

/// Hands the frames of a message to the machines they are for.
fn deliver(from: NodeId, frames: Vec<message::Frame>) {
    crate::host::with(|host| {
        let now = host.now();
        for frame in frames {
            let (target, source) = match quorate_proto::verify_frame(&frame) {
                Ok(checked) => checked,
                Err(error) => {
                    tracing::warn!(node = %from, %error, "a damaged frame is ignored");
                    host.shared.metrics.frames_damaged.inc();
                    continue;
                }
            };
            host.shared.metrics.frames_received.inc();
            let target = MachineId(target);
            let from = PeerAddress { node: from, machine: MachineId(source) };
            let input = Input::Peer { from, frame: frame.payload };
            if target == host.id || (target == MachineId::ANY_WORKER && host.id != MachineId::CONTROL) {
                host.input_at(now, input);
                continue;
            }
            // Control accepts no connections, so that 'any worker' there is an answer gone astray: the first will do.
            let target = if target == MachineId::ANY_WORKER { MachineId::worker(0) } else { target };
            let taken = host.shared.mailbox(target).is_some_and(|mailbox| mailbox.offer(input));
            if !taken {
                host.shared.metrics.frames_dropped.inc();
            }
        }
        host.ask_for_sync();
    });
}
