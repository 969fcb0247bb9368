//! Values to Cassandra's binary encodings (CQL native protocol v5, section 6).

use std::net::IpAddr;

use bytes::Bytes;

use super::{Value, ValueError, compare, vint};
use crate::limits;
use crate::types::CqlType;

impl Value {
    /// The encoding of the value as this type; `None` for null. Sets and maps come out sorted and without duplicates (of
    /// equal keys the last stands).
    pub fn encode(&self, cql_type: &CqlType) -> Result<Option<Bytes>, ValueError> {
        encode_at(self, cql_type, limits::TYPE_DEPTH_MAX).map(|bytes| bytes.map(Bytes::from))
    }

    /// What kind of value it is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "text",
            Self::BigInt(_) => "bigint",
            Self::Blob(_) => "blob",
            Self::Boolean(_) => "boolean",
            Self::Decimal(..) => "decimal",
            Self::Double(_) => "double",
            Self::Float(_) => "float",
            Self::Int(_) => "int",
            Self::SmallInt(_) => "smallint",
            Self::TinyInt(_) => "tinyint",
            Self::Varint(_) => "varint",
            Self::Timestamp(_) => "timestamp",
            Self::Uuid(_) => "uuid",
            Self::Inet(_) => "inet",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Duration(..) => "duration",
            Self::Sequence(_) => "a sequence",
            Self::Map(_) => "a map",
        }
    }
}

fn encode_at(value: &Value, cql_type: &CqlType, depth_left: usize) -> Result<Option<Vec<u8>>, ValueError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(ValueError::TooDeep { max: limits::TYPE_DEPTH_MAX });
    };
    let encoded = match (cql_type, value) {
        (_, Value::Null) => return Ok(None),
        (CqlType::List(element, _), Value::Sequence(items)) => {
            let items = items.iter().map(|item| encode_element(item, element, depth_left));
            encode_list(&items.collect::<Result<Vec<_>, _>>()?)
        }
        (CqlType::Set(element, _), Value::Sequence(items)) => {
            let items = items.iter().map(|item| encode_element(item, element, depth_left));
            let mut items = items.collect::<Result<Vec<_>, _>>()?;
            items.sort_by(|left, right| compare(element, left, right));
            items.dedup_by(|left, right| compare(element, left, right).is_eq());
            encode_list(&items)
        }
        // An empty literal `{}` reads as either.
        (CqlType::Map(..), Value::Sequence(items)) if items.is_empty() => encode_list(&[]),
        (CqlType::Set(..), Value::Map(entries)) if entries.is_empty() => encode_list(&[]),
        (CqlType::Map(key, item, _), Value::Map(entries)) => encode_map(entries, key, item, depth_left)?,
        (CqlType::Tuple(fields), Value::Sequence(items)) => {
            encode_fields(cql_type, fields.iter(), fields.len(), items, depth_left)?
        }
        (CqlType::UserDefined { fields, .. }, Value::Sequence(items)) => {
            encode_fields(cql_type, fields.iter().map(|(_, field)| field), fields.len(), items, depth_left)?
        }
        (CqlType::Vector(element, dimension), Value::Sequence(items)) => {
            encode_vector(cql_type, element, *dimension, items, depth_left)?
        }
        _ => encode_native(value, cql_type)?,
    };
    Ok(Some(encoded))
}

fn encode_native(value: &Value, cql_type: &CqlType) -> Result<Vec<u8>, ValueError> {
    Ok(match (cql_type, value) {
        (CqlType::Ascii, Value::Text(text)) if !text.is_ascii() => {
            return Err(ValueError::malformed(cql_type, format!("Invalid ASCII character in string literal: {text}")));
        }
        (CqlType::Ascii | CqlType::Text, Value::Text(text)) => text.as_bytes().to_vec(),
        (CqlType::Blob, Value::Blob(bytes)) => bytes.to_vec(),
        (CqlType::Boolean, Value::Boolean(value)) => vec![u8::from(*value)],
        (CqlType::TinyInt, Value::TinyInt(value)) => value.to_be_bytes().to_vec(),
        (CqlType::SmallInt, Value::SmallInt(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Int, Value::Int(value)) => value.to_be_bytes().to_vec(),
        (CqlType::BigInt | CqlType::Counter, Value::BigInt(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Timestamp, Value::Timestamp(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Time, Value::Time(value)) => {
            if !(0..super::calendar::NANOS_PER_DAY).contains(value) {
                return Err(ValueError::malformed(cql_type, format!("Input long out of bounds: {value}")));
            }
            value.to_be_bytes().to_vec()
        }
        (CqlType::Date, Value::Date(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Float, Value::Float(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Double, Value::Double(value)) => value.to_be_bytes().to_vec(),
        (CqlType::Varint, Value::Varint(value)) => value.to_signed_bytes_be(),
        (CqlType::Decimal, Value::Decimal(unscaled, scale)) => {
            let mut bytes = scale.to_be_bytes().to_vec();
            bytes.extend_from_slice(&unscaled.to_signed_bytes_be());
            bytes
        }
        (CqlType::TimeUuid, Value::Uuid(uuid)) if uuid[6] >> 4 != 1 => {
            return Err(ValueError::malformed(cql_type, "Invalid version for TimeUUID type."));
        }
        (CqlType::Uuid | CqlType::TimeUuid, Value::Uuid(uuid)) => uuid.to_vec(),
        (CqlType::Inet, Value::Inet(IpAddr::V4(address))) => address.octets().to_vec(),
        (CqlType::Inet, Value::Inet(IpAddr::V6(address))) => address.octets().to_vec(),
        (CqlType::Duration, Value::Duration(months, days, nanos)) => {
            super::decode::check_duration(cql_type, i64::from(*months), i64::from(*days), *nanos)?;
            let mut bytes = Vec::with_capacity(8);
            vint::write_signed(i64::from(*months), &mut bytes);
            vint::write_signed(i64::from(*days), &mut bytes);
            vint::write_signed(*nanos, &mut bytes);
            bytes
        }
        _ => return Err(ValueError::Mismatch { expected: cql_type.to_string(), found: value.kind_name() }),
    })
}

fn encode_element(value: &Value, cql_type: &CqlType, depth_left: usize) -> Result<Vec<u8>, ValueError> {
    encode_at(value, cql_type, depth_left)?.ok_or(ValueError::NullInCollection)
}

/// Length and bytes; the protocol's lengths are signed 32-bit.
fn push_element(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn encode_list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = (items.len() as i32).to_be_bytes().to_vec();
    items.iter().for_each(|item| push_element(item, &mut out));
    out
}

fn encode_map(
    entries: &[(Value, Value)],
    key: &CqlType,
    item: &CqlType,
    depth_left: usize,
) -> Result<Vec<u8>, ValueError> {
    let encoded = entries
        .iter()
        .map(|(name, value)| Ok((encode_element(name, key, depth_left)?, encode_element(value, item, depth_left)?)));
    let mut encoded = encoded.collect::<Result<Vec<_>, ValueError>>()?;
    // Stable, so that of equal keys the last written is the last here; it then replaces those before it.
    encoded.sort_by(|(left, _), (right, _)| compare(key, left, right));
    encoded.dedup_by(|(later, value), (earlier, kept)| {
        let same = compare(key, later, earlier).is_eq();
        if same {
            std::mem::swap(value, kept);
        }
        same
    });
    let mut out = (encoded.len() as i32).to_be_bytes().to_vec();
    for (name, value) in &encoded {
        push_element(name, &mut out);
        push_element(value, &mut out);
    }
    Ok(out)
}

fn encode_fields<'a>(
    cql_type: &CqlType,
    fields: impl Iterator<Item = &'a CqlType>,
    count: usize,
    items: &[Value],
    depth_left: usize,
) -> Result<Vec<u8>, ValueError> {
    if items.len() > count {
        return Err(ValueError::malformed(
            cql_type,
            format!("Tuple value contained too many fields (expected {count}, got {})", items.len()),
        ));
    }
    let mut out = Vec::new();
    for (field, item) in fields.zip(items) {
        match encode_at(item, field, depth_left)? {
            Some(bytes) => push_element(&bytes, &mut out),
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    Ok(out)
}

fn encode_vector(
    cql_type: &CqlType,
    element: &CqlType,
    dimension: u16,
    items: &[Value],
    depth_left: usize,
) -> Result<Vec<u8>, ValueError> {
    if items.len() != usize::from(dimension) {
        return Err(ValueError::malformed(
            cql_type,
            format!("Invalid vector literal: expected {dimension} elements, but got {}", items.len()),
        ));
    }
    let mut out = Vec::new();
    for item in items {
        let bytes = encode_element(item, element, depth_left)?;
        if super::decode::fixed_length(element).is_none() {
            vint::write_unsigned(bytes.len() as u64, &mut out);
        }
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}
