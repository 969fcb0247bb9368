//! Reads of the system's own tables, which are made from the snapshot and never stored.

use std::net::{IpAddr, Ipv4Addr};

use quorate_coordinator::Continuation;
use quorate_cql::system_tables::{self, NodeFact, NodeFacts};
use quorate_model::read::apply_limits;
use quorate_model::schema::Table;
use quorate_model::{NodeId, ReadCommand, ReadResponse};
use quorate_ring::NodeEntry;

use super::Worker;
use crate::limits;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// The Cassandra version whose behaviour is offered.
const RELEASE_VERSION: &str = "5.0.6";
const CQL_VERSION: &str = "3.4.7";
const NATIVE_PROTOCOL_VERSION: &str = "5";

impl Worker {
    /// The answer to a read of a system table; `None` if the table is an ordinary one.
    pub(super) fn read_virtual(
        &self,
        table: &Table,
        command: &ReadCommand,
        resume: Option<&Continuation>,
    ) -> Option<ReadResponse> {
        if !system_tables::is_system_table(table) || self.snapshot.table(table.id).is_some() {
            // An ordinary one, or one of the system's that is stored.
            return None;
        }
        let partitions = match self.view(table) {
            Some(partitions) => partitions,
            None => {
                let schema = &self.snapshot.metadata.schema;
                let partitioner = quorate_ring::partitioner::token;
                system_tables::virtual_partitions(table, schema, &self.facts(), partitioner)?
            }
        };
        let mut found = system_tables::read_virtual(command, &partitions);
        if let Some(Continuation { place, .. }) = resume {
            found.retain(|(key, _)| *key > place.key || (*key == place.key && place.position.is_some()));
            if let Some((_, partition)) = found.first_mut().filter(|(key, _)| *key == place.key) {
                partition.restrict(&command.slices_from(place));
            }
        }
        Some(apply_limits(found, command))
    }

    /// What this node knows of itself and the others, as the system tables show it.
    pub(super) fn facts(&self) -> NodeFacts {
        let metadata = &self.snapshot.metadata;
        let me = self.shared.id;
        let config = &self.shared.config;
        let local = metadata.topology.node(me).and_then(|node| self.node_fact(node)).unwrap_or_else(|| NodeFact {
            host_id: me,
            address: known(self.shared.ip_of(&config.address)),
            storage_port: limits::INTERNODE_PORT,
            native_address: known(self.shared.ip_of(&config.address)),
            native_port: config.cql_port,
            datacenter: config.datacenter.clone(),
            rack: config.rack.clone(),
            tokens: metadata.topology.node(me).map(|node| node.tokens.clone()).unwrap_or_default(),
        });
        NodeFacts {
            cluster_name: config.cluster_name.clone(),
            release_version: RELEASE_VERSION.to_owned(),
            cql_version: CQL_VERSION.to_owned(),
            native_protocol_version: NATIVE_PROTOCOL_VERSION.to_owned(),
            partitioner: "org.apache.cassandra.dht.Murmur3Partitioner".to_owned(),
            snitch: "SimpleSnitch".to_owned(),
            schema_version: quorate_model::NodeId::from_u128(u128::from(metadata.schema.epoch.0)).0,
            gossip_generation: 0,
            local,
            // A driver cannot connect to one whose address is not known: it is left out until it is.
            peers: metadata
                .topology
                .nodes
                .values()
                .filter(|node| node.id != me)
                .filter_map(|node| self.node_fact(node))
                .collect(),
        }
    }

    /// A node as the system tables show it; none if its address is a name that cannot be resolved.
    pub(super) fn node_fact(&self, node: &NodeEntry) -> Option<NodeFact> {
        node_fact(&self.shared, node)
    }
}

fn known(address: Option<IpAddr>) -> IpAddr {
    address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Where a node can be reached: address and internode port.
pub(super) fn address_of(shared: &Shared, snapshot: &Snapshot, node: NodeId) -> (IpAddr, u16) {
    let found = snapshot.metadata.topology.node(node).and_then(|node| node_fact(shared, node));
    found.map_or((known(None), limits::INTERNODE_PORT), |fact| (fact.address, fact.storage_port))
}

fn node_fact(shared: &Shared, node: &NodeEntry) -> Option<NodeFact> {
    let address = shared.ip_of(&node.address)?;
    let port = node.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Some(NodeFact {
        host_id: node.id,
        address,
        storage_port: port.unwrap_or(limits::INTERNODE_PORT),
        native_address: address,
        native_port: node.cql_port,
        datacenter: node.datacenter.clone(),
        rack: node.rack.clone(),
        tokens: node.tokens.clone(),
    })
}
