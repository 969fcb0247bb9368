//! Scalar functions on time and identity.

use bytes::Bytes;
use quorate_model::request::RequestError;
use quorate_model::{CqlType, Value};

use crate::bind::Evaluator;
use crate::codec;

/// A scalar function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Now,
    Uuid,
    CurrentTimestamp,
    CurrentDate,
    CurrentTime,
    CurrentTimeUuid,
    ToTimestamp,
    ToDate,
    ToUnixTimestamp,
    MinTimeUuid,
    MaxTimeUuid,
}

const ALL: [(&str, Function); 11] = [
    ("now", Function::Now),
    ("uuid", Function::Uuid),
    ("current_timestamp", Function::CurrentTimestamp),
    ("current_date", Function::CurrentDate),
    ("current_time", Function::CurrentTime),
    ("current_timeuuid", Function::CurrentTimeUuid),
    ("to_timestamp", Function::ToTimestamp),
    ("to_date", Function::ToDate),
    ("to_unix_timestamp", Function::ToUnixTimestamp),
    ("min_timeuuid", Function::MinTimeUuid),
    ("max_timeuuid", Function::MaxTimeUuid),
];

/// 100-nanosecond steps from 1582-10-15, where version-1 UUIDs count from, to 1970.
const UUID_EPOCH_OFFSET: i128 = 0x01B2_1DD2_1381_4000;
const DAY_MS: i64 = 86_400_000;
/// The day 1970-01-01 in a `date`.
const DATE_EPOCH: i64 = 1 << 31;

impl Function {
    /// The function with this name: snake case or the older camel case, with or without `system.`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let squeezed = |text: &str| text.replace('_', "").to_ascii_lowercase();
        let wanted = squeezed(name.strip_prefix("system.").unwrap_or(name));
        ALL.iter().find(|(known, _)| squeezed(known) == wanted).map(|(_, function)| *function)
    }

    pub(crate) fn return_type(self) -> CqlType {
        match self {
            Self::Now | Self::CurrentTimeUuid | Self::MinTimeUuid | Self::MaxTimeUuid => CqlType::TimeUuid,
            Self::Uuid => CqlType::Uuid,
            Self::CurrentTimestamp | Self::ToTimestamp => CqlType::Timestamp,
            Self::CurrentDate | Self::ToDate => CqlType::Date,
            Self::CurrentTime => CqlType::Time,
            Self::ToUnixTimestamp => CqlType::BigInt,
        }
    }

    /// For each argument, the types it may have.
    pub(crate) fn argument_types(self) -> &'static [&'static [CqlType]] {
        match self {
            Self::ToTimestamp => &[&[CqlType::TimeUuid, CqlType::Date]],
            Self::ToDate => &[&[CqlType::TimeUuid, CqlType::Timestamp]],
            Self::ToUnixTimestamp => &[&[CqlType::TimeUuid, CqlType::Timestamp, CqlType::Date]],
            Self::MinTimeUuid | Self::MaxTimeUuid => &[&[CqlType::Timestamp]],
            _ => &[],
        }
    }
}

/// Calls the function. A null argument gives null.
pub(crate) fn call(
    function: Function,
    arguments: &[(CqlType, Option<Bytes>)],
    evaluator: &mut Evaluator<'_>,
) -> Result<Option<Bytes>, RequestError> {
    let now_ms = evaluator.now_us().div_euclid(1000);
    let value = match function {
        Function::Now | Function::CurrentTimeUuid => Value::Uuid(evaluator.time_uuid()),
        Function::Uuid => Value::Uuid(evaluator.random_uuid()),
        Function::CurrentTimestamp => Value::Timestamp(now_ms),
        Function::CurrentDate => date_of(now_ms),
        Function::CurrentTime => Value::Time(evaluator.now_us().rem_euclid(DAY_MS * 1000) * 1000),
        _ => return convert(function, arguments),
    };
    codec::encode(&function.return_type(), &value).map(Some).map_err(RequestError::invalid)
}

/// Calls a function of its arguments alone.
pub(crate) fn convert(
    function: Function,
    arguments: &[(CqlType, Option<Bytes>)],
) -> Result<Option<Bytes>, RequestError> {
    let Some((cql_type, Some(bytes))) = arguments.first() else { return Ok(None) };
    let ms = millis_of(cql_type, bytes)?;
    let value = match function {
        Function::ToTimestamp => Value::Timestamp(ms),
        Function::ToDate => date_of(ms),
        Function::ToUnixTimestamp => Value::BigInt(ms),
        Function::MinTimeUuid => Value::Uuid(bound_uuid(ms, false)),
        _ => Value::Uuid(bound_uuid(ms, true)),
    };
    codec::encode(&function.return_type(), &value).map(Some).map_err(RequestError::invalid)
}

fn date_of(ms: i64) -> Value {
    let day = ms.div_euclid(DAY_MS).saturating_add(DATE_EPOCH).clamp(0, i64::from(u32::MAX));
    Value::Date(u32::try_from(day).unwrap_or(0))
}

/// Milliseconds since 1970 of a timeuuid, timestamp or date.
fn millis_of(cql_type: &CqlType, bytes: &Bytes) -> Result<i64, RequestError> {
    match codec::decode(cql_type, bytes).map_err(RequestError::invalid)? {
        Value::Timestamp(ms) => Ok(ms),
        Value::Date(day) => Ok((i64::from(day) - DATE_EPOCH).saturating_mul(DAY_MS)),
        Value::Uuid(uuid) => Ok(millis_of_uuid(uuid)),
        _ => Err(RequestError::invalid(format!("a {cql_type} has no time"))),
    }
}

/// Milliseconds since 1970 of a version-1 UUID.
pub(crate) fn millis_of_uuid(uuid: [u8; 16]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = uuid;
    let steps = u64::from_be_bytes([g & 0x0f, h, e, f, a, b, c, d]);
    let since_1970 = (i128::from(steps) - UUID_EPOCH_OFFSET).div_euclid(10_000);
    i64::try_from(since_1970).unwrap_or(i64::MAX)
}

/// A version-1 UUID of this time in 100-nanosecond steps since 1970.
pub(crate) fn uuid_at(steps_since_1970: i128, clock_and_node: u64) -> [u8; 16] {
    let steps = (steps_since_1970 + UUID_EPOCH_OFFSET).clamp(0, (1 << 60) - 1) as u64;
    let [g, h, e, f, a, b, c, d] = steps.to_be_bytes();
    let mut uuid = [0; 16];
    let (time, rest) = uuid.split_at_mut(8);
    time.copy_from_slice(&[a, b, c, d, e, f, (g & 0x0f) | 0x10, h]);
    rest.copy_from_slice(&clock_and_node.to_be_bytes());
    uuid
}

/// The least or greatest version-1 UUID of a millisecond, in Cassandra's (signed-byte) order of the node part.
fn bound_uuid(ms: i64, greatest: bool) -> [u8; 16] {
    let steps = i128::from(ms) * 10_000;
    if greatest { uuid_at(steps + 9_999, 0x7f7f_7f7f_7f7f_7f7f) } else { uuid_at(steps, 0x8080_8080_8080_8080) }
}
