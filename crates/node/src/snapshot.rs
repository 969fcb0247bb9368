//! One consistent view of the cluster, shared by all machines of a node until the next one is published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_coordinator::{PlanInput, ReplicaPlan, ReplicaView, ReplicationFactors, SpeculativeRetry};
use quorate_membership::metadata::ClusterMetadata;
use quorate_model::request::RequestError;
use quorate_model::schema::{Replication, Table};
use quorate_model::{Epoch, NodeId, TableId, Timestamp, Token};
use quorate_ring::{Placements, Ring};

/// Schema, ring and liveness at one moment. Immutable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Everything that the metadata log says.
    pub metadata: Arc<ClusterMetadata>,
    /// Placements of all keyspaces.
    pub ring: Ring,
    /// Nodes to which requests are sent, this one included.
    pub reachable: Arc<BTreeSet<NodeId>>,
    tables: Arc<BTreeMap<TableId, TablePlacement>>,
    local_datacenter: Arc<str>,
    places: Arc<BTreeMap<NodeId, Place>>,
}

/// A node's data centre and rack.
type Place = (Arc<str>, Arc<str>);

/// What is needed to place a table's partitions.
#[derive(Clone, Debug)]
pub struct TablePlacement {
    /// The table.
    pub table: Arc<Table>,
    /// Who keeps what of its keyspace.
    pub placements: Arc<Placements>,
    /// How many copies are wanted.
    pub factors: Arc<ReplicationFactors>,
    /// When reads ask one replica more.
    pub speculative_retry: Option<SpeculativeRetry>,
}

impl Snapshot {
    /// The view that follows from the metadata log and the nodes that can be reached.
    pub fn new(metadata: Arc<ClusterMetadata>, local: NodeId, reachable: BTreeSet<NodeId>) -> Self {
        let ring = Ring::for_schema(Arc::clone(&metadata.topology), local, &metadata.schema);
        let mut tables = BTreeMap::new();
        for keyspace in metadata.schema.keyspaces.values() {
            let placements = ring.placements(&keyspace.replication);
            let factors = Arc::new(replication_factors(&keyspace.replication));
            for table in keyspace.tables.values() {
                let (placements, factors) = (Arc::clone(&placements), Arc::clone(&factors));
                let speculative_retry = SpeculativeRetry::parse(&table.options.speculative_retry);
                let table = Arc::clone(table);
                tables.insert(table.id, TablePlacement { table, placements, factors, speculative_retry });
            }
        }
        let names = metadata.topology.nodes.values();
        let names: BTreeMap<NodeId, Place> =
            names.map(|node| (node.id, (Arc::from(&*node.datacenter), Arc::from(&*node.rack)))).collect();
        let local_datacenter =
            names.get(&local).map_or_else(|| Arc::from(""), |(datacenter, _)| Arc::clone(datacenter));
        Self {
            metadata,
            ring,
            reachable: Arc::new(reachable),
            tables: Arc::new(tables),
            local_datacenter,
            places: Arc::new(names),
        }
    }

    /// The same cluster with other nodes reachable.
    pub fn with_reachable(&self, reachable: BTreeSet<NodeId>) -> Self {
        Self { reachable: Arc::new(reachable), ..self.clone() }
    }

    /// Entries of the metadata log applied.
    pub fn epoch(&self) -> Epoch {
        self.metadata.epoch
    }

    /// Number of nodes that are held to be alive.
    pub fn alive_count(&self) -> usize {
        self.reachable.len()
    }

    /// The table with its placements; `None` if it does not exist (any more).
    pub fn table(&self, table: TableId) -> Option<&TablePlacement> {
        self.tables.get(&table)
    }

    /// A node's address as people know it, for traces and messages.
    pub fn name_of(&self, node: NodeId) -> String {
        self.metadata.topology.node(node).map_or_else(|| node.to_string(), |entry| entry.ip().to_owned())
    }

    /// Up to where a table is truncated.
    pub fn truncated_up_to(&self, table: TableId) -> Option<Timestamp> {
        self.metadata.truncations.get(&table).copied()
    }

    /// The replicas of a token of a table, as a coordinator needs them. `latency_us` tells a node's recent latency.
    pub fn plan(
        &self,
        table: &TablePlacement,
        token: Token,
        latency_us: impl Fn(NodeId) -> u64,
    ) -> Result<ReplicaPlan, RequestError> {
        self.plan_set(table, table.placements.replicas(token), latency_us)
    }

    /// The same for a replica set at hand.
    pub fn plan_set(
        &self,
        table: &TablePlacement,
        set: &quorate_ring::ReplicaSet,
        latency_us: impl Fn(NodeId) -> u64,
    ) -> Result<ReplicaPlan, RequestError> {
        let input = PlanInput {
            epoch: self.epoch(),
            factors: Arc::clone(&table.factors),
            local_datacenter: Arc::clone(&self.local_datacenter),
            current: &set.current,
            next: set.next.as_deref(),
            read_from_next: set.read_from_next,
        };
        ReplicaPlan::new(input, |node| self.view(node, &latency_us))
    }

    fn view(&self, node: NodeId, latency_us: &impl Fn(NodeId) -> u64) -> ReplicaView {
        let (datacenter, rack) = match self.places.get(&node) {
            Some((datacenter, rack)) => (Arc::clone(datacenter), Arc::clone(rack)),
            None => (Arc::from(""), Arc::from("")),
        };
        let is_local = node == self.ring.local();
        let alive = is_local || self.reachable.contains(&node);
        ReplicaView { node, datacenter, rack, alive, is_local, latency_us: latency_us(node) }
    }
}

fn replication_factors(replication: &Replication) -> ReplicationFactors {
    match replication {
        Replication::Local => ReplicationFactors::simple(1),
        Replication::Simple { factor } => ReplicationFactors::simple(*factor),
        Replication::NetworkTopology { factors } => {
            ReplicationFactors::network(factors.iter().map(|(name, factor)| (Arc::from(&**name), *factor)).collect())
        }
    }
}
