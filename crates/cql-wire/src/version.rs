//! Protocol versions, and the answer to one that is not spoken here.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::opcode::Opcode;
use crate::writer::Writer;

/// A version of the native protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// Version 3 (Cassandra 2.1).
    V3 = 3,
    /// Version 4 (Cassandra 2.2 to 3.11).
    V4 = 4,
    /// Version 5 (Cassandra 4.0 and later).
    V5 = 5,
    /// Version 6, in beta: for clients that say that they know. So far it differs from version 5 in nothing that is sent.
    V6 = 6,
}

impl ProtocolVersion {
    /// All versions spoken here, in order.
    pub const ALL: [Self; 4] = [Self::V3, Self::V4, Self::V5, Self::V6];

    /// The version with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// Whether it is not final: a client that opens with it says by a flag that it knows.
    pub fn is_beta(self) -> bool {
        self == Self::V6
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether envelopes travel in checksummed segments once the connection has started.
    pub fn is_segmented(self) -> bool {
        self >= Self::V5
    }

    /// The versions as `SUPPORTED` names them.
    pub fn names() -> Vec<String> {
        Self::ALL.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beta = if self.is_beta() { "-beta" } else { "" };
        write!(f, "{}/v{}{beta}", self.number(), self.number())
    }
}

/// What is wrong with a version that somebody opened a connection with.
pub(crate) fn version_problem(number: u8) -> String {
    if let Some(version) = ProtocolVersion::from_number(number).filter(|version| version.is_beta()) {
        return format!("Beta version of the protocol used ({version}), but USE_BETA flag is unset");
    }
    let supported = ProtocolVersion::names().join(", ");
    format!("Invalid or unsupported protocol version ({number}); supported versions are ({supported})")
}

/// The whole answer to such a version, in an envelope that its sender can read: versions 1 and 2 in their own short
/// header, the beta in its own, everything else as version 5, on which drivers step down.
pub(crate) fn version_answer(number: u8, stream: i16, message: &str) -> Bytes {
    let mut body = BytesMut::new();
    let mut writer = Writer::new(&mut body);
    writer.i32(crate::message::error::PROTOCOL);
    writer.string(message);
    let mut answer = BytesMut::with_capacity(body.len() + 9);
    let shown =
        if (1..=ProtocolVersion::V6.number()).contains(&number) { number } else { ProtocolVersion::V5.number() };
    answer.put_u8(0x80 | shown);
    answer.put_u8(0);
    if shown < ProtocolVersion::V3.number() {
        answer.put_i8(0);
    } else {
        answer.put_i16(if shown == number { stream } else { 0 });
    }
    answer.put_u8(Opcode::Error as u8);
    answer.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    answer.put_slice(&body);
    answer.freeze()
}
