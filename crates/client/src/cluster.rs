//! What a session knows of the cluster, and which nodes it asks in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use quorate_model::admin::{ClusterStatus, NodeState};
use quorate_model::schema::Replication;
use quorate_model::{NodeId, Token};
use quorate_ring::{NodeEntry, Placements, Topology};

use crate::connection::Connection;
use crate::error::Error;
use crate::limits::NODE_AVOIDED;
use crate::tls::Tls;

/// A node, or an address of which no more is known yet, with its connection.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: String,
    tls: Option<Tls>,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    failed_at: Mutex<Option<tokio::time::Instant>>,
}

impl Node {
    fn new(address: String, tls: Option<Tls>) -> Arc<Self> {
        Arc::new(Self { address, tls, connection: tokio::sync::Mutex::new(None), failed_at: Mutex::new(None) })
    }

    /// The open connection, or a new one.
    pub(crate) async fn connect(&self) -> Result<Arc<Connection>, Error> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        *held = None;
        match Connection::open(&self.address, self.tls.as_ref()).await {
            Ok(connection) => {
                self.note_failure(false);
                *held = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(reason) => {
                self.note_failure(true);
                Err(Error::NoNode { tried: vec![(self.address.clone(), reason)] })
            }
        }
    }

    pub(crate) fn note_failure(&self, failed: bool) {
        let at = failed.then(tokio::time::Instant::now);
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn failed_lately(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < NODE_AVOIDED)
    }
}

/// An immutable view of the cluster.
#[derive(Debug, Default)]
struct View {
    status: ClusterStatus,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    up: BTreeSet<NodeId>,
    topology: Topology,
    placements: BTreeMap<String, Arc<Placements>>,
    replication: BTreeMap<String, Replication>,
}

/// The cluster as a session knows it.
#[derive(Debug)]
pub(crate) struct Cluster {
    contacts: Vec<Arc<Node>>,
    tls: Option<Tls>,
    view: RwLock<Arc<View>>,
    turn: AtomicUsize,
}

impl Cluster {
    pub(crate) fn new(contacts: Vec<String>, tls: Option<Tls>) -> Self {
        let contacts = contacts.into_iter().map(|address| Node::new(address, tls.clone())).collect();
        Self { contacts, tls, view: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The nodes as last heard of.
    pub(crate) fn status(&self) -> ClusterStatus {
        self.view().status.clone()
    }

    /// Takes over what a node said of the cluster and of the keyspaces' replication.
    pub(crate) fn update(&self, status: ClusterStatus, replication: BTreeMap<String, Replication>) {
        let old = self.view();
        let mut view = View { replication, ..View::default() };
        for node in &status.nodes {
            let address = with_port(&node.address, node.grpc_port);
            let known = old.nodes.get(&node.id).filter(|known| known.address == address).cloned();
            let contact = || self.contacts.iter().find(|contact| contact.address == address).cloned();
            let shared = known.or_else(contact).unwrap_or_else(|| Node::new(address, self.tls.clone()));
            view.nodes.insert(node.id, shared);
            if node.up {
                view.up.insert(node.id);
            }
        }
        view.topology = topology_of(&status);
        let same_ring = old.topology == view.topology;
        for (keyspace, replication) in &view.replication {
            let unchanged = same_ring && old.replication.get(keyspace) == Some(replication);
            let placements = match old.placements.get(keyspace).filter(|_| unchanged) {
                Some(placements) => Arc::clone(placements),
                None => Arc::new(Placements::compute(&view.topology, replication, NodeId::default())),
            };
            view.placements.insert(keyspace.clone(), placements);
        }
        view.status = status;
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// The nodes to ask, in order: replicas first if it is known who they are, those that are up before others; equals
    /// take turns.
    pub(crate) fn plan(&self, route: Option<(&str, Token)>) -> Vec<Arc<Node>> {
        let view = self.view();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let replicas: &[NodeId] =
            match route.and_then(|(keyspace, token)| Some((view.placements.get(keyspace)?, token))) {
                Some((placements, token)) => placements.replicas(token).read(),
                None => &[],
            };
        let mut plan: Vec<(u8, usize, &Arc<Node>)> = Vec::with_capacity(view.nodes.len());
        for (index, (id, node)) in view.nodes.iter().enumerate() {
            let mut rank = u8::from(!replicas.contains(id));
            if !view.up.contains(id) || node.failed_lately() {
                rank += 2;
            }
            let place = (index + turn) % view.nodes.len().max(1);
            plan.push((rank, place, node));
        }
        plan.sort_by_key(|(rank, place, _)| (*rank, *place));
        let mut nodes: Vec<Arc<Node>> = plan.into_iter().map(|(_, _, node)| Arc::clone(node)).collect();
        // Contact points are all there is before the topology is known, and the last resort when no node answers.
        for contact in &self.contacts {
            if !nodes.iter().any(|node| node.address == contact.address) {
                nodes.push(Arc::clone(contact));
            }
        }
        nodes
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address.
fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Only nodes that own ranges count for routing.
fn topology_of(status: &ClusterStatus) -> Topology {
    let nodes = status
        .nodes
        .iter()
        .filter(|node| node.state != NodeState::Joining)
        .map(|node| {
            let mut tokens = node.tokens.clone();
            tokens.sort_unstable();
            let entry = NodeEntry {
                id: node.id,
                address: node.address.clone(),
                cql_port: node.cql_port,
                grpc_port: node.grpc_port,
                datacenter: node.datacenter.clone(),
                rack: node.rack.clone(),
                tokens,
                state: quorate_ring::NodeState::Normal,
            };
            (node.id, entry)
        })
        .collect();
    Topology { epoch: status.epoch, nodes, movement: None }
}

/// Reads the replication map of `system_schema.keyspaces`.
pub(crate) fn parse_replication(map: &BTreeMap<String, String>) -> Option<Replication> {
    let class = map.get("class")?;
    match class.rsplit('.').next()? {
        "LocalStrategy" => Some(Replication::Local),
        "SimpleStrategy" => Some(Replication::Simple { factor: map.get("replication_factor")?.parse().ok()? }),
        "NetworkTopologyStrategy" => {
            let factors = map
                .iter()
                .filter(|(name, _)| *name != "class")
                .map(|(name, factor)| Some((name.clone(), factor.parse().ok()?)))
                .collect::<Option<_>>()?;
            Some(Replication::NetworkTopology { factors })
        }
        _ => None,
    }
}

/// Turns what a user wrote into `HOST:PORT`.
pub(crate) fn parse_address(address: &str) -> Result<String, Error> {
    let wrong = |reason: &str| Error::Address { address: address.to_owned(), reason: reason.to_owned() };
    let trimmed = address.trim();
    if trimmed.is_empty() {
        return Err(wrong("it is empty"));
    }
    if let Ok(ip) = trimmed.parse::<std::net::IpAddr>() {
        return Ok(with_port(&ip.to_string(), crate::limits::PORT_DEFAULT));
    }
    match trimmed.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => {
            let port: u16 = port.parse().map_err(|_| wrong("what follows the colon is no port"))?;
            Ok(format!("{host}:{port}"))
        }
        Some(_) => Err(wrong("no host stands before the colon")),
        None => Ok(with_port(trimmed, crate::limits::PORT_DEFAULT)),
    }
}

/// Used where a wait must not be endless although nobody set a limit.
pub(crate) fn answer_timeout(timeout_ms: Option<u32>) -> Duration {
    match timeout_ms {
        Some(millis) => Duration::from_millis(millis.into()).saturating_add(crate::limits::ANSWER_GRACE),
        None => crate::limits::ANSWER_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::admin::NodeStatus;

    use super::*;

    fn node(number: u128, tokens: &[i64], up: bool) -> NodeStatus {
        NodeStatus {
            id: NodeId::from_u128(number),
            address: format!("127.0.0.{number}"),
            grpc_port: 9_044,
            cql_port: 9_042,
            datacenter: "dc1".to_owned(),
            rack: "r1".to_owned(),
            up,
            state: NodeState::Normal,
            load_bytes: None,
            owns: None,
            tokens: tokens.iter().map(|token| Token(*token)).collect(),
        }
    }

    fn cluster(nodes: Vec<NodeStatus>) -> Cluster {
        let cluster = Cluster::new(vec!["127.0.0.1:9044".to_owned()], None);
        let status = ClusterStatus { nodes, ..ClusterStatus::default() };
        cluster.update(status, BTreeMap::from([("k".to_owned(), Replication::Simple { factor: 2 })]));
        cluster
    }

    fn addresses(plan: &[Arc<Node>]) -> Vec<&str> {
        plan.iter().map(|node| node.address.as_str()).collect()
    }

    #[test]
    fn replicas_come_first_and_take_turns() {
        let cluster = cluster(vec![node(1, &[0], true), node(2, &[100], true), node(3, &[200], true)]);
        let mut first = BTreeSet::new();
        for _ in 0..10 {
            let plan = cluster.plan(Some(("k", Token(50))));
            assert_eq!(plan.len(), 3);
            assert_eq!(plan[2].address, "127.0.0.1:9044", "who keeps nothing of it is last");
            first.insert(plan[0].address.clone());
        }
        assert_eq!(first.len(), 2, "both replicas are asked");
    }

    #[test]
    fn nodes_that_are_down_come_last() {
        let cluster = cluster(vec![node(1, &[0], true), node(2, &[100], false), node(3, &[200], true)]);
        for _ in 0..5 {
            let plan = cluster.plan(Some(("k", Token(50))));
            assert_eq!(addresses(&plan)[0], "127.0.0.3:9044");
            assert_eq!(addresses(&plan)[2], "127.0.0.2:9044");
        }
        assert_eq!(cluster.plan(Some(("unknown", Token(1)))).len(), 3);
    }

    #[test]
    fn addresses_get_the_port_they_lack() {
        assert_eq!(parse_address("10.0.0.1").unwrap(), "10.0.0.1:9044");
        assert_eq!(parse_address(" db:1 ").unwrap(), "db:1");
        assert_eq!(parse_address("::1").unwrap(), "[::1]:9044");
        assert_eq!(parse_address("[::1]:5").unwrap(), "[::1]:5");
        assert!(parse_address("").is_err() && parse_address("db:x").is_err() && parse_address(":1").is_err());
    }

    #[test]
    fn replication_maps_are_read() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let simple = map(&[("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "3")]);
        assert_eq!(parse_replication(&simple), Some(Replication::Simple { factor: 3 }));
        let network = map(&[("class", "NetworkTopologyStrategy"), ("dc1", "2")]);
        let factors = BTreeMap::from([("dc1".to_owned(), 2)]);
        assert_eq!(parse_replication(&network), Some(Replication::NetworkTopology { factors }));
        assert_eq!(parse_replication(&map(&[("class", "x.EverywhereStrategy")])), None);
    }
}
