//! Typed values of messages to Cassandra's binary encoding. A message's value says what it is, so that no type is
//! needed; whether it suits its marker is the statement's to check.

use bytes::Bytes;

use crate::convert::{ConvertError, broken, missing};
use crate::limits::DEPTH_MAX;
use crate::v1;
use crate::v1::value::Kind;

/// A typed value in Cassandra's binary encoding; `None` for null.
pub fn encode_value(value: &v1::Value) -> Result<Option<Bytes>, ConvertError> {
    let mut out = Vec::new();
    Ok(append_value(value, &mut out, 0)?.then(|| out.into()))
}

/// Appends the value's encoding; false, with nothing appended, for null.
fn append_value(value: &v1::Value, out: &mut Vec<u8>, depth: usize) -> Result<bool, ConvertError> {
    if depth > DEPTH_MAX {
        return Err(broken("value", format!("is nested deeper than {DEPTH_MAX}")));
    }
    match value.kind.as_ref().ok_or_else(|| missing("value.kind"))? {
        Kind::Null(_) => return Ok(false),
        Kind::Text(text) => out.extend_from_slice(text.as_bytes()),
        Kind::Bigint(number) | Kind::Timestamp(number) | Kind::Time(number) => {
            out.extend_from_slice(&number.to_be_bytes());
        }
        Kind::Blob(bytes) => out.extend_from_slice(bytes),
        Kind::Boolean(flag) => out.push(u8::from(*flag)),
        Kind::Decimal(decimal) => {
            out.extend_from_slice(&decimal.scale.to_be_bytes());
            out.extend_from_slice(two_complement(&decimal.unscaled, "value.decimal.unscaled")?);
        }
        Kind::Double(number) => out.extend_from_slice(&number.to_be_bytes()),
        Kind::Float(number) => out.extend_from_slice(&number.to_be_bytes()),
        Kind::Int(number) => out.extend_from_slice(&number.to_be_bytes()),
        Kind::Smallint(number) => {
            let number = i16::try_from(*number).map_err(|_| broken("value.smallint", "is out of range"))?;
            out.extend_from_slice(&number.to_be_bytes());
        }
        Kind::Tinyint(number) => {
            let number = i8::try_from(*number).map_err(|_| broken("value.tinyint", "is out of range"))?;
            out.extend_from_slice(&number.to_be_bytes());
        }
        Kind::Varint(bytes) => out.extend_from_slice(two_complement(bytes, "value.varint")?),
        Kind::Uuid(bytes) => out.extend_from_slice(of_length(bytes, &[16], "value.uuid")?),
        Kind::Inet(bytes) => out.extend_from_slice(of_length(bytes, &[4, 16], "value.inet")?),
        Kind::Date(days) => out.extend_from_slice(&days.to_be_bytes()),
        Kind::Duration(duration) => encode_duration(duration, out),
        Kind::List(list) | Kind::Set(list) => {
            count(list.values.len(), out)?;
            for value in &list.values {
                with_length(value, out, depth)?;
            }
        }
        Kind::Map(map) => {
            count(map.entries.len(), out)?;
            for entry in &map.entries {
                for part in [&entry.key, &entry.value] {
                    with_length(part.as_ref().ok_or_else(|| missing("value.map.entries"))?, out, depth)?;
                }
            }
        }
        Kind::Tuple(tuple) => {
            for value in &tuple.values {
                with_length(value, out, depth)?;
            }
        }
        Kind::Vector(vector) => encode_vector(&vector.values, out, depth)?,
    }
    Ok(true)
}

/// A count of elements, an i32 as the native protocol has it.
fn count(count: usize, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    let count = i32::try_from(count).map_err(|_| broken("value", "has too many elements"))?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

fn with_length(value: &v1::Value, out: &mut Vec<u8>, depth: usize) -> Result<(), ConvertError> {
    let place = out.len();
    out.extend_from_slice(&(-1i32).to_be_bytes());
    if append_value(value, out, depth + 1)? {
        let length = i32::try_from(out.len() - place - 4).map_err(|_| broken("value", "is over 2 GiB"))?;
        out[place..place + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Elements of fixed size stand bare; others have their length before them as an unsigned variable-length integer.
fn encode_vector(values: &[v1::Value], out: &mut Vec<u8>, depth: usize) -> Result<(), ConvertError> {
    for value in values {
        let mut element = Vec::new();
        if !append_value(value, &mut element, depth + 1)? {
            return Err(broken("value.vector", "has a null element"));
        }
        let fixed = matches!(
            value.kind,
            Some(
                Kind::Bigint(_)
                    | Kind::Timestamp(_)
                    | Kind::Boolean(_)
                    | Kind::Double(_)
                    | Kind::Float(_)
                    | Kind::Int(_)
                    | Kind::Uuid(_)
            )
        );
        if !fixed {
            unsigned_vint(element.len() as u64, out);
        }
        out.extend_from_slice(&element);
    }
    Ok(())
}

/// Three signed variable-length integers.
fn encode_duration(duration: &v1::Duration, out: &mut Vec<u8>) {
    for number in [i64::from(duration.months), i64::from(duration.days), duration.nanoseconds] {
        unsigned_vint(((number << 1) ^ (number >> 63)) as u64, out);
    }
}

/// Cassandra's variable-length integer: the number of leading one bits of the first byte is the number of bytes that
/// follow it; the value is big-endian in what remains.
fn unsigned_vint(value: u64, out: &mut Vec<u8>) {
    let bits = 64 - value.leading_zeros() as usize;
    let extra = if bits <= 7 { 0 } else { ((bits - 1) / 7).min(8) };
    let bytes = value.to_be_bytes();
    if extra == 8 {
        out.push(0xff);
        out.extend_from_slice(&bytes);
        return;
    }
    let mark = !(0xffu16 >> extra) as u8;
    out.push(bytes[7 - extra] | mark);
    out.extend_from_slice(&bytes[8 - extra..]);
}

fn two_complement<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a [u8], ConvertError> {
    if bytes.is_empty() { Err(broken(field, "is empty")) } else { Ok(bytes) }
}

fn of_length<'a>(bytes: &'a [u8], lengths: &[usize], field: &'static str) -> Result<&'a [u8], ConvertError> {
    if lengths.contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(broken(field, format!("has {} bytes; expected {lengths:?}", bytes.len())))
    }
}
