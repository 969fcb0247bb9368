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
        let schema = &self.snapshot.metadata.schema;
        let partitioner = quorate_ring::partitioner::token;
        let partitions = system_tables::virtual_partitions(table, schema, &self.facts(), partitioner)?;
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
        let local = metadata.topology.node(me).map(node_fact).unwrap_or_else(|| NodeFact {
            host_id: me,
            address: ip(&config.address),
            storage_port: limits::INTERNODE_PORT,
            native_address: ip(&config.address),
            native_port: config.cql_port,
            datacenter: config.datacenter.clone(),
            rack: config.rack.clone(),
            tokens: Vec::new(),
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
            peers: metadata.topology.nodes.values().filter(|node| node.id != me).map(node_fact).collect(),
        }
    }
}

/// Where a node can be reached: address and internode port.
pub(super) fn address_of(_shared: &Shared, snapshot: &Snapshot, node: NodeId) -> (IpAddr, u16) {
    let found = snapshot.metadata.topology.node(node).map(node_fact);
    found.map_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), limits::INTERNODE_PORT), |fact| (fact.address, fact.storage_port))
}

fn node_fact(node: &NodeEntry) -> NodeFact {
    let port = node.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    NodeFact {
        host_id: node.id,
        address: ip(&node.address),
        storage_port: port.unwrap_or(limits::INTERNODE_PORT),
        native_address: ip(&node.address),
        native_port: node.cql_port,
        datacenter: node.datacenter.clone(),
        rack: node.rack.clone(),
        tokens: node.tokens.clone(),
    }
}

/// The IP of `IP:PORT`. A name has none here; tools see the unspecified address then.
fn ip(address: &str) -> IpAddr {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
