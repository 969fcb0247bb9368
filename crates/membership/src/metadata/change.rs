//! The changes that the metadata log consists of.

use std::fmt;

use quorate_model::schema::{Keyspace, Table, UserType};
use quorate_model::{ClusterId, Epoch, NodeId, TableId, Timestamp};
use quorate_ring::NodeEntry;

/// One change of the cluster's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first entry of every log: the cluster, its name and its first node, which is also the only metadata member.
    Found {
        /// The cluster's identity.
        cluster: ClusterId,
        /// The cluster's name.
        name: String,
        /// The founder.
        first: NodeEntry,
    },
    /// A node begins to join: writes of its ranges go to it too.
    JoinPrepare(NodeEntry),
    /// The joining node has copied its ranges: reads of them go to it.
    JoinReadNew(NodeId),
    /// The join is over: whoever the node displaced no longer takes part.
    JoinFinish(NodeId),
    /// The join is given up: the node disappears.
    JoinAbort(NodeId),
    /// Who decides the following entries.
    SetMembers(Vec<NodeId>),
    /// A node listens elsewhere from now on.
    UpdateNode {
        /// The node.
        node: NodeId,
        /// Its internode address, `IP:PORT`.
        address: String,
        /// The port of its CQL front.
        cql_port: u16,
        /// The port of its gRPC front.
        grpc_port: u16,
    },
    /// Creates a keyspace, or changes its options. Its tables and types stay as they are; those in the change do not
    /// count.
    PutKeyspace(Keyspace),
    /// Drops a keyspace with its tables.
    DropKeyspace(String),
    /// Creates a table, or changes the one with the same identity.
    PutTable(Table),
    /// Drops a table.
    DropTable {
        /// Its keyspace.
        keyspace: String,
        /// Its name.
        name: String,
    },
    /// Everything in the table that was written up to this timestamp is gone.
    Truncate {
        /// The table.
        table: TableId,
        /// The timestamp, inclusive.
        up_to: Timestamp,
    },
    /// Creates a user type, or changes the one with this name, and with it all columns that have it.
    PutType(UserType),
    /// Drops a user type that nothing uses.
    DropType {
        /// Its keyspace.
        keyspace: String,
        /// Its name.
        name: String,
    },
}

/// Names a proposal, so that its author recognises it whoever completes it. Drawn at random, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u128);

impl fmt::Debug for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProposalId({:032x})", self.0)
    }
}

/// A change with its author's name for it: what a slot is decided to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name.
    pub id: ProposalId,
    /// The change.
    pub change: Change,
}

/// A decided slot of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The slot: the epoch of the cluster once this is applied.
    pub epoch: Epoch,
    /// What was decided.
    pub proposal: Proposal,
}

/// Why a decided change has no effect. The same on every node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Rejection {
    #[error("the cluster is founded already")]
    AlreadyFounded,
    #[error("the cluster is not founded yet")]
    NotFounded,
    #[error("node {node} is joining; one movement at a time")]
    AlreadyMoving { node: NodeId },
    #[error("node {node} is a member of the cluster already")]
    NodeExists { node: NodeId },
    #[error("no node {node} in this cluster")]
    UnknownNode { node: NodeId },
    #[error("node {node} is not in the phase of its join that this step follows")]
    WrongPhase { node: NodeId },
    #[error("address {address} belongs to node {owner}, which is still a member")]
    AddressInUse { address: String, owner: NodeId },
    #[error("the tokens of node {node} are none, too many, unordered or in use")]
    BadTokens { node: NodeId },
    #[error("a name is empty or longer than {max} bytes")]
    BadName { max: usize },
    #[error("metadata members must be 1 to {max} distinct nodes that have joined")]
    BadMembers { max: usize },
    #[error("no keyspace '{keyspace}'")]
    UnknownKeyspace { keyspace: String },
    #[error("no user type '{keyspace}.{name}'")]
    UnknownType { keyspace: String, name: String },
    #[error("the user type '{keyspace}.{name}' is in use")]
    TypeInUse { keyspace: String, name: String },
    #[error("no such table")]
    UnknownTable,
    #[error("'{keyspace}.{table}' is another table with that name or identity")]
    TableConflict { keyspace: String, table: String },
    #[error("the identity {table} was that of a table that was dropped; no other can have it")]
    TableDropped { table: TableId },
}
