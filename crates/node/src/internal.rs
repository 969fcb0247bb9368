//! What the machines of one node say to each other. The driver only carries it.

use quorate_coordinator::message::{EncodedMutation, ReplicaResponse};
use quorate_cql::SchemaStatement;
use quorate_env::Instant;
use quorate_model::admin::AdminRequest;
use quorate_model::request::{Answer, RequestError};
use quorate_model::{Epoch, NodeId, TableId};

use crate::machine::MachineId;

/// A message between machines of one node.
#[derive(Debug)]
pub(crate) enum Message {
    /// To control: change the schema, or truncate a table, and answer with [`Message::Done`].
    Change { worker: MachineId, op: u64, change: SchemaRequest, deadline: Instant },
    /// To control: an operator's verb, answered with [`Message::Done`].
    Admin { worker: MachineId, op: u64, request: AdminRequest },
    /// To control: somebody knows a later epoch than this node.
    Behind { epoch: Epoch, from: NodeId },
    /// To control: hints were stored for a node.
    Hinted { target: NodeId },
    /// To control: every write that a worker admitted before it saw this epoch has been applied or given up.
    Settled { worker: MachineId, epoch: Epoch },
    /// To control: what became of an [`Message::Apply`].
    Applied { token: u64, response: ReplicaResponse },
    /// To a worker: the answer to a client.
    Done { op: u64, result: Result<Answer, RequestError>, warnings: Vec<String> },
    /// To a worker: log and apply this here; answered with [`Message::Applied`].
    Apply { token: u64, mutation: EncodedMutation },
    /// To a worker: a newer snapshot was published.
    SnapshotChanged,
}

/// What a client wants changed in the metadata log.
#[derive(Clone, Debug)]
pub(crate) enum SchemaRequest {
    /// A change of keyspaces or tables.
    Statement(Box<SchemaStatement>),
    /// Everything in a table is to vanish.
    Truncate(TableId),
}
