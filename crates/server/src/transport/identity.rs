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

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u128, cluster_id: Option<ClusterId>) -> Identity {
        Identity {
            cluster_name: "c".to_owned(),
            cluster_id: Box::new(move || cluster_id),
            node_id: NodeId::from_u128(number),
            address: format!("10.0.0.{number}:7000"),
        }
    }

    fn hello(number: u128) -> Hello {
        identity(number, None).hello(MachineId::worker(1), Lane::Large).hello.unwrap()
    }

    #[test]
    fn a_peer_is_known_by_its_hello() {
        let peer = identity(1, Some(ClusterId::from_u128(9))).check(&hello(2)).unwrap();
        assert_eq!((peer.node, peer.machine, peer.lane), (NodeId::from_u128(2), MachineId::worker(1), Lane::Large));
        assert_eq!(peer.address, "10.0.0.2:7000");
    }

    #[test]
    fn another_protocol_version_is_refused_with_both_versions() {
        let newer = Hello { protocol_version: INTERNODE_PROTOCOL_VERSION + 1, release: "9.9".to_owned(), ..hello(2) };
        let refusal = identity(1, None).check(&newer).unwrap_err();
        assert_eq!(refusal.reason, Reason::ProtocolVersion as i32);
        assert!(refusal.message.contains("version 1") && refusal.message.contains("not 2"), "{}", refusal.message);
        assert!(refusal.message.contains("9.9"), "{}", refusal.message);
    }

    #[test]
    fn what_is_malformed_or_oneself_is_refused() {
        let own = identity(1, Some(ClusterId::from_u128(9)));
        let reason = |hello: &Hello| own.check(hello).unwrap_err().reason;
        assert_eq!(reason(&hello(1)), Reason::Self_ as i32);
        let short = Bytes::from_static(b"short");
        assert_eq!(reason(&Hello { node_id: short.clone(), ..hello(2) }), Reason::Malformed as i32);
        assert_eq!(reason(&Hello { cluster_id: short, ..hello(2) }), Reason::Malformed as i32);
        assert_eq!(reason(&Hello { machine: 70_000, ..hello(2) }), Reason::Malformed as i32);
        assert_eq!(reason(&Hello { lane: 99, ..hello(2) }), Reason::Malformed as i32);
    }
}
