//! Binary form of the topology, for the metadata log.
//!
//! ```text
//! node     := id[16] address:string cql_port:varint grpc_port:varint datacenter:string rack:string
//!             count:varint { token:i64 }* state:u8
//! topology := epoch:varint count:varint { node }* movement:u8 [ node-id[16] phase:u8 ]
//! ```

use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{Epoch, NodeId, Token};

use crate::topology::{Movement, MovementPhase, NodeEntry, NodeState, Topology};

const NODE_BYTES_MIN: usize = 16 + 7;

impl Wire for NodeEntry {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.id.0);
        out.string(&self.address);
        out.varint(u64::from(self.cql_port));
        out.varint(u64::from(self.grpc_port));
        out.string(&self.datacenter);
        out.string(&self.rack);
        out.varint(self.tokens.len() as u64);
        for token in &self.tokens {
            out.i64(token.0);
        }
        out.u8(match self.state {
            NodeState::Joining => 0,
            NodeState::Normal => 1,
            NodeState::Leaving => 2,
        });
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let id = NodeId(input.id("node")?);
        let address = input.string("node's address")?;
        let cql_port = port(input)?;
        let grpc_port = port(input)?;
        let datacenter = input.string("node's data centre")?;
        let rack = input.string("node's rack")?;
        let count = input.count(8, "node's tokens")?;
        let tokens = (0..count).map(|_| input.i64("node's token").map(Token)).collect::<Result<Vec<_>, _>>()?;
        if !tokens.is_sorted_by(|a, b| a < b) {
            return Err(input.error("node's tokens", "not in ascending order"));
        }
        let state = match input.u8("node's state")? {
            0 => NodeState::Joining,
            1 => NodeState::Normal,
            2 => NodeState::Leaving,
            _ => return Err(input.error("node's state", "an unknown state")),
        };
        Ok(Self { id, address, cql_port, grpc_port, datacenter, rack, tokens, state })
    }
}

fn port(input: &mut Reader) -> Result<u16, WireError> {
    let value = input.varint("port")?;
    u16::try_from(value).map_err(|_| input.error("port", "greater than 65535"))
}

impl Wire for Topology {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.epoch.0);
        out.varint(self.nodes.len() as u64);
        for node in self.nodes.values() {
            node.encode(out);
        }
        match &self.movement {
            None => out.u8(0),
            Some(Movement::Joining { node, phase }) => {
                out.u8(1);
                out.raw(&node.0);
                out.u8(match phase {
                    MovementPhase::WriteBoth => 0,
                    MovementPhase::ReadNew => 1,
                });
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let epoch = Epoch(input.varint("topology's epoch")?);
        let count = input.count(NODE_BYTES_MIN, "nodes")?;
        let mut nodes = std::collections::BTreeMap::new();
        for _ in 0..count {
            let node = NodeEntry::decode(input)?;
            if nodes.insert(node.id, node).is_some() {
                return Err(input.error("nodes", "a node that is there twice"));
            }
        }
        let movement = match input.u8("movement")? {
            0 => None,
            1 => {
                let node = NodeId(input.id("moving node")?);
                let phase = match input.u8("movement's phase")? {
                    0 => MovementPhase::WriteBoth,
                    1 => MovementPhase::ReadNew,
                    _ => return Err(input.error("movement's phase", "an unknown phase")),
                };
                Some(Movement::Joining { node, phase })
            }
            _ => return Err(input.error("movement", "an unknown kind")),
        };
        Ok(Self { epoch, nodes, movement })
    }
}
