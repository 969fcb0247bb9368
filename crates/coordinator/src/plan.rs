//! What the coordinator is told of the replicas of one partition or range: a snapshot, made for one request.

use std::sync::Arc;

use quorate_model::request::RequestError;
use quorate_model::{Epoch, NodeId};

use crate::latency::Proximity;
use crate::limits;

/// A replica as the coordinating node sees it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Who it is.
    pub node: NodeId,
    /// Its data centre.
    pub datacenter: Arc<str>,
    /// Its rack.
    pub rack: Arc<str>,
    /// Whether requests may be sent to it.
    pub alive: bool,
    /// Whether it is the coordinating node itself.
    pub is_local: bool,
    /// How long it took to answer lately, in microseconds; 0 if nothing is known.
    pub latency_us: u64,
}

/// How many copies are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReplicationFactors {
    /// Over all data centres.
    pub total: u32,
    /// By data centre; empty if the strategy knows none (`SimpleStrategy`).
    pub by_datacenter: Vec<(Arc<str>, u32)>,
}

impl ReplicationFactors {
    /// So many copies, wherever they are.
    pub fn simple(total: u32) -> Self {
        Self { total, by_datacenter: Vec::new() }
    }

    /// So many copies in each data centre.
    pub fn network(by_datacenter: Vec<(Arc<str>, u32)>) -> Self {
        let total = by_datacenter.iter().map(|(_, factor)| factor).sum();
        Self { total, by_datacenter }
    }

    /// Copies wanted in this data centre; `None` if the strategy does not distinguish them.
    pub fn of(&self, datacenter: &str) -> Option<u32> {
        if self.by_datacenter.is_empty() {
            return None;
        }
        Some(self.by_datacenter.iter().find(|(name, _)| &**name == datacenter).map_or(0, |(_, factor)| *factor))
    }
}

/// A set of a plan's replicas, by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct ReplicaMask(u64);

impl ReplicaMask {
    /// No replica.
    pub const EMPTY: Self = Self(0);

    /// This replica alone.
    pub fn one(index: usize) -> Self {
        assert!(index < limits::REPLICAS_MAX, "replica index {index}");
        Self(1 << index)
    }

    /// Adds one.
    pub fn insert(&mut self, index: usize) {
        self.0 |= Self::one(index).0;
    }

    /// Takes one out; says whether it was there.
    pub fn remove(&mut self, index: usize) -> bool {
        let was = self.contains(index);
        self.0 &= !Self::one(index).0;
        was
    }

    /// Whether it is in the set.
    pub fn contains(self, index: usize) -> bool {
        self.0 & Self::one(index).0 != 0
    }

    /// Number of replicas.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those not in the other.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Indexes, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = rest.trailing_zeros() as usize;
            (rest != 0).then(|| {
                rest &= rest - 1;
                index
            })
        })
    }
}

impl FromIterator<usize> for ReplicaMask {
    fn from_iter<I: IntoIterator<Item = usize>>(indexes: I) -> Self {
        let mut mask = Self::EMPTY;
        indexes.into_iter().for_each(|index| mask.insert(index));
        mask
    }
}

/// The replicas of one partition or range, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaPlan {
    epoch: Epoch,
    factors: Arc<ReplicationFactors>,
    local_datacenter: Arc<str>,
    replicas: Vec<ReplicaView>,
    current: ReplicaMask,
    next: Option<ReplicaMask>,
    read_from_next: bool,
}

/// What a plan is made of; the node fills it from its ring snapshot.
pub struct PlanInput<'a> {
    /// The epoch of that snapshot.
    pub epoch: Epoch,
    /// The keyspace's replication factors.
    pub factors: Arc<ReplicationFactors>,
    /// The coordinating node's data centre.
    pub local_datacenter: Arc<str>,
    /// Owners.
    pub current: &'a [NodeId],
    /// Owners after the move that is under way, if there is one.
    pub next: Option<&'a [NodeId]>,
    /// Whether reads go to the new owners already.
    pub read_from_next: bool,
}

impl ReplicaPlan {
    /// Makes a plan; `view` tells what is known of a node. Refuses more replicas than [`limits::REPLICAS_MAX`].
    pub fn new(input: PlanInput<'_>, mut view: impl FnMut(NodeId) -> ReplicaView) -> Result<Self, RequestError> {
        let mut replicas: Vec<ReplicaView> = Vec::with_capacity(input.current.len() + 1);
        let mut mask_of = |nodes: &[NodeId]| {
            let mut mask = ReplicaMask::EMPTY;
            for node in nodes {
                let index = match replicas.iter().position(|replica| replica.node == *node) {
                    Some(index) => index,
                    None if replicas.len() == limits::REPLICAS_MAX => {
                        return Err(RequestError::Configuration(format!(
                            "more than {} replicas of one partition",
                            limits::REPLICAS_MAX
                        )));
                    }
                    None => {
                        let seen = view(*node);
                        assert_eq!(seen.node, *node, "the view is of the node that was asked for");
                        replicas.push(seen);
                        replicas.len() - 1
                    }
                };
                mask.insert(index);
            }
            Ok(mask)
        };
        let current = mask_of(input.current)?;
        let next = input.next.map(mask_of).transpose()?;
        Ok(Self {
            epoch: input.epoch,
            factors: input.factors,
            local_datacenter: input.local_datacenter,
            replicas,
            current,
            next,
            read_from_next: input.read_from_next,
        })
    }

    /// The epoch it was made at.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The keyspace's replication factors.
    pub fn factors(&self) -> &ReplicationFactors {
        &self.factors
    }

    /// The coordinating node's data centre.
    pub fn local_datacenter(&self) -> &str {
        &self.local_datacenter
    }

    /// All replicas, each once.
    pub fn replicas(&self) -> &[ReplicaView] {
        &self.replicas
    }

    /// The replica with this index.
    pub fn replica(&self, index: usize) -> &ReplicaView {
        &self.replicas[index]
    }

    /// The index of this node.
    pub fn index_of(&self, node: NodeId) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.node == node)
    }

    /// Owners.
    pub fn current(&self) -> ReplicaMask {
        self.current
    }

    /// Owners after the move that is under way.
    pub fn next(&self) -> Option<ReplicaMask> {
        self.next
    }

    /// All that a write goes to.
    pub fn write_set(&self) -> ReplicaMask {
        self.current.or(self.next.unwrap_or_default())
    }

    /// Those among which every read meets its level ([`Requirement::for_read`](crate::Requirement::for_read) says whether
    /// among others too).
    pub fn read_set(&self) -> ReplicaMask {
        if self.read_from_next { self.next.unwrap_or(self.current) } else { self.current }
    }

    /// The same plan at the step of the move at which reads go to the new owners, or do not.
    pub fn reading_from_next(self, read_from_next: bool) -> Self {
        Self { read_from_next, ..self }
    }

    /// Those that are alive.
    pub fn alive(&self) -> ReplicaMask {
        self.select(|replica| replica.alive)
    }

    /// Those in this data centre.
    pub fn in_datacenter(&self, datacenter: &str) -> ReplicaMask {
        self.select(|replica| &*replica.datacenter == datacenter)
    }

    fn select(&self, wanted: impl Fn(&ReplicaView) -> bool) -> ReplicaMask {
        self.replicas.iter().enumerate().filter(|(_, replica)| wanted(replica)).map(|(index, _)| index).collect()
    }

    /// These replicas, the one to be asked first at the front: the coordinating node itself, then its data centre (its
    /// rack first where latencies are not known), then by latency.
    pub fn by_proximity(&self, mask: ReplicaMask) -> Vec<usize> {
        let local_rack = self.replicas.iter().find(|replica| replica.is_local).map(|replica| Arc::clone(&replica.rack));
        let mut indexes: Vec<usize> = mask.iter().collect();
        indexes.sort_by_key(|index| {
            let replica = self.replica(*index);
            Proximity {
                elsewhere: !replica.is_local,
                other_datacenter: *replica.datacenter != *self.local_datacenter,
                latency_us: replica.latency_us,
                other_rack: local_rack.as_ref() != Some(&replica.rack),
                node: replica.node,
            }
        });
        indexes
    }

    /// Whether both have the same replicas in the same roles, at the same epoch: ranges of which this holds may be read
    /// as one.
    pub fn same_replicas(&self, other: &Self) -> bool {
        let nodes = |plan: &Self, mask: ReplicaMask| {
            let mut nodes: Vec<NodeId> = mask.iter().map(|index| plan.replica(index).node).collect();
            nodes.sort_unstable();
            nodes
        };
        self.epoch == other.epoch
            && self.factors == other.factors
            && nodes(self, self.read_set()) == nodes(other, other.read_set())
            && nodes(self, self.next.unwrap_or_default()) == nodes(other, other.next.unwrap_or_default())
    }
}
