//! The error of conversions, and helpers that all of them use.

use bytes::Bytes;
use quorate_model::Consistency;

use crate::v1;

/// Why a message could not be understood. It names the field and the rule that it broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: field {field} {problem}")]
pub struct ConvertError {
    /// The field.
    pub field: &'static str,
    /// The rule that it broke.
    pub problem: String,
}

pub(crate) fn broken(field: &'static str, problem: impl Into<String>) -> ConvertError {
    ConvertError { field, problem: problem.into() }
}

pub(crate) fn missing(field: &'static str) -> ConvertError {
    broken(field, "is missing")
}

/// A 16-byte identity.
pub(crate) fn id(bytes: &Bytes, field: &'static str) -> Result<[u8; 16], ConvertError> {
    bytes.as_ref().try_into().map_err(|_| broken(field, format!("has {} bytes, not 16", bytes.len())))
}

pub(crate) fn id_bytes(id: &[u8; 16]) -> Bytes {
    Bytes::copy_from_slice(id)
}

pub(crate) fn u16_of(value: u32, field: &'static str) -> Result<u16, ConvertError> {
    u16::try_from(value).map_err(|_| broken(field, format!("is {value}, which is over 65535")))
}

pub(crate) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) fn some_bytes(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}

/// The level's number in the message: the native protocol's plus one, for zero means 'unspecified'.
pub(crate) fn consistency_to_proto(level: Consistency) -> i32 {
    i32::from(level.code()) + 1
}

/// `None` for unspecified.
pub(crate) fn consistency_from_proto(number: i32, field: &'static str) -> Result<Option<Consistency>, ConvertError> {
    if number == v1::Consistency::Unspecified as i32 {
        return Ok(None);
    }
    number
        .checked_sub(1)
        .and_then(|code| u16::try_from(code).ok())
        .and_then(Consistency::from_code)
        .map(Some)
        .ok_or_else(|| broken(field, format!("is {number}, which is no consistency level")))
}
