//! Binary forms of changes, entries and of the whole state. A new kind of change gets a new number; numbers and forms
//! are never reused, for logs live as long as clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_model::schema::{Keyspace, Schema, Table, UserType};
use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{ClusterId, Epoch, NodeId, TableId, Timestamp};
use quorate_ring::{NodeEntry, Topology};

use super::{Change, ClusterMetadata, Entry, Proposal, ProposalId};

impl Wire for Change {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Found { cluster, name, first } => {
                out.u8(0);
                out.raw(&cluster.0);
                out.string(name);
                first.encode(out);
            }
            Self::JoinPrepare(node) => {
                out.u8(1);
                node.encode(out);
            }
            Self::JoinReadNew(node) => {
                out.u8(2);
                out.raw(&node.0);
            }
            Self::JoinFinish(node) => {
                out.u8(3);
                out.raw(&node.0);
            }
            Self::JoinAbort(node) => {
                out.u8(4);
                out.raw(&node.0);
            }
            Self::SetMembers(members) => {
                out.u8(5);
                encode_nodes(members, out);
            }
            Self::UpdateNode { node, address, cql_port, grpc_port } => {
                out.u8(6);
                out.raw(&node.0);
                out.string(address);
                out.varint(u64::from(*cql_port));
                out.varint(u64::from(*grpc_port));
            }
            Self::PutKeyspace(keyspace) => {
                out.u8(7);
                // Tables and types have their own entries, so that an entry stays small.
                Keyspace { tables: BTreeMap::new(), types: BTreeMap::new(), ..keyspace.clone() }.encode(out);
            }
            Self::DropKeyspace(name) => {
                out.u8(8);
                out.string(name);
            }
            Self::PutTable(table) => {
                out.u8(9);
                table.encode(out);
            }
            Self::DropTable { keyspace, name } => {
                out.u8(10);
                out.string(keyspace);
                out.string(name);
            }
            Self::Truncate { table, up_to } => {
                out.u8(11);
                out.raw(&table.0);
                out.i64(up_to.0);
            }
            Self::PutType(user_type) => {
                out.u8(12);
                user_type.encode(out);
            }
            Self::DropType { keyspace, name } => {
                out.u8(13);
                out.string(keyspace);
                out.string(name);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(match input.u8("change")? {
            0 => Self::Found {
                cluster: ClusterId(input.id("cluster")?),
                name: input.string("cluster's name")?,
                first: NodeEntry::decode(input)?,
            },
            1 => Self::JoinPrepare(NodeEntry::decode(input)?),
            2 => Self::JoinReadNew(NodeId(input.id("node")?)),
            3 => Self::JoinFinish(NodeId(input.id("node")?)),
            4 => Self::JoinAbort(NodeId(input.id("node")?)),
            5 => Self::SetMembers(decode_nodes(input)?),
            6 => Self::UpdateNode {
                node: NodeId(input.id("node")?),
                address: input.string("node's address")?,
                cql_port: decode_port(input)?,
                grpc_port: decode_port(input)?,
            },
            7 => Self::PutKeyspace(Keyspace::decode(input)?),
            8 => Self::DropKeyspace(input.string("keyspace")?),
            9 => Self::PutTable(Table::decode(input)?),
            10 => Self::DropTable { keyspace: input.string("keyspace")?, name: input.string("table")? },
            11 => Self::Truncate { table: TableId(input.id("table")?), up_to: Timestamp(input.i64("timestamp")?) },
            12 => Self::PutType(UserType::decode(input)?),
            13 => Self::DropType { keyspace: input.string("keyspace")?, name: input.string("user type")? },
            _ => return Err(input.error("change", "an unknown kind; the log was written by a later version")),
        })
    }
}

fn decode_port(input: &mut Reader) -> Result<u16, WireError> {
    let value = input.varint("port")?;
    u16::try_from(value).map_err(|_| input.error("port", "greater than 65535"))
}

fn encode_nodes(nodes: &[NodeId], out: &mut Writer) {
    out.varint(nodes.len() as u64);
    for node in nodes {
        out.raw(&node.0);
    }
}

fn decode_nodes(input: &mut Reader) -> Result<Vec<NodeId>, WireError> {
    let count = input.count(16, "nodes")?;
    (0..count).map(|_| input.id("node").map(NodeId)).collect()
}

impl Wire for Proposal {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.id.0.to_be_bytes());
        self.change.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let id = ProposalId(u128::from_be_bytes(input.id("proposal")?));
        Ok(Self { id, change: Change::decode(input)? })
    }
}

impl Wire for Entry {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.epoch.0);
        self.proposal.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { epoch: Epoch(input.varint("epoch")?), proposal: Proposal::decode(input)? })
    }
}

impl Wire for ClusterMetadata {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.cluster.0);
        out.string(&self.name);
        out.varint(self.epoch.0);
        self.schema.as_ref().encode(out);
        self.topology.as_ref().encode(out);
        encode_nodes(&self.members, out);
        out.varint(self.truncations.len() as u64);
        for (table, up_to) in &self.truncations {
            out.raw(&table.0);
            out.i64(up_to.0);
        }
        out.varint(self.dropped.len() as u64);
        self.dropped.iter().for_each(|table| out.raw(&table.0));
        out.varint(self.placement_epoch.0);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let cluster = ClusterId(input.id("cluster")?);
        let name = input.string("cluster's name")?;
        let epoch = Epoch(input.varint("epoch")?);
        let schema = Arc::new(Schema::decode(input)?);
        let topology = Arc::new(Topology::decode(input)?);
        let members = decode_nodes(input)?;
        let mut truncations = BTreeMap::new();
        for _ in 0..input.count(24, "truncations")? {
            let table = TableId(input.id("table")?);
            truncations.insert(table, Timestamp(input.i64("timestamp")?));
        }
        let mut dropped = BTreeSet::new();
        for _ in 0..input.count(16, "dropped tables")? {
            dropped.insert(TableId(input.id("table")?));
        }
        let placement_epoch = Epoch(input.varint("placement epoch")?);
        Ok(Self { cluster, name, epoch, schema, topology, members, truncations, dropped, placement_epoch })
    }
}
