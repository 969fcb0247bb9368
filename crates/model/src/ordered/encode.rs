//! CQL encodings to byte-comparable ones.

use num_bigint::{BigInt, Sign};

use super::{EMPTY, END, NEGATIVE, NULL, POSITIVE, VALUE, ZERO};
use crate::limits;
use crate::types::CqlType;
use crate::value::ValueError;
use crate::value::decode::{Elements, is_bytes_like, split_fields, split_vector};
use crate::value::{Value, number};

/// Appends one component; the value is in its CQL encoding and is validated. Nothing is appended on failure.
pub fn encode_component(
    cql_type: &CqlType,
    descending: bool,
    value: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    encode_parts(cql_type, descending, value, out).map(drop)
}

/// [`encode_component`]; gives the length of the output without the component's scales.
pub(super) fn encode_parts(
    cql_type: &CqlType,
    descending: bool,
    value: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<usize, ValueError> {
    let start = out.len();
    let mut scales = Vec::new();
    if let Err(error) = encode_at(cql_type, value, limits::TYPE_DEPTH_MAX, out, &mut scales) {
        out.truncate(start);
        return Err(error);
    }
    let length = out.len();
    for scale in scales {
        // The first byte is neither 0x00 nor 0xff, as a component's: a bound may end before it.
        out.push(VALUE);
        out.extend_from_slice(&((scale as u32) ^ (1 << 31)).to_be_bytes());
    }
    if descending {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
    Ok(length)
}

fn encode_at(
    cql_type: &CqlType,
    value: Option<&[u8]>,
    depth_left: usize,
    out: &mut Vec<u8>,
    scales: &mut Vec<i32>,
) -> Result<(), ValueError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(ValueError::TooDeep { max: limits::TYPE_DEPTH_MAX });
    };
    let Some(bytes) = value else {
        out.push(NULL);
        return Ok(());
    };
    let compound = matches!(cql_type, CqlType::Tuple(_) | CqlType::UserDefined { .. });
    if bytes.is_empty() && !is_bytes_like(cql_type) && !compound {
        // Some types have no empty values.
        crate::value::validate(cql_type, bytes)?;
        out.push(EMPTY);
        return Ok(());
    }
    out.push(VALUE);
    match cql_type {
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            let mut elements = Elements::list(cql_type, bytes)?;
            while let Some(bytes) = elements.next()? {
                encode_at(element, Some(bytes), depth_left, out, scales)?;
            }
            out.push(END);
        }
        CqlType::Map(key, item, _) => {
            let mut elements = Elements::map(cql_type, bytes)?;
            while let (Some(name), Some(value)) = (elements.next()?, elements.next()?) {
                encode_at(key, Some(name), depth_left, out, scales)?;
                encode_at(item, Some(value), depth_left, out, scales)?;
            }
            out.push(END);
        }
        CqlType::Tuple(fields) => {
            let parts = split_fields(cql_type, fields.len(), bytes)?;
            for (field, part) in fields.iter().zip(parts) {
                encode_at(field, part, depth_left, out, scales)?;
            }
        }
        CqlType::UserDefined { fields, .. } => {
            let parts = split_fields(cql_type, fields.len(), bytes)?;
            for ((_, field), part) in fields.iter().zip(parts) {
                encode_at(field, part, depth_left, out, scales)?;
            }
        }
        CqlType::Vector(element, dimension) => {
            for part in split_vector(cql_type, element, *dimension, bytes)? {
                encode_at(element, Some(part), depth_left, out, scales)?;
            }
        }
        _ => encode_native(cql_type, bytes, out, scales)?,
    }
    Ok(())
}

fn encode_native(cql_type: &CqlType, bytes: &[u8], out: &mut Vec<u8>, scales: &mut Vec<i32>) -> Result<(), ValueError> {
    if matches!(cql_type, CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Inet | CqlType::Duration) {
        crate::value::validate(cql_type, bytes)?;
        escape(bytes, out);
        return Ok(());
    }
    match (Value::decode(cql_type, bytes)?, cql_type) {
        (Value::Boolean(flag), _) => out.push(u8::from(flag)),
        (Value::TinyInt(number), _) => out.push((number as u8) ^ 0x80),
        (Value::SmallInt(number), _) => out.extend_from_slice(&((number as u16) ^ (1 << 15)).to_be_bytes()),
        (Value::Int(number), _) => out.extend_from_slice(&((number as u32) ^ (1 << 31)).to_be_bytes()),
        (Value::BigInt(number) | Value::Timestamp(number), _) => {
            out.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
        }
        (Value::Time(_) | Value::Date(_), _) => out.extend_from_slice(bytes),
        (Value::Float(number), _) => out.extend_from_slice(&number::sortable_f32(number).to_be_bytes()),
        (Value::Double(number), _) => out.extend_from_slice(&number::sortable_f64(number).to_be_bytes()),
        (Value::Uuid(uuid), CqlType::TimeUuid) => out.extend_from_slice(&number::sortable_timeuuid(uuid)),
        (Value::Uuid(uuid), _) => out.extend_from_slice(&number::sortable_uuid(uuid)),
        (Value::Varint(number), _) => encode_varint(&number, out),
        (Value::Decimal(unscaled, scale), _) => {
            encode_decimal(cql_type, &unscaled, scale, out)?;
            scales.push(scale);
        }
        _ => return Err(ValueError::Unsupported { cql_type: cql_type.to_string(), place: "as a key" }),
    }
    Ok(())
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(1);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn encode_varint(number: &BigInt, out: &mut Vec<u8>) {
    let start = out.len();
    let magnitude = match number.sign() {
        Sign::NoSign => return out.push(ZERO),
        _ => number.magnitude().to_bytes_be(),
    };
    out.push(POSITIVE);
    match u8::try_from(magnitude.len()) {
        Ok(length) if length < 0xff => out.push(length),
        _ => {
            out.push(0xff);
            out.extend_from_slice(&(magnitude.len() as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(&magnitude);
    if number.sign() == Sign::Minus {
        negate(start, out);
    }
}

fn encode_decimal(cql_type: &CqlType, unscaled: &BigInt, scale: i32, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    let number::Digits { digits, exponent } = number::Digits::of(unscaled, scale);
    if digits.is_empty() {
        out.push(ZERO);
    } else {
        let zeros = exponent + i64::from(scale) - digits.len() as i64;
        if zeros > limits::DECIMAL_KEY_ZEROS_MAX {
            return Err(ValueError::malformed(cql_type, "a decimal with too many digits for a key"));
        }
        out.push(POSITIVE);
        out.extend_from_slice(&((exponent as u64) ^ (1 << 63)).to_be_bytes());
        out.extend_from_slice(&digits);
        out.push(0);
        if unscaled.sign() == Sign::Minus {
            negate(start, out);
        }
    }
    Ok(())
}

/// Inverts what was written since `start` but its sign, which becomes that of negative numbers.
fn negate(start: usize, out: &mut [u8]) {
    for (index, byte) in out.iter_mut().skip(start).enumerate() {
        *byte = if index == 0 { NEGATIVE } else { !*byte };
    }
}
