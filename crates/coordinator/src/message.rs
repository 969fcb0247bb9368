//! What a coordinator and a replica say to each other, in one binary form.
//!
//! ```text
//! request   u8 version | varint id | varint epoch | varint timeout_ms | flag trace | body
//! body      0 mutation bytes (write) | 1 read command, flag digest_only | 2 mutation bytes (repair) | 3 read command (remains)
//! response  u8 version | varint id | varint epoch | body | varint count, count x (varint elapsed_us, text)
//! body      0 (written) | 1 read response | 2 u128 digest | 3 failure
//! ```

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{Epoch, Mutation, ReadCommand, ReadResponse};

use crate::limits;

/// Version of the envelopes.
const VERSION: u8 = 1;

/// A mutation together with its encoding: made once, then logged, sent and hinted as it stands.
#[derive(Clone, Debug)]
pub struct EncodedMutation {
    /// Decoded.
    pub mutation: Arc<Mutation>,
    /// [`Wire::to_bytes`] of it.
    pub bytes: Bytes,
}

impl EncodedMutation {
    /// Encodes.
    pub fn new(mutation: Mutation) -> Self {
        Self { bytes: mutation.to_bytes(), mutation: Arc::new(mutation) }
    }

    /// Encodes what others share.
    pub fn of(mutation: Arc<Mutation>) -> Self {
        Self { bytes: mutation.to_bytes(), mutation }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let bytes = input.bytes("mutation")?;
        Ok(Self { mutation: Arc::new(Mutation::from_bytes(&bytes)?), bytes })
    }
}

impl PartialEq for EncodedMutation {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// What a replica is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplicaRequest {
    /// Apply a mutation.
    Write(EncodedMutation),
    /// Read.
    Read {
        /// What.
        command: Arc<ReadCommand>,
        /// Whether the digest of the answer will do.
        digest_only: bool,
    },
    /// Apply what the replica was seen to lack. As a write, but not to be counted as one.
    Repair(EncodedMutation),
    /// Read what is left, of what the replica has lost too. For replicas that rebuild the same; never for an answer.
    ReadRemains(Arc<ReadCommand>),
}

impl ReplicaRequest {
    /// Bytes of its mutation, if it has one.
    pub fn mutation_bytes(&self) -> usize {
        match self {
            Self::Write(mutation) | Self::Repair(mutation) => mutation.bytes.len(),
            Self::Read { .. } | Self::ReadRemains(_) => 0,
        }
    }
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplicaResponse {
    /// Applied, and durable.
    Written,
    /// What was read.
    Data(ReadResponse),
    /// [`digest`] of what was read.
    Digest(u128),
    /// It was not, or not certainly, done.
    Failed(ReplicaFailure),
}

/// Why a replica did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaFailure {
    /// The request was planned before a change of topology or replication that the replica has applied. Nothing was done.
    #[error("planned before epoch {current}")]
    StaleEpoch {
        /// The replica's epoch.
        current: Epoch,
    },
    /// It is at a limit. Nothing was done.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// Its disk is full. Nothing was done.
    #[error("no space: {0}")]
    NoSpace(String),
    /// What it holds of this range is damaged.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// It does not know the table. Nothing was done.
    #[error("unknown table")]
    UnknownTable,
    /// The deadline had passed before it began. Nothing was done.
    #[error("the deadline had passed")]
    DeadlinePassed,
    /// The write's timestamp is too far ahead of its clock. Nothing was done.
    #[error("the timestamp is {ahead_us} µs ahead of the replica's clock")]
    ClockTooFar {
        /// By how much.
        ahead_us: u64,
    },
    /// Anything else; a write may have been applied.
    #[error("{0}")]
    Internal(String),
    /// The index that was to be read is not there, or not yet built.
    #[error("index not available: {0}")]
    IndexNotAvailable(String),
}

impl ReplicaFailure {
    /// Whether the replica certainly did not apply the write, and will not.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::StaleEpoch { .. }
            | Self::Overloaded(_)
            | Self::NoSpace(_)
            | Self::UnknownTable
            | Self::DeadlinePassed
            | Self::ClockTooFar { .. } => true,
            Self::Corrupt(_) | Self::Internal(_) | Self::IndexNotAvailable(_) => false,
        }
    }

    /// The reason as clients are told it, of bounded length.
    pub fn reason(&self) -> String {
        self.to_string().chars().take(limits::REASON_CHARS_MAX).collect()
    }
}

/// The digest of an answer: of its partitions and of the place at which it stopped.
pub fn digest(response: &ReadResponse) -> u128 {
    response.digest()
}

/// A request on its way to a replica.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestEnvelope {
    /// Names it in the response.
    pub id: u64,
    /// The epoch it was planned with.
    pub epoch: Epoch,
    /// Milliseconds left when it was sent.
    pub timeout_ms: u32,
    /// Whether the replica is to tell what it did.
    pub trace: bool,
    /// What to do.
    pub body: ReplicaRequest,
}

/// A replica's answer on its way back.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseEnvelope {
    /// The request's [`RequestEnvelope::id`].
    pub id: u64,
    /// The replica's epoch.
    pub epoch: Epoch,
    /// The answer.
    pub body: ReplicaResponse,
    /// If traced: microseconds since the request's arrival, and what was done.
    pub trace: Vec<(u64, String)>,
}

impl Wire for ReplicaRequest {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Write(mutation) => {
                out.u8(0);
                out.bytes(&mutation.bytes);
            }
            Self::Read { command, digest_only } => {
                out.u8(1);
                command.encode(out);
                out.bool(*digest_only);
            }
            Self::Repair(mutation) => {
                out.u8(2);
                out.bytes(&mutation.bytes);
            }
            Self::ReadRemains(command) => {
                out.u8(3);
                command.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("replica request")? {
            0 => Ok(Self::Write(EncodedMutation::decode(input)?)),
            1 => Ok(Self::Read {
                command: Arc::new(ReadCommand::decode(input)?),
                digest_only: input.bool("digest flag")?,
            }),
            2 => Ok(Self::Repair(EncodedMutation::decode(input)?)),
            3 => Ok(Self::ReadRemains(Arc::new(ReadCommand::decode(input)?))),
            _ => Err(input.error("replica request", "an unknown kind")),
        }
    }
}

impl Wire for ReplicaResponse {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Written => out.u8(0),
            Self::Data(response) => {
                out.u8(1);
                response.encode(out);
            }
            Self::Digest(digest) => {
                out.u8(2);
                out.raw(&digest.to_le_bytes());
            }
            Self::Failed(failure) => {
                out.u8(3);
                failure.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("replica response")? {
            0 => Ok(Self::Written),
            1 => Ok(Self::Data(ReadResponse::decode(input)?)),
            2 => Ok(Self::Digest(u128::from_le_bytes(input.id("digest")?))),
            3 => Ok(Self::Failed(ReplicaFailure::decode(input)?)),
            _ => Err(input.error("replica response", "an unknown kind")),
        }
    }
}

impl Wire for ReplicaFailure {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::StaleEpoch { current } => {
                out.u8(0);
                out.varint(current.0);
            }
            Self::Overloaded(reason) => {
                out.u8(1);
                out.string(reason);
            }
            Self::NoSpace(reason) => {
                out.u8(2);
                out.string(reason);
            }
            Self::Corrupt(reason) => {
                out.u8(3);
                out.string(reason);
            }
            Self::UnknownTable => out.u8(4),
            Self::DeadlinePassed => out.u8(5),
            Self::ClockTooFar { ahead_us } => {
                out.u8(6);
                out.varint(*ahead_us);
            }
            Self::Internal(reason) => {
                out.u8(7);
                out.string(reason);
            }
            Self::IndexNotAvailable(reason) => {
                out.u8(8);
                out.string(reason);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("replica failure")? {
            0 => Ok(Self::StaleEpoch { current: Epoch(input.varint("epoch")?) }),
            1 => Ok(Self::Overloaded(input.string("reason")?)),
            2 => Ok(Self::NoSpace(input.string("reason")?)),
            3 => Ok(Self::Corrupt(input.string("reason")?)),
            4 => Ok(Self::UnknownTable),
            5 => Ok(Self::DeadlinePassed),
            6 => Ok(Self::ClockTooFar { ahead_us: input.varint("clock difference")? }),
            7 => Ok(Self::Internal(input.string("reason")?)),
            8 => Ok(Self::IndexNotAvailable(input.string("reason")?)),
            _ => Err(input.error("replica failure", "an unknown kind")),
        }
    }
}

fn check_version(input: &mut Reader, what: &'static str) -> Result<(), WireError> {
    match input.u8(what)? {
        VERSION => Ok(()),
        _ => Err(input.error(what, "another version")),
    }
}

impl Wire for RequestEnvelope {
    fn encode(&self, out: &mut Writer) {
        out.u8(VERSION);
        out.varint(self.id);
        out.varint(self.epoch.0);
        out.varint(u64::from(self.timeout_ms));
        out.bool(self.trace);
        self.body.encode(out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        check_version(input, "request envelope")?;
        Ok(Self {
            id: input.varint("request id")?,
            epoch: Epoch(input.varint("epoch")?),
            timeout_ms: u32::try_from(input.varint("timeout")?).map_err(|_| input.error("timeout", "over 32 bits"))?,
            trace: input.bool("trace flag")?,
            body: ReplicaRequest::decode(input)?,
        })
    }
}

impl Wire for ResponseEnvelope {
    fn encode(&self, out: &mut Writer) {
        out.u8(VERSION);
        out.varint(self.id);
        out.varint(self.epoch.0);
        self.body.encode(out);
        let events = &self.trace[..self.trace.len().min(limits::TRACE_EVENTS_MAX)];
        out.varint(events.len() as u64);
        for (elapsed_us, activity) in events {
            out.varint(*elapsed_us);
            out.string(activity);
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        check_version(input, "response envelope")?;
        let id = input.varint("request id")?;
        let epoch = Epoch(input.varint("epoch")?);
        let body = ReplicaResponse::decode(input)?;
        let count = input.count(2, "trace events")?;
        if count > limits::TRACE_EVENTS_MAX {
            return Err(input.error("trace events", "too many"));
        }
        let mut trace = Vec::with_capacity(count);
        for _ in 0..count {
            trace.push((input.varint("elapsed time")?, input.string("activity")?));
        }
        Ok(Self { id, epoch, body, trace })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
