//! The events that go into a node's machines and the effects that come out: plain data, so that a run is a transcript.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::NodeId;
use quorate_model::request::{ClientRequest, ClientResponse};

/// One of a node's machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub u16);

impl MachineId {
    /// The control machine.
    pub const CONTROL: Self = Self(0);
    /// Whichever worker accepted the connection: the target of every request to another node.
    pub const ANY_WORKER: Self = Self(u16::MAX);

    /// The worker with this index.
    pub fn worker(index: u16) -> Self {
        Self(index.saturating_add(1))
    }
}

/// A machine somewhere in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// Its node.
    pub node: NodeId,
    /// Which of the node's machines.
    pub machine: MachineId,
}

/// Names a client's request between a front and one machine; chosen by the front, unique while in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Which of a peer's streams carries a frame, so that large answers never delay heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Gossip, metadata log, heartbeats.
    Urgent,
    /// Ordinary requests and answers.
    Small,
    /// Pages and streamed ranges over 64 KiB.
    Large,
}

/// An event for a machine.
pub enum Input {
    /// A client asks.
    Client {
        /// Names the request in the reply.
        id: RequestId,
        /// What is asked.
        request: ClientRequest,
    },
    /// The client is gone; nobody waits for the reply.
    Cancel(RequestId),
    /// A frame from a machine of another node, intact (the transport has verified its checksum).
    Peer {
        /// Its sender.
        from: PeerAddress,
        /// The frame, as that machine's [`Output::Send`] had it.
        frame: Bytes,
    },
    /// The transport's view of a peer changed: its stream opened, or closed (also: could not be opened).
    Link {
        /// The peer.
        node: NodeId,
        /// Whether the stream is open.
        up: bool,
    },
    /// A job ended.
    JobDone(JobDone),
    /// The commit log is durable up to here, or will never be again.
    LogSynced(Result<quorate_storage::LogPosition, quorate_storage::StorageError>),
    /// From another machine of the same node.
    Internal(Internal),
    /// Time has passed: the machine's deadline was reached.
    Tick,
}

/// An effect that the driver carries out.
pub enum Output {
    /// Send a frame to a machine of another node. May be lost.
    Send {
        /// The receiver.
        to: PeerAddress,
        /// The stream.
        lane: Lane,
        /// The bytes.
        frame: Bytes,
    },
    /// Send a frame to the control machine of whichever node listens at this address (a seed not yet known by id).
    SendToAddress {
        /// `HOST` or `HOST:PORT`; resolved by the driver.
        address: String,
        /// The bytes.
        frame: Bytes,
    },
    /// Answer a client.
    Reply {
        /// The request.
        id: RequestId,
        /// The answer.
        response: Box<ClientResponse>,
    },
    /// Run a job on a pool and return its [`JobDone`] to this machine.
    Job(Job),
    /// Something waits in the commit log: have the committer call `Storage::sync_log` and tell this machine. A
    /// failure is told to all workers.
    SyncLog,
    /// Pass to another machine of the same node.
    Internal {
        /// Which.
        to: MachineId,
        /// What.
        message: Internal,
    },
    /// Where the nodes listen (internode address); replaces what was said before.
    Directory(Arc<BTreeMap<NodeId, String>>),
    /// The node cannot go on (for example: its commit log failed, or it is refused by the cluster). Stop the process with
    /// this message and a non-zero exit status.
    Fatal(String),
}

/// What runs on a pool.
pub struct Job {
    /// Names it in [`JobDone`].
    pub id: u64,
    /// Its priority class.
    pub class: JobClass,
    /// The work; blocking is fine here.
    pub work: Box<dyn FnOnce() -> JobOutcome + Send>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} {:?})", self.id, self.class)
    }
}

/// Classes of job, most urgent first; each has a share of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobClass {
    /// A read that somebody waits for.
    Read,
    /// Metadata, hints, system store.
    System,
    /// A memtable's flush.
    Flush,
    /// Compaction and other upkeep.
    Compaction,
}

/// A finished job.
#[derive(Debug)]
pub struct JobDone {
    /// Its [`Job::id`].
    pub id: u64,
    /// What it returned.
    pub outcome: JobOutcome,
}

/// What a job returned; only the machine that made the job looks inside.
pub struct JobOutcome(pub Box<dyn std::any::Any + Send>);

impl fmt::Debug for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobOutcome")
    }
}

/// Messages between the machines of one node (opaque to the driver, which only carries them).
pub struct Internal(pub(crate) crate::internal::Message);

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Internal")
    }
}
