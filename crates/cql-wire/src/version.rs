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
}

impl ProtocolVersion {
    /// All versions spoken here, in order.
    pub const ALL: [Self; 3] = [Self::V3, Self::V4, Self::V5];

    /// The version with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
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
        write!(f, "{}/v{}", self.number(), self.number())
    }
}

/// The version that is in beta in the field, and not spoken here.
const BETA_VERSION: u8 = 6;

/// What is wrong with a version that somebody opened a connection with.
pub(crate) fn version_problem(number: u8, beta_flag: bool) -> String {
    if number == BETA_VERSION && !beta_flag {
        return format!("Beta version of the protocol used ({number}/v{number}-beta), but USE_BETA flag is unset");
    }
    let supported = ProtocolVersion::names().join(", ");
    format!("Invalid or unsupported protocol version ({number}); supported versions are ({supported})")
}

/// The whole answer to such a version, in an envelope that its sender can read: versions 1 and 2 in their own short
/// header, 6 in its own, everything else as version 5, on which drivers step down.
pub(crate) fn version_answer(number: u8, stream: i16, message: &str) -> Bytes {
    let mut body = BytesMut::new();
    let mut writer = Writer::new(&mut body);
    writer.i32(crate::message::error::PROTOCOL);
    writer.string(message);
    let mut answer = BytesMut::with_capacity(body.len() + 9);
    let shown = if (1..=BETA_VERSION).contains(&number) { number } else { ProtocolVersion::V5.number() };
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
