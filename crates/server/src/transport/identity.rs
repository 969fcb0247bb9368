//! Who this node is, and whom it talks to.

use bytes::Bytes;
use quorate_model::{ClusterId, NodeId};
use quorate_node::{Lane, MachineId};
use quorate_proto::INTERNODE_PROTOCOL_VERSION;
use quorate_proto::internode::v1::refusal::Reason;
use quorate_proto::internode::v1::{Batch, Hello, Refusal};

use crate::transport::lane_to_message;

/// Gives the cluster's identity once the node belongs to one.
pub(crate) type ClusterIdOf = Box<dyn Fn() -> Option<ClusterId> + Send + Sync>;

/// What a node says of itself, and expects of others.
pub(crate) struct Identity {
    pub(crate) cluster_name: String,
    pub(crate) cluster_id: ClusterIdOf,
    pub(crate) node_id: NodeId,
    pub(crate) address: String,
}

/// A peer that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) machine: MachineId,
    pub(crate) lane: Lane,
    /// Where it says that it listens.
    pub(crate) address: String,
}

impl Identity {
    /// The first message of a stream.
    pub(crate) fn hello(&self, machine: MachineId, lane: Lane) -> Batch {
        let hello = Hello {
            protocol_version: INTERNODE_PROTOCOL_VERSION,
            cluster_name: self.cluster_name.clone(),
            cluster_id: (self.cluster_id)().map(|id| Bytes::copy_from_slice(&id.0)).unwrap_or_default(),
            node_id: Bytes::copy_from_slice(&self.node_id.0),
            machine: machine.0.into(),
            lane: lane_to_message(lane) as i32,
            internode_address: self.address.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Batch { hello: Some(hello), ..Batch::default() }
    }

    /// Whether to talk with whoever said this. The reason names what was expected and what was found.
    pub(crate) fn check(&self, hello: &Hello) -> Result<Peer, Refusal> {
        let refuse = |reason: Reason, message: String| Refusal { reason: reason as i32, message };
        if hello.protocol_version != INTERNODE_PROTOCOL_VERSION {
            return Err(refuse(
                Reason::ProtocolVersion,
                format!(
                    "node {} ({}) speaks version {INTERNODE_PROTOCOL_VERSION} of the internode protocol, not {} (as \
                     release {} does)",
                    self.node_id, self.address, hello.protocol_version, hello.release
                ),
            ));
        }
        if hello.cluster_name != self.cluster_name {
            return Err(refuse(
                Reason::ClusterName,
                format!(
                    "node {} ({}) belongs to the cluster named '{}', not '{}'",
                    self.node_id, self.address, self.cluster_name, hello.cluster_name
                ),
            ));
        }
        let malformed = |what: &str| refuse(Reason::Malformed, format!("its hello has a malformed {what}"));
        if let (Some(own), false) = ((self.cluster_id)(), hello.cluster_id.is_empty()) {
            let theirs = <[u8; 16]>::try_from(hello.cluster_id.as_ref()).map_err(|_| malformed("cluster id"))?;
            if own.0 != theirs {
                return Err(refuse(
                    Reason::ClusterId,
                    format!(
                        "node {} ({}) belongs to the cluster {own}, not {}: two clusters have the name '{}'",
                        self.node_id,
                        self.address,
                        ClusterId(theirs),
                        self.cluster_name
                    ),
                ));
            }
        }
        let node = <[u8; 16]>::try_from(hello.node_id.as_ref()).map_err(|_| malformed("node id"))?;
        if node == self.node_id.0 {
            return Err(refuse(Reason::Self_, format!("{} is this node itself", self.address)));
        }
        let machine = u16::try_from(hello.machine).map_err(|_| malformed("machine"))?;
        let lane = quorate_proto::hello_lane(hello.lane).map_err(|_| malformed("lane"))?;
        Ok(Peer {
            node: NodeId(node),
            machine: MachineId(machine),
            lane: crate::transport::lane_from_message(lane),
            address: hello.internode_address.clone(),
        })
    }
}
