//! Cassandra's binary encoding to typed values of messages: the inverse of `encode`, led by a type.

use bytes::{Buf as _, Bytes};
use quorate_model::CqlType;
use quorate_model::request::Rows;

use crate::convert::{ConvertError, broken};
use crate::limits::DEPTH_MAX;
use crate::v1;
use crate::v1::value::Kind;

/// Rows of an answer as typed values.
pub fn typed_rows(rows: &Rows) -> Result<Vec<v1::Row>, ConvertError> {
    let mut input = rows.data.clone();
    let columns = &rows.metadata.columns;
    // A row takes at least four bytes a column: a count that cannot be is not allocated for.
    let possible = input.len() / (4 * columns.len()).max(1);
    let mut typed = Vec::with_capacity(possible.min(rows.row_count as usize));
    for _ in 0..rows.row_count {
        let values = columns
            .iter()
            .map(|column| match take_sized(&mut input)? {
                Some(bytes) => decode_value(&column.cql_type, bytes),
                None => Ok(null()),
            })
            .collect::<Result<_, _>>()?;
        typed.push(v1::Row { values });
    }
    Ok(typed)
}

/// A value of this type. Zero bytes of a type that cannot be empty are Cassandra's 'empty' value, shown as null.
pub fn decode_value(cql_type: &CqlType, bytes: Bytes) -> Result<v1::Value, ConvertError> {
    decode(cql_type, bytes, 0)
}

fn null() -> v1::Value {
    v1::Value { kind: Some(Kind::Null(v1::Null {})) }
}

fn decode(cql_type: &CqlType, mut input: Bytes, depth: usize) -> Result<v1::Value, ConvertError> {
    if depth > DEPTH_MAX {
        return Err(broken("value", format!("is nested deeper than {DEPTH_MAX}")));
    }
    if input.is_empty() && !matches!(cql_type, CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Tuple(_)) {
        return Ok(null());
    }
    let kind = match cql_type {
        CqlType::Ascii | CqlType::Text => {
            Kind::Text(std::str::from_utf8(&input).map_err(|_| broken("value.text", "is not UTF-8"))?.to_owned())
        }
        CqlType::BigInt | CqlType::Counter => Kind::Bigint(i64::from_be_bytes(fixed(&mut input)?)),
        CqlType::Blob => Kind::Blob(input.split_off(0)),
        CqlType::Boolean => Kind::Boolean(fixed::<1>(&mut input)? != [0]),
        CqlType::Decimal => {
            let scale = i32::from_be_bytes(fixed(&mut input)?);
            if input.is_empty() {
                return Err(broken("value.decimal", "has no digits"));
            }
            Kind::Decimal(v1::Decimal { unscaled: input.split_off(0), scale })
        }
        CqlType::Double => Kind::Double(f64::from_be_bytes(fixed(&mut input)?)),
        CqlType::Float => Kind::Float(f32::from_be_bytes(fixed(&mut input)?)),
        CqlType::Int => Kind::Int(i32::from_be_bytes(fixed(&mut input)?)),
        CqlType::SmallInt => Kind::Smallint(i16::from_be_bytes(fixed(&mut input)?).into()),
        CqlType::TinyInt => Kind::Tinyint(i8::from_be_bytes(fixed(&mut input)?).into()),
        CqlType::Timestamp => Kind::Timestamp(i64::from_be_bytes(fixed(&mut input)?)),
        CqlType::Time => Kind::Time(i64::from_be_bytes(fixed(&mut input)?)),
        CqlType::Date => Kind::Date(u32::from_be_bytes(fixed(&mut input)?)),
        CqlType::Varint => Kind::Varint(input.split_off(0)),
        CqlType::Uuid | CqlType::TimeUuid => Kind::Uuid(take(&mut input, 16)?),
        CqlType::Inet if input.len() == 4 || input.len() == 16 => Kind::Inet(input.split_off(0)),
        CqlType::Inet => return Err(broken("value.inet", format!("has {} bytes, not 4 or 16", input.len()))),
        CqlType::Duration => Kind::Duration(decode_duration(&mut input)?),
        CqlType::List(element, _) => Kind::List(decode_list(element, &mut input, depth)?),
        CqlType::Set(element, _) => Kind::Set(decode_list(element, &mut input, depth)?),
        CqlType::Map(key, value, _) => Kind::Map(decode_map(key, value, &mut input, depth)?),
        CqlType::Tuple(fields) => Kind::Tuple(decode_fields(fields.iter(), &mut input, depth)?),
        CqlType::UserDefined { fields, .. } => {
            Kind::Tuple(decode_fields(fields.iter().map(|(_, cql_type)| cql_type), &mut input, depth)?)
        }
        CqlType::Vector(element, dimension) => Kind::Vector(decode_vector(element, *dimension, &mut input, depth)?),
    };
    if !input.is_empty() {
        return Err(broken("value", format!("has {} bytes left over", input.len())));
    }
    Ok(v1::Value { kind: Some(kind) })
}

fn take(input: &mut Bytes, len: usize) -> Result<Bytes, ConvertError> {
    if len > input.len() {
        return Err(broken("value", format!("ends after {} bytes where {len} are due", input.len())));
    }
    Ok(input.split_to(len))
}

fn fixed<const N: usize>(input: &mut Bytes) -> Result<[u8; N], ConvertError> {
    let mut array = [0; N];
    array.copy_from_slice(&take(input, N)?);
    Ok(array)
}

/// A length (an i32, negative for null) and so many bytes.
fn take_sized(input: &mut Bytes) -> Result<Option<Bytes>, ConvertError> {
    match usize::try_from(i32::from_be_bytes(fixed(input)?)) {
        Ok(len) => take(input, len).map(Some),
        Err(_) => Ok(None),
    }
}

fn sized_value(cql_type: &CqlType, input: &mut Bytes, depth: usize) -> Result<v1::Value, ConvertError> {
    match take_sized(input)? {
        Some(bytes) => decode(cql_type, bytes, depth + 1),
        None => Ok(null()),
    }
}

/// A count of items that take at least so many bytes each.
fn take_count(input: &mut Bytes, item_bytes_min: usize) -> Result<usize, ConvertError> {
    let count = i32::from_be_bytes(fixed(input)?);
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= input.len() / item_bytes_min)
        .ok_or_else(|| broken("value", format!("has a count of {count}, more than its bytes can hold")))
}

fn decode_list(element: &CqlType, input: &mut Bytes, depth: usize) -> Result<v1::ValueList, ConvertError> {
    let count = take_count(input, 4)?;
    let values = (0..count).map(|_| sized_value(element, input, depth)).collect::<Result<_, _>>()?;
    Ok(v1::ValueList { values })
}

fn decode_map(
    key_type: &CqlType,
    value_type: &CqlType,
    input: &mut Bytes,
    depth: usize,
) -> Result<v1::ValueMap, ConvertError> {
    let count = take_count(input, 8)?;
    let entries = (0..count)
        .map(|_| {
            let key = Some(sized_value(key_type, input, depth)?);
            let value = Some(sized_value(value_type, input, depth)?);
            Ok(v1::ValueMapEntry { key, value })
        })
        .collect::<Result<_, ConvertError>>()?;
    Ok(v1::ValueMap { entries })
}

/// Fields of a tuple or user type; a value written before fields were added has fewer, the rest is null.
fn decode_fields<'a>(
    fields: impl Iterator<Item = &'a CqlType>,
    input: &mut Bytes,
    depth: usize,
) -> Result<v1::ValueList, ConvertError> {
    let values = fields
        .map(|field| if input.is_empty() { Ok(null()) } else { sized_value(field, input, depth) })
        .collect::<Result<_, _>>()?;
    Ok(v1::ValueList { values })
}

fn decode_vector(
    element: &CqlType,
    dimension: u16,
    input: &mut Bytes,
    depth: usize,
) -> Result<v1::ValueList, ConvertError> {
    let size = match element {
        CqlType::Boolean => Some(1),
        CqlType::Float | CqlType::Int => Some(4),
        CqlType::BigInt | CqlType::Double | CqlType::Timestamp => Some(8),
        CqlType::Uuid | CqlType::TimeUuid => Some(16),
        _ => None,
    };
    let mut values = Vec::new();
    for _ in 0..dimension {
        let len = match size {
            Some(size) => size,
            None => usize::try_from(unsigned_vint(input)?).unwrap_or(usize::MAX),
        };
        values.push(decode(element, take(input, len)?, depth + 1)?);
    }
    Ok(v1::ValueList { values })
}

fn decode_duration(input: &mut Bytes) -> Result<v1::Duration, ConvertError> {
    let mut signed = || unsigned_vint(input).map(|value| ((value >> 1) as i64) ^ -((value & 1) as i64));
    let small = |value: i64| i32::try_from(value).map_err(|_| broken("value.duration", "has a part out of range"));
    Ok(v1::Duration { months: small(signed()?)?, days: small(signed()?)?, nanoseconds: signed()? })
}

fn unsigned_vint(input: &mut Bytes) -> Result<u64, ConvertError> {
    let [first] = fixed::<1>(input)?;
    let extra = first.leading_ones() as usize;
    let mut rest = take(input, extra)?;
    let mut value = if extra >= 8 { 0 } else { u64::from(first & (0xff >> (extra + 1).min(8)) as u8) };
    while rest.has_remaining() {
        value = (value << 8) | u64::from(rest.get_u8());
    }
    Ok(value)
}
