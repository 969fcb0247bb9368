//! What a read is asked, told and says: the words of [`crate::read`] and [`crate::scan`].

use std::sync::Arc;
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::request::RequestError;
use quorate_model::{Consistency, Epoch, NodeId, ReadCommand, ReadResponse};

use crate::message::{ReplicaRequest, ReplicaResponse};
use crate::reconcile::Continuation;

/// Names one request to a replica within its machine, so that late answers to earlier ones are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// Whether stale replicas are mended before a read is answered (the table's `read_repair`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReadRepair {
    /// Yes: quorum reads never go back in time.
    #[default]
    Blocking,
    /// No: a partition's mutations stay atomic.
    None,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The client's whole command, the same for every page (but for `row_limit`, of which earlier pages took their part).
    pub command: Arc<ReadCommand>,
    /// Where this page begins, if it is not the first.
    pub resume: Option<Continuation>,
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// When to give up.
    pub deadline: Instant,
    /// After how long to ask one more replica; `None` for never.
    pub speculative_delay: Option<Duration>,
    /// Whether to mend stale replicas first.
    pub read_repair: ReadRepair,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum ReadInput {
    /// A replica answered.
    Response {
        /// Who.
        node: NodeId,
        /// The request's tag, from [`ReadOutput::Send`].
        tag: Tag,
        /// What.
        response: ReplicaResponse,
    },
    /// The connection to a node broke.
    LinkDown {
        /// Which.
        node: NodeId,
    },
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadOutput {
    /// Send this to a replica (or execute it here, if it is this node).
    Send {
        /// To whom.
        to: NodeId,
        /// To be given back with the answer.
        tag: Tag,
        /// What.
        request: ReplicaRequest,
    },
    /// A replica knows a newer ring: fetch it and call `replan`.
    Replan {
        /// The replica's epoch.
        known: Epoch,
    },
    /// The answer; said once, last.
    Done(Result<ReadResponse, RequestError>),
}

/// What a read took, for metrics and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReadStats {
    /// Requests sent because others were slow.
    pub speculative: u32,
    /// Times that replicas disagreed.
    pub mismatches: u32,
    /// Mutations sent to stale replicas.
    pub repairs: u32,
    /// Rounds after the first, to make up for deleted rows.
    pub short_reads: u32,
}
