//! Rows in the native protocol's encoding to typed values of messages.

use std::net::IpAddr;

use bytes::{Buf as _, Bytes};
use num_bigint::BigInt;
use quorate_model::request::Rows;
use quorate_model::{CqlType, Value};

use crate::convert::{ConvertError, broken};
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
            .map(|column| match take_cell(&mut input)? {
                Some(bytes) => decode_value(&column.cql_type, &bytes),
                None => Ok(null()),
            })
            .collect::<Result<_, _>>()?;
        typed.push(v1::Row { values });
    }
    if input.has_remaining() {
        return Err(broken("rows", format!("have {} bytes left over", input.len())));
    }
    Ok(typed)
}

/// A length (an i32, negative for null) and so many bytes.
fn take_cell(input: &mut Bytes) -> Result<Option<Bytes>, ConvertError> {
    if input.len() < 4 {
        return Err(broken("rows", "end within a cell's length"));
    }
    match usize::try_from(input.get_i32()) {
        Err(_) => Ok(None),
        Ok(len) if len <= input.len() => Ok(Some(input.split_to(len))),
        Ok(len) => Err(broken("rows", format!("end {} bytes into a cell of {len}", input.len()))),
    }
}

/// A value of this type as a message.
pub fn decode_value(cql_type: &CqlType, bytes: &[u8]) -> Result<v1::Value, ConvertError> {
    let value = Value::decode(cql_type, bytes).map_err(|error| broken("value", error.to_string()))?;
    Ok(value_to_proto(cql_type, value))
}

fn null() -> v1::Value {
    v1::Value { kind: Some(Kind::Null(v1::Null {})) }
}

/// A value as a message; the type tells lists from sets and tuples.
pub fn value_to_proto(cql_type: &CqlType, value: Value) -> v1::Value {
    let all = |element: &CqlType, values: Vec<Value>| v1::ValueList {
        values: values.into_iter().map(|value| value_to_proto(element, value)).collect(),
    };
    let varint = |number: &BigInt| Bytes::from(number.to_signed_bytes_be());
    let kind = match (cql_type, value) {
        (_, Value::Null) => Kind::Null(v1::Null {}),
        (_, Value::Text(text)) => Kind::Text(text),
        (_, Value::BigInt(number)) => Kind::Bigint(number),
        (_, Value::Blob(bytes)) => Kind::Blob(bytes),
        (_, Value::Boolean(flag)) => Kind::Boolean(flag),
        (_, Value::Decimal(unscaled, scale)) => Kind::Decimal(v1::Decimal { unscaled: varint(&unscaled), scale }),
        (_, Value::Double(number)) => Kind::Double(number),
        (_, Value::Float(number)) => Kind::Float(number),
        (_, Value::Int(number)) => Kind::Int(number),
        (_, Value::SmallInt(number)) => Kind::Smallint(number.into()),
        (_, Value::TinyInt(number)) => Kind::Tinyint(number.into()),
        (_, Value::Varint(number)) => Kind::Varint(varint(&number)),
        (_, Value::Timestamp(millis)) => Kind::Timestamp(millis),
        (_, Value::Uuid(uuid)) => Kind::Uuid(Bytes::copy_from_slice(&uuid)),
        (_, Value::Inet(IpAddr::V4(address))) => Kind::Inet(Bytes::copy_from_slice(&address.octets())),
        (_, Value::Inet(IpAddr::V6(address))) => Kind::Inet(Bytes::copy_from_slice(&address.octets())),
        (_, Value::Date(days)) => Kind::Date(days),
        (_, Value::Time(nanos)) => Kind::Time(nanos),
        (_, Value::Duration(months, days, nanoseconds)) => Kind::Duration(v1::Duration { months, days, nanoseconds }),
        (CqlType::List(element, _), Value::Sequence(values)) => Kind::List(all(element, values)),
        (CqlType::Set(element, _), Value::Sequence(values)) => Kind::Set(all(element, values)),
        (CqlType::Vector(element, _), Value::Sequence(values)) => Kind::Vector(all(element, values)),
        (CqlType::Tuple(types), Value::Sequence(values)) => Kind::Tuple(fields(types.iter(), values)),
        (CqlType::UserDefined { fields: types, .. }, Value::Sequence(values)) => {
            Kind::Tuple(fields(types.iter().map(|(_, cql_type)| cql_type), values))
        }
        // No other type has a sequence or a map; their elements then say themselves what they are.
        (_, Value::Sequence(values)) => Kind::List(all(&CqlType::Blob, values)),
        (CqlType::Map(key_type, value_type, _), Value::Map(entries)) => map(key_type, value_type, entries),
        (_, Value::Map(entries)) => map(&CqlType::Blob, &CqlType::Blob, entries),
    };
    v1::Value { kind: Some(kind) }
}

fn map(key_type: &CqlType, value_type: &CqlType, entries: Vec<(Value, Value)>) -> Kind {
    let entry = |(key, value)| v1::ValueMapEntry {
        key: Some(value_to_proto(key_type, key)),
        value: Some(value_to_proto(value_type, value)),
    };
    Kind::Map(v1::ValueMap { entries: entries.into_iter().map(entry).collect() })
}

fn fields<'a>(types: impl Iterator<Item = &'a CqlType>, values: Vec<Value>) -> v1::ValueList {
    v1::ValueList { values: types.zip(values).map(|(cql_type, value)| value_to_proto(cql_type, value)).collect() }
}
