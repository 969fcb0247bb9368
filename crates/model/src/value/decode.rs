//! Cassandra's binary encodings to values, validating everything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use num_bigint::BigInt;

use super::{Value, ValueError, compare, vint};
use crate::limits;
use crate::types::CqlType;

impl Value {
    /// Reads the encoding of a value of this type. Bytes of length zero, which Cassandra admits for most types that have no
    /// such value, give null. Sets and maps come out sorted and without duplicates, whatever order the bytes had.
    pub fn decode(cql_type: &CqlType, bytes: &[u8]) -> Result<Self, ValueError> {
        decode_at(cql_type, bytes, limits::TYPE_DEPTH_MAX)
    }
}

/// Checks that the bytes are an encoding of the type.
pub fn validate(cql_type: &CqlType, bytes: &[u8]) -> Result<(), ValueError> {
    match cql_type {
        // The two kinds of value that make up most data need not be copied.
        CqlType::Blob => Ok(()),
        CqlType::Text => text(cql_type, bytes).map(drop),
        _ => Value::decode(cql_type, bytes).map(drop),
    }
}

/// The length of all encodings of the type, if they have one; as Cassandra's vectors count it.
pub(crate) fn fixed_length(cql_type: &CqlType) -> Option<usize> {
    match cql_type {
        CqlType::Boolean => Some(1),
        CqlType::Int | CqlType::Float => Some(4),
        CqlType::BigInt | CqlType::Double | CqlType::Timestamp => Some(8),
        CqlType::Uuid | CqlType::TimeUuid => Some(16),
        CqlType::Vector(element, dimension) => Some(fixed_length(element)? * usize::from(*dimension)),
        _ => None,
    }
}

/// Whether a value of zero bytes is a value like any other, rather than 'empty'.
pub(crate) fn is_bytes_like(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::Ascii | CqlType::Text | CqlType::Blob)
}

fn decode_at(cql_type: &CqlType, bytes: &[u8], depth_left: usize) -> Result<Value, ValueError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(ValueError::TooDeep { max: limits::TYPE_DEPTH_MAX });
    };
    match cql_type {
        CqlType::List(element, _) => {
            let items = Elements::list(cql_type, bytes)?.decode(element, depth_left)?;
            Ok(Value::Sequence(items.into_iter().map(|(_, value)| value).collect()))
        }
        CqlType::Set(element, _) => {
            let mut items = Elements::list(cql_type, bytes)?.decode(element, depth_left)?;
            items.sort_by(|(left, _), (right, _)| compare(element, left, right));
            items.dedup_by(|(left, _), (right, _)| compare(element, left, right).is_eq());
            Ok(Value::Sequence(items.into_iter().map(|(_, value)| value).collect()))
        }
        CqlType::Map(key, item, _) => decode_map(cql_type, key, item, bytes, depth_left),
        CqlType::Tuple(fields) => {
            let fields: Vec<&CqlType> = fields.iter().collect();
            decode_fields(cql_type, &fields, bytes, depth_left)
        }
        CqlType::UserDefined { fields, .. } => {
            let fields: Vec<&CqlType> = fields.iter().map(|(_, field)| field).collect();
            decode_fields(cql_type, &fields, bytes, depth_left)
        }
        CqlType::Vector(element, dimension) => {
            let items = split_vector(cql_type, element, *dimension, bytes)?;
            let items = items.into_iter().map(|item| decode_at(element, item, depth_left));
            Ok(Value::Sequence(items.collect::<Result<_, _>>()?))
        }
        _ if bytes.is_empty() && !is_bytes_like(cql_type) => match cql_type {
            CqlType::TinyInt | CqlType::SmallInt | CqlType::Date | CqlType::Time | CqlType::Duration => {
                Err(wrong_length(cql_type, 0))
            }
            _ => Ok(Value::Null),
        },
        _ => decode_native(cql_type, bytes),
    }
}

fn decode_native(cql_type: &CqlType, bytes: &[u8]) -> Result<Value, ValueError> {
    Ok(match cql_type {
        CqlType::Ascii => match bytes.iter().find(|byte| !byte.is_ascii()) {
            Some(byte) => {
                return Err(ValueError::malformed(cql_type, format!("Invalid byte for ascii: {}", *byte as i8)));
            }
            None => Value::Text(text(cql_type, bytes)?.to_owned()),
        },
        CqlType::Text => Value::Text(text(cql_type, bytes)?.to_owned()),
        CqlType::Blob => Value::Blob(Bytes::copy_from_slice(bytes)),
        CqlType::Boolean => Value::Boolean(u8::from_be_bytes(array(cql_type, bytes)?) != 0),
        CqlType::TinyInt => Value::TinyInt(i8::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::SmallInt => Value::SmallInt(i16::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Int => Value::Int(i32::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::BigInt | CqlType::Counter => Value::BigInt(i64::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Timestamp => Value::Timestamp(i64::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Time => {
            let nanos = i64::from_be_bytes(array(cql_type, bytes)?);
            if !(0..super::calendar::NANOS_PER_DAY).contains(&nanos) {
                return Err(ValueError::malformed(cql_type, format!("Input long out of bounds: {nanos}")));
            }
            Value::Time(nanos)
        }
        CqlType::Date => Value::Date(u32::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Float => Value::Float(f32::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Double => Value::Double(f64::from_be_bytes(array(cql_type, bytes)?)),
        CqlType::Varint => Value::Varint(integer(bytes)?),
        CqlType::Decimal => match bytes.split_first_chunk::<4>() {
            Some((scale, unscaled)) if !unscaled.is_empty() => {
                Value::Decimal(integer(unscaled)?, i32::from_be_bytes(*scale))
            }
            _ => return Err(wrong_length(cql_type, bytes.len())),
        },
        CqlType::Uuid => Value::Uuid(array(cql_type, bytes)?),
        CqlType::TimeUuid => {
            let uuid: [u8; 16] = array(cql_type, bytes)?;
            if uuid[6] >> 4 != 1 {
                return Err(ValueError::malformed(cql_type, "Invalid version for TimeUUID type."));
            }
            Value::Uuid(uuid)
        }
        CqlType::Inet => Value::Inet(inet(cql_type, bytes)?),
        CqlType::Duration => duration(cql_type, bytes)?,
        _ => return Err(ValueError::Unsupported { cql_type: cql_type.to_string(), place: "as a native value" }),
    })
}

fn text<'a>(cql_type: &CqlType, bytes: &'a [u8]) -> Result<&'a str, ValueError> {
    std::str::from_utf8(bytes).map_err(|_| ValueError::malformed(cql_type, "String didn't validate."))
}

fn array<const N: usize>(cql_type: &CqlType, bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| wrong_length(cql_type, bytes.len()))
}

fn wrong_length(cql_type: &CqlType, found: usize) -> ValueError {
    let expected = match cql_type {
        CqlType::Boolean => "Expected 1 or 0 byte value",
        CqlType::TinyInt => "Expected 1 byte for a tinyint",
        CqlType::SmallInt => "Expected 2 bytes for a smallint",
        CqlType::Int => "Expected 4 or 0 byte int",
        CqlType::BigInt | CqlType::Counter => "Expected 8 or 0 byte long",
        CqlType::Timestamp => "Expected 8 or 0 byte long for date",
        CqlType::Time => "Expected 8 byte long for time",
        CqlType::Date => "Expected 4 byte long for date",
        CqlType::Float => "Expected 4 or 0 byte value for a float",
        CqlType::Double => "Expected 8 or 0 byte value for a double",
        CqlType::Decimal => "Expected 0 or at least 4 bytes",
        CqlType::Duration => "Expected at least 3 bytes for a duration",
        _ => "UUID should be 16 or 0 bytes",
    };
    ValueError::malformed(cql_type, format!("{expected} ({found})"))
}

fn inet(cql_type: &CqlType, bytes: &[u8]) -> Result<IpAddr, ValueError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(octets) => Ok(IpAddr::V6(Ipv6Addr::from(octets))),
        Err(_) => {
            Err(ValueError::malformed(cql_type, format!("Expected 4 or 16 byte inetaddress; got {}", bytes.len())))
        }
    }
}

fn duration(cql_type: &CqlType, bytes: &[u8]) -> Result<Value, ValueError> {
    let input = &mut &*bytes;
    let mut next = || vint::read_signed(input).ok_or_else(|| wrong_length(cql_type, bytes.len()));
    let (months, days, nanos) = (next()?, next()?, next()?);
    if !input.is_empty() {
        return Err(ValueError::malformed(cql_type, "Unexpected extraneous bytes after duration value"));
    }
    let (months, days) = check_duration(cql_type, months, days, nanos)?;
    Ok(Value::Duration(months, days, nanos))
}

fn integer(bytes: &[u8]) -> Result<BigInt, ValueError> {
    let (length, max) = (bytes.len(), limits::VARINT_BYTES_MAX);
    if length > max {
        return Err(ValueError::TooLong { what: "an integer", length, max });
    }
    Ok(BigInt::from_signed_bytes_be(bytes))
}

pub(crate) fn check_duration(cql_type: &CqlType, months: i64, days: i64, nanos: i64) -> Result<(i32, i32), ValueError> {
    let (Ok(months), Ok(days)) = (i32::try_from(months), i32::try_from(days)) else {
        return Err(ValueError::malformed(
            cql_type,
            format!("The duration months and days must be 32 bits integers but were {months} and {days}"),
        ));
    };
    let negative = months < 0 || days < 0 || nanos < 0;
    let positive = months > 0 || days > 0 || nanos > 0;
    if negative && positive {
        return Err(ValueError::malformed(
            cql_type,
            format!(
                "The duration months, days and nanoseconds must be all of the same sign ({months}, {days}, {nanos})"
            ),
        ));
    }
    Ok((months, days))
}

/// The elements of a collection's encoding, in their order.
pub(crate) struct Elements<'a> {
    cql_type: &'a CqlType,
    input: &'a [u8],
    /// Elements left: for a map, twice the entries.
    left: usize,
}

impl<'a> Elements<'a> {
    /// Elements of a list or set.
    pub(crate) fn list(cql_type: &'a CqlType, bytes: &'a [u8]) -> Result<Self, ValueError> {
        Self::new(cql_type, bytes, 1)
    }

    /// Keys and values of a map, by turns.
    pub(crate) fn map(cql_type: &'a CqlType, bytes: &'a [u8]) -> Result<Self, ValueError> {
        Self::new(cql_type, bytes, 2)
    }

    fn new(cql_type: &'a CqlType, bytes: &'a [u8], per_entry: usize) -> Result<Self, ValueError> {
        let Some((count, input)) = bytes.split_first_chunk::<4>() else {
            return Err(too_short(cql_type));
        };
        let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| too_short(cql_type))?;
        let left = count.saturating_mul(per_entry);
        // Each element takes four bytes at least, so the count is no larger than the input justifies.
        if left > input.len() / 4 {
            return Err(too_short(cql_type));
        }
        Ok(Self { cql_type, input, left })
    }

    /// The next element; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&'a [u8]>, ValueError> {
        if self.left == 0 {
            return if self.input.is_empty() { Ok(None) } else { Err(extraneous(self.cql_type)) };
        }
        self.left -= 1;
        match take_field(&mut self.input).ok_or_else(|| too_short(self.cql_type))? {
            Some(element) => Ok(Some(element)),
            None => Err(ValueError::NullInCollection),
        }
    }

    fn decode(mut self, element: &CqlType, depth_left: usize) -> Result<Vec<(&'a [u8], Value)>, ValueError> {
        let mut items = Vec::new();
        while let Some(bytes) = self.next()? {
            items.push((bytes, decode_at(element, bytes, depth_left)?));
        }
        Ok(items)
    }
}

/// A length and so many bytes; the inner `None` is null (a negative length), the outer that the input is too short.
pub(crate) fn take_field<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *input = rest;
        return Some(None);
    };
    let (field, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(Some(field))
}

fn type_word(cql_type: &CqlType) -> &'static str {
    match cql_type {
        CqlType::List(..) => "list",
        CqlType::Set(..) => "set",
        CqlType::Map(..) => "map",
        CqlType::Vector(..) => "vector",
        CqlType::UserDefined { .. } => "user type",
        _ => "tuple",
    }
}

fn too_short(cql_type: &CqlType) -> ValueError {
    ValueError::malformed(cql_type, format!("Not enough bytes to read a {}", type_word(cql_type)))
}

fn extraneous(cql_type: &CqlType) -> ValueError {
    ValueError::malformed(cql_type, format!("Unexpected extraneous bytes after {} value", type_word(cql_type)))
}

fn decode_map(
    cql_type: &CqlType,
    key: &CqlType,
    item: &CqlType,
    bytes: &[u8],
    depth_left: usize,
) -> Result<Value, ValueError> {
    let mut elements = Elements::map(cql_type, bytes)?;
    let mut entries = Vec::new();
    while let (Some(name), Some(value)) = (elements.next()?, elements.next()?) {
        entries.push((name, decode_at(key, name, depth_left)?, decode_at(item, value, depth_left)?));
    }
    entries.sort_by(|(left, ..), (right, ..)| compare(key, left, right));
    entries.dedup_by(|later, earlier| {
        let same = compare(key, later.0, earlier.0).is_eq();
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    Ok(Value::Map(entries.into_iter().map(|(_, name, value)| (name, value)).collect()))
}

/// The fields of a tuple's or user type's encoding; those missing at the end are null.
pub(crate) fn split_fields<'a>(
    cql_type: &CqlType,
    count: usize,
    bytes: &'a [u8],
) -> Result<Vec<Option<&'a [u8]>>, ValueError> {
    let mut input = bytes;
    let mut fields = Vec::with_capacity(count);
    while fields.len() < count && !input.is_empty() {
        fields.push(take_field(&mut input).ok_or_else(|| too_short(cql_type))?);
    }
    if !input.is_empty() {
        return Err(extraneous(cql_type));
    }
    fields.resize(count, None);
    Ok(fields)
}

fn decode_fields(
    cql_type: &CqlType,
    fields: &[&CqlType],
    bytes: &[u8],
    depth_left: usize,
) -> Result<Value, ValueError> {
    let parts = split_fields(cql_type, fields.len(), bytes)?;
    let values = fields.iter().zip(parts).map(|(field, part)| match part {
        Some(part) => decode_at(field, part, depth_left),
        None => Ok(Value::Null),
    });
    Ok(Value::Sequence(values.collect::<Result<_, _>>()?))
}

/// The elements of a vector's encoding.
pub(crate) fn split_vector<'a>(
    cql_type: &CqlType,
    element: &CqlType,
    dimension: u16,
    bytes: &'a [u8],
) -> Result<Vec<&'a [u8]>, ValueError> {
    let mut input = bytes;
    let mut items = Vec::with_capacity(usize::from(dimension).min(bytes.len()));
    for _ in 0..dimension {
        let length = match fixed_length(element) {
            Some(length) => length,
            None => vint::read_unsigned(&mut input)
                .and_then(|length| usize::try_from(length).ok())
                .ok_or_else(|| too_short(cql_type))?,
        };
        let (item, rest) = input.split_at_checked(length).ok_or_else(|| too_short(cql_type))?;
        items.push(item);
        input = rest;
    }
    if input.is_empty() { Ok(items) } else { Err(extraneous(cql_type)) }
}
