//! Typed values: what literals parse to and results print from. Storage and the wire carry Cassandra's binary encodings.

pub mod calendar;
mod compare;
pub(crate) mod decode;
mod display;
mod encode;
mod error;
mod literal;
pub(crate) mod number;
mod parse;
mod parse_time;
pub(crate) mod vint;

use std::net::IpAddr;

use bytes::Bytes;
use num_bigint::BigInt;

pub use compare::compare;
pub use decode::validate;
pub use error::ValueError;

/// A CQL value. Numbers are as in Cassandra's protocol specification, section 6.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    Null,
    /// `ascii`, `text`, `varchar`.
    Text(String),
    BigInt(i64),
    Blob(Bytes),
    Boolean(bool),
    /// Unscaled value and scale.
    Decimal(BigInt, i32),
    Double(f64),
    Float(f32),
    Int(i32),
    SmallInt(i16),
    TinyInt(i8),
    Varint(BigInt),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// `uuid` and `timeuuid`.
    Uuid([u8; 16]),
    Inet(IpAddr),
    /// Days, with 1970-01-01 at 2^31.
    Date(u32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Months, days, nanoseconds.
    Duration(i32, i32, i64),
    /// List, set (sorted), tuple, vector or user type fields.
    Sequence(Vec<Value>),
    /// Map entries, sorted by key.
    Map(Vec<(Value, Value)>),
}
