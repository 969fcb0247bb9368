//! Frames between nodes: everything that crosses the network, in one binary form.
//!
//! ```text
//! frame  u8 kind | body
//! kind   0 request envelope | 1 response envelope       worker to worker
//!        2 heartbeat: varint applied epoch              control to control
//!        3 gossip | 4 metadata log
//! ```
//!
//! The transport carries frames whole, with a checksum of its own, between nodes that have shown each other their
//! protocol version and their cluster.

use bytes::{Bytes, BytesMut};
use quorate_coordinator::message::{RequestEnvelope, ResponseEnvelope};
use quorate_membership::gossip::GossipFrame;
use quorate_membership::metadata_log::LogFrame;
use quorate_model::Epoch;
use quorate_model::wire::{Reader, Wire, WireError, Writer};

/// A frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A replica is asked.
    Request(RequestEnvelope),
    /// A replica answers.
    Response(ResponseEnvelope),
    /// The sender is alive and has applied so much.
    Heartbeat {
        /// The last epoch applied on all its machines.
        applied: Epoch,
    },
    /// Gossip.
    Gossip(GossipFrame),
    /// The metadata log.
    Log(LogFrame),
}

impl Frame {
    /// Whether it belongs to the control machine.
    pub fn is_control(&self) -> bool {
        matches!(self, Self::Heartbeat { .. } | Self::Gossip(_) | Self::Log(_))
    }
}

/// What a frame takes beside a mutation, at most, unless it carries data.
const FRAME_BYTES: usize = 96;

impl Wire for Frame {
    fn to_bytes(&self) -> Bytes {
        let payload = match self {
            Self::Request(envelope) => envelope.body.mutation_bytes(),
            _ => 0,
        };
        let mut out = Writer::reuse(BytesMut::with_capacity(FRAME_BYTES + payload));
        self.encode(&mut out);
        out.finish()
    }

    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Request(envelope) => {
                out.u8(0);
                envelope.encode(out);
            }
            Self::Response(envelope) => {
                out.u8(1);
                envelope.encode(out);
            }
            Self::Heartbeat { applied } => {
                out.u8(2);
                out.varint(applied.0);
            }
            Self::Gossip(frame) => {
                out.u8(3);
                frame.encode(out);
            }
            Self::Log(frame) => {
                out.u8(4);
                frame.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        match input.u8("frame")? {
            0 => RequestEnvelope::decode(input).map(Self::Request),
            1 => ResponseEnvelope::decode(input).map(Self::Response),
            2 => Ok(Self::Heartbeat { applied: Epoch(input.varint("applied epoch")?) }),
            3 => GossipFrame::decode(input).map(Self::Gossip),
            4 => LogFrame::decode(input).map(Self::Log),
            _ => Err(input.error("frame", "an unknown kind")),
        }
    }
}
