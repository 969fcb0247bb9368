//! Gossip messages and what they carry.

use std::collections::BTreeMap;

use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{ClusterId, NodeId};

use crate::limits::GOSSIP_TEXT_BYTES_MAX;

/// What a node tells about itself. The numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GossipKey {
    /// Text: what it is doing, `NORMAL`, `JOINING`, `DRAINING`.
    Status = 0,
    /// Number: bytes of live data.
    Load = 1,
    /// Number: the last epoch of the metadata log that it has applied, on all its machines.
    AppliedEpoch = 2,
    /// Number: the epoch of its schema.
    SchemaEpoch = 3,
    /// Text: its internode address.
    Address = 4,
    /// Text: its version.
    ReleaseVersion = 5,
    /// Number: how troubled it is, 0 for not at all, in thousandths.
    Severity = 6,
    /// Number: ranges that it lost and is rebuilding.
    LostRanges = 7,
}

impl GossipKey {
    const ALL: [Self; 8] = [
        Self::Status,
        Self::Load,
        Self::AppliedEpoch,
        Self::SchemaEpoch,
        Self::Address,
        Self::ReleaseVersion,
        Self::Severity,
        Self::LostRanges,
    ];
}

/// A gossiped value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipValue {
    /// A number.
    Number(u64),
    /// A text of at most [`GOSSIP_TEXT_BYTES_MAX`] bytes.
    Text(String),
}

/// A value with the version at which its node set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Grows with every value and heartbeat of a node's generation.
    pub version: u64,
    /// The value.
    pub value: GossipValue,
}

/// How much of a node's state somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Whose.
    pub node: NodeId,
    /// Of which start.
    pub generation: u64,
    /// Up to which version.
    pub version: u64,
}

/// A part of a node's state: all that is newer than what the receiver had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Whose.
    pub node: NodeId,
    /// Of which start.
    pub generation: u64,
    /// The version of its last heartbeat, the greatest of all its versions.
    pub heartbeat: u64,
    /// The newer values.
    pub values: BTreeMap<GossipKey, Versioned>,
}

/// The three messages of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipMessage {
    /// 'This is how much I have.'
    Syn(Vec<Digest>),
    /// 'This is news to you; of those, send me what is newer.'
    Ack {
        /// News for the receiver.
        deltas: Vec<Delta>,
        /// What the sender wants, with what it has.
        requests: Vec<Digest>,
    },
    /// 'Here it is.'
    Ack2(Vec<Delta>),
}

/// A gossip message with the cluster that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipFrame {
    /// The sender's cluster.
    pub cluster: ClusterId,
    /// The message.
    pub message: GossipMessage,
}

impl Wire for Digest {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.node.0);
        out.varint(self.generation);
        out.varint(self.version);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let node = NodeId(input.id("gossip digest")?);
        Ok(Self { node, generation: input.varint("generation")?, version: input.varint("version")? })
    }
}

impl Wire for Delta {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.node.0);
        out.varint(self.generation);
        out.varint(self.heartbeat);
        out.varint(self.values.len() as u64);
        for (key, versioned) in &self.values {
            out.u8(*key as u8);
            out.varint(versioned.version);
            match &versioned.value {
                GossipValue::Number(number) => {
                    out.u8(0);
                    out.varint(*number);
                }
                GossipValue::Text(text) => {
                    out.u8(1);
                    out.string(text);
                }
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let node = NodeId(input.id("gossip delta")?);
        let generation = input.varint("generation")?;
        let heartbeat = input.varint("heartbeat")?;
        let mut values = BTreeMap::new();
        for _ in 0..input.count(4, "gossip values")? {
            let number = input.u8("gossip key")?;
            let version = input.varint("version")?;
            let value = match input.u8("gossip value")? {
                0 => GossipValue::Number(input.varint("gossip number")?),
                1 => GossipValue::Text(input.string("gossip text")?),
                _ => return Err(input.error("gossip value", "an unknown kind")),
            };
            if matches!(&value, GossipValue::Text(text) if text.len() > GOSSIP_TEXT_BYTES_MAX) {
                return Err(input.error("gossip text", "too long"));
            }
            // Keys of later versions are skipped.
            if let Some(key) = GossipKey::ALL.into_iter().find(|key| *key as u8 == number) {
                values.insert(key, Versioned { version, value });
            }
        }
        Ok(Self { node, generation, heartbeat, values })
    }
}

fn encode_list<T: Wire>(items: &[T], out: &mut Writer) {
    out.varint(items.len() as u64);
    for item in items {
        item.encode(out);
    }
}

fn decode_list<T: Wire>(input: &mut Reader) -> Result<Vec<T>, WireError> {
    let count = input.count(18, "gossip list")?;
    (0..count).map(|_| T::decode(input)).collect()
}

impl Wire for GossipFrame {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.cluster.0);
        match &self.message {
            GossipMessage::Syn(digests) => {
                out.u8(0);
                encode_list(digests, out);
            }
            GossipMessage::Ack { deltas, requests } => {
                out.u8(1);
                encode_list(deltas, out);
                encode_list(requests, out);
            }
            GossipMessage::Ack2(deltas) => {
                out.u8(2);
                encode_list(deltas, out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let cluster = ClusterId(input.id("cluster")?);
        let message = match input.u8("gossip message")? {
            0 => GossipMessage::Syn(decode_list(input)?),
            1 => GossipMessage::Ack { deltas: decode_list(input)?, requests: decode_list(input)? },
            2 => GossipMessage::Ack2(decode_list(input)?),
            _ => return Err(input.error("gossip message", "an unknown kind")),
        };
        Ok(Self { cluster, message })
    }
}
