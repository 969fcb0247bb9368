//! The machines that execute one request over its replicas.
//!
//! **What it is.** [`WriteMachine`], [`BatchMachine`], [`ReadMachine`] and [`ScanMachine`]: each takes a request, a
//! [`ReplicaPlan`] and the time, then events (a replica answered, a link broke, time passed), and says what to do: send
//! this, hint that, the answer is. Beside them the pure policies they rest on: consistency levels ([`levels`]), the merge
//! of replicas' answers ([`reconcile`]), whom to ask and when to ask one more ([`latency`]), whether to keep a hint
//! ([`hints`]), which timestamps to refuse ([`clock`]); and the messages between coordinator and replica ([`message`]).
//! **What it refuses to do.** It sends, stores and parses nothing, keeps no state beyond a request, reads no clock, and
//! does not know where a plan comes from.
//!
//! **Invariants.**
//! - Every machine says `Done` exactly once, at its deadline at the latest; writes go on until `Finished`, which is said
//!   once too, so that late replicas get their hints.
//! - Acknowledgements and answers count only for replicas of the plan; hints only for `ANY`. While a range moves, a
//!   write meets its level among the old owners and among the new ones.
//! - An error says what is known: `Unavailable` and `Overloaded` are given only if no replica applied the write, and
//!   then no hint is kept for it either.
//! - Of merged answers only that part is used up to which *every* answer is complete. Pages neither skip nor repeat.
//! - With blocking read repair, as many replicas as the level needs hold what is answered before it is answered.
//!
//! **Limits.** In [`limits`]. **What it assumes.** Replicas answer `Written` only when the mutation is durable; their
//! answers are canonical (`Partition::canonicalize`); messages may be lost, delayed, repeated and reordered.
//!
//! **Tests.** Tables and transcripts beside the code; simulated replicas under random losses in `tests/`.

pub mod batch;
pub mod clock;
pub mod hints;
pub mod latency;
pub mod levels;
pub mod limits;
pub mod message;
pub mod plan;
pub mod read;
pub mod reconcile;
pub mod request;
pub mod scan;
pub mod write;

pub use batch::{BatchInput, BatchMachine, BatchOutput};
pub use clock::check_timestamp;
pub use hints::{HintPolicy, HintVerdict};
pub use latency::{LatencyTracker, SpeculativeRetry};
pub use levels::Requirement;
pub use message::{
    EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse, RequestEnvelope, ResponseEnvelope,
};
pub use plan::{PlanInput, ReplicaMask, ReplicaPlan, ReplicaView, ReplicationFactors};
pub use read::ReadMachine;
pub use reconcile::Continuation;
pub use request::{ReadInput, ReadOutput, ReadRepair, ReadRequest, ReadStats, Tag};
pub use scan::{ScanMachine, ScanRange};
pub use write::{WriteInput, WriteMachine, WriteOutput, WriteRequest};
