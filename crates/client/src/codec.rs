//! Values to and from their binary encoding.

use std::net::IpAddr;

use bytes::Bytes;
use num_bigint::BigInt;
use quorate_model::{CqlType, Value};
use quorate_proto::v1;
use quorate_proto::v1::value::Kind;

use crate::error::ValueError;

/// Decodes a value of this type.
pub(crate) fn decode(cql_type: &CqlType, bytes: Bytes, place: &str) -> Result<Value, ValueError> {
    let value = quorate_proto::decode_value(cql_type, bytes).map_err(|error| ValueError {
        place: place.to_owned(),
        expected: cql_type.to_string(),
        found: error.to_string(),
    })?;
    Ok(from_message(value))
}

fn from_message(value: v1::Value) -> Value {
    let list = |list: v1::ValueList| Value::Sequence(list.values.into_iter().map(from_message).collect());
    let part = |value: Option<v1::Value>| value.map_or(Value::Null, from_message);
    match value.kind {
        None | Some(Kind::Null(_)) => Value::Null,
        Some(Kind::Text(text)) => Value::Text(text),
        Some(Kind::Bigint(number)) => Value::BigInt(number),
        Some(Kind::Blob(bytes)) => Value::Blob(bytes),
        Some(Kind::Boolean(flag)) => Value::Boolean(flag),
        Some(Kind::Decimal(decimal)) => {
            Value::Decimal(BigInt::from_signed_bytes_be(&decimal.unscaled), decimal.scale)
        }
        Some(Kind::Double(number)) => Value::Double(number),
        Some(Kind::Float(number)) => Value::Float(number),
        Some(Kind::Int(number)) => Value::Int(number),
        Some(Kind::Smallint(number)) => Value::SmallInt(number as i16),
        Some(Kind::Tinyint(number)) => Value::TinyInt(number as i8),
        Some(Kind::Varint(bytes)) => Value::Varint(BigInt::from_signed_bytes_be(&bytes)),
        Some(Kind::Timestamp(millis)) => Value::Timestamp(millis),
        Some(Kind::Uuid(bytes)) => bytes.as_ref().try_into().map_or(Value::Null, Value::Uuid),
        Some(Kind::Inet(bytes)) => match (<[u8; 4]>::try_from(bytes.as_ref()), <[u8; 16]>::try_from(bytes.as_ref())) {
            (Ok(v4), _) => Value::Inet(IpAddr::from(v4)),
            (_, Ok(v6)) => Value::Inet(IpAddr::from(v6)),
            _ => Value::Null,
        },
        Some(Kind::Date(days)) => Value::Date(days),
        Some(Kind::Time(nanos)) => Value::Time(nanos),
        Some(Kind::Duration(duration)) => Value::Duration(duration.months, duration.days, duration.nanoseconds),
        Some(Kind::List(values) | Kind::Set(values) | Kind::Tuple(values) | Kind::Vector(values)) => list(values),
        Some(Kind::Map(map)) => {
            Value::Map(map.entries.into_iter().map(|entry| (part(entry.key), part(entry.value))).collect())
        }
    }
}

/// Encodes a value as this type; `None` for null. Integers are converted if they fit; nothing else is.
pub(crate) fn encode(cql_type: &CqlType, value: &Value, place: &str) -> Result<Option<Bytes>, ValueError> {
    let message = to_message(cql_type, value, place)?;
    quorate_proto::encode_value(&message).map_err(|error| ValueError {
        place: place.to_owned(),
        expected: cql_type.to_string(),
        found: error.to_string(),
    })
}

fn to_message(cql_type: &CqlType, value: &Value, place: &str) -> Result<v1::Value, ValueError> {
    let mismatch = || ValueError {
        place: place.to_owned(),
        expected: cql_type.to_string(),
        found: format!("{value:?}"),
    };
    let list = |element: &CqlType, values: &[Value]| {
        let values = values.iter().map(|value| to_message(element, value, place)).collect::<Result<_, _>>()?;
        Ok::<_, ValueError>(v1::ValueList { values })
    };
    let integer = integer_of(value);
    let kind = match (cql_type, value) {
        (_, Value::Null) => Kind::Null(v1::Null {}),
        (CqlType::Ascii | CqlType::Text, Value::Text(text)) => Kind::Text(text.clone()),
        (CqlType::BigInt | CqlType::Counter, _) => {
            Kind::Bigint(integer.and_then(|number| number.try_into().ok()).ok_or_else(mismatch)?)
        }
        (CqlType::Int, _) => Kind::Int(integer.and_then(|number| number.try_into().ok()).ok_or_else(mismatch)?),
        (CqlType::SmallInt, _) => {
            let number: i16 = integer.and_then(|number| number.try_into().ok()).ok_or_else(mismatch)?;
            Kind::Smallint(number.into())
        }
        (CqlType::TinyInt, _) => {
            let number: i8 = integer.and_then(|number| number.try_into().ok()).ok_or_else(mismatch)?;
            Kind::Tinyint(number.into())
        }
        (CqlType::Varint, _) => Kind::Varint(integer.ok_or_else(mismatch)?.to_signed_bytes_be().into()),
        (CqlType::Blob, Value::Blob(bytes)) => Kind::Blob(bytes.clone()),
        (CqlType::Boolean, Value::Boolean(flag)) => Kind::Boolean(*flag),
        (CqlType::Decimal, Value::Decimal(unscaled, scale)) => {
            Kind::Decimal(v1::Decimal { unscaled: unscaled.to_signed_bytes_be().into(), scale: *scale })
        }
        (CqlType::Double, Value::Double(number)) => Kind::Double(*number),
        (CqlType::Double, Value::Float(number)) => Kind::Double(f64::from(*number)),
        (CqlType::Float, Value::Float(number)) => Kind::Float(*number),
        (CqlType::Timestamp, Value::Timestamp(millis)) => Kind::Timestamp(*millis),
        (CqlType::Uuid | CqlType::TimeUuid, Value::Uuid(bytes)) => Kind::Uuid(Bytes::copy_from_slice(bytes)),
        (CqlType::Inet, Value::Inet(address)) => Kind::Inet(match address {
            IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
            IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
        }),
        (CqlType::Date, Value::Date(days)) => Kind::Date(*days),
        (CqlType::Time, Value::Time(nanos)) => Kind::Time(*nanos),
        (CqlType::Duration, Value::Duration(months, days, nanoseconds)) => {
            Kind::Duration(v1::Duration { months: *months, days: *days, nanoseconds: *nanoseconds })
        }
        (CqlType::List(element, _), Value::Sequence(values)) => Kind::List(list(element, values)?),
        (CqlType::Set(element, _), Value::Sequence(values)) => Kind::Set(list(element, values)?),
        (CqlType::Vector(element, dimension), Value::Sequence(values)) if values.len() == usize::from(*dimension) => {
            Kind::Vector(list(element, values)?)
        }
        (CqlType::Map(key_type, value_type, _), Value::Map(entries)) => {
            let entries = entries
                .iter()
                .map(|(key, value)| {
                    let key = Some(to_message(key_type, key, place)?);
                    Ok(v1::ValueMapEntry { key, value: Some(to_message(value_type, value, place)?) })
                })
                .collect::<Result<_, ValueError>>()?;
            Kind::Map(v1::ValueMap { entries })
        }
        (CqlType::Tuple(types), Value::Sequence(values)) if values.len() <= types.len() => {
            Kind::Tuple(fields(types.iter(), values, place)?)
        }
        (CqlType::UserDefined { fields: types, .. }, Value::Sequence(values)) if values.len() <= types.len() => {
            Kind::Tuple(fields(types.iter().map(|(_, cql_type)| cql_type), values, place)?)
        }
        _ => return Err(mismatch()),
    };
    Ok(v1::Value { kind: Some(kind) })
}

fn fields<'a>(
    types: impl Iterator<Item = &'a CqlType>,
    values: &[Value],
    place: &str,
) -> Result<v1::ValueList, ValueError> {
    let values =
        types.zip(values).map(|(cql_type, value)| to_message(cql_type, value, place)).collect::<Result<_, _>>()?;
    Ok(v1::ValueList { values })
}

fn integer_of(value: &Value) -> Option<BigInt> {
    match value {
        Value::TinyInt(number) => Some((*number).into()),
        Value::SmallInt(number) => Some((*number).into()),
        Value::Int(number) => Some((*number).into()),
        Value::BigInt(number) => Some((*number).into()),
        Value::Varint(number) => Some(number.clone()),
        _ => None,
    }
}
