//! Values to and from their binary encoding, with the client's own leniency about the width of numbers.

use bytes::Bytes;
use num_bigint::BigInt;
use quorate_model::value::ValueError as ModelError;
use quorate_model::{CqlType, Value};

use crate::error::ValueError;

/// Decodes a value of this type.
pub(crate) fn decode(cql_type: &CqlType, bytes: &[u8], place: &str) -> Result<Value, ValueError> {
    Value::decode(cql_type, bytes).map_err(|error| at(place, cql_type, &error))
}

/// Encodes a value as this type; `None` for null. A number of another width is converted if it fits.
pub(crate) fn encode(cql_type: &CqlType, value: &Value, place: &str) -> Result<Option<Bytes>, ValueError> {
    match value.encode(cql_type) {
        Err(ModelError::Mismatch { .. }) => {
            convert(cql_type, value).encode(cql_type).map_err(|error| at(place, cql_type, &error))
        }
        other => other.map_err(|error| at(place, cql_type, &error)),
    }
}

fn at(place: &str, cql_type: &CqlType, error: &ModelError) -> ValueError {
    ValueError { place: place.to_owned(), expected: cql_type.to_string(), found: error.to_string() }
}

/// The same value with its numbers as the type wants them; what does not fit stays as it is.
fn convert(cql_type: &CqlType, value: &Value) -> Value {
    let all = |element: &CqlType, values: &[Value]| values.iter().map(|value| convert(element, value)).collect();
    match (cql_type, value) {
        (CqlType::Double, Value::Float(number)) => Value::Double(f64::from(*number)),
        (
            CqlType::List(element, _) | CqlType::Set(element, _) | CqlType::Vector(element, _),
            Value::Sequence(values),
        ) => Value::Sequence(all(element, values)),
        (CqlType::Map(key_type, value_type, _), Value::Map(entries)) => Value::Map(
            entries.iter().map(|(key, value)| (convert(key_type, key), convert(value_type, value))).collect(),
        ),
        (CqlType::Tuple(types), Value::Sequence(values)) => {
            Value::Sequence(types.iter().zip(values).map(|(cql_type, value)| convert(cql_type, value)).collect())
        }
        (CqlType::UserDefined { fields, .. }, Value::Sequence(values)) => {
            Value::Sequence(fields.iter().zip(values).map(|((_, field), value)| convert(field, value)).collect())
        }
        _ => integer_of(value).and_then(|number| integer_as(cql_type, number)).unwrap_or_else(|| value.clone()),
    }
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

fn integer_as(cql_type: &CqlType, number: BigInt) -> Option<Value> {
    match cql_type {
        CqlType::TinyInt => number.try_into().ok().map(Value::TinyInt),
        CqlType::SmallInt => number.try_into().ok().map(Value::SmallInt),
        CqlType::Int => number.try_into().ok().map(Value::Int),
        CqlType::BigInt | CqlType::Counter => number.try_into().ok().map(Value::BigInt),
        CqlType::Varint => Some(Value::Varint(number)),
        CqlType::Decimal => Some(Value::Decimal(number, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_the_width_of_their_marker() {
        let wide = encode(&CqlType::BigInt, &Value::Int(7), "a").unwrap().unwrap();
        assert_eq!(wide.as_ref(), &7i64.to_be_bytes());
        let narrow = encode(&CqlType::TinyInt, &Value::BigInt(-3), "a").unwrap().unwrap();
        assert_eq!(narrow.as_ref(), &(-3i8).to_be_bytes());
        let list = CqlType::List(Box::new(CqlType::BigInt), false);
        assert!(encode(&list, &Value::Sequence(vec![Value::Int(1)]), "a").is_ok());
    }

    #[test]
    fn what_does_not_fit_names_the_marker() {
        let error = encode(&CqlType::TinyInt, &Value::Int(1_000), "age").unwrap_err();
        assert_eq!(error.place, "age");
        assert_eq!(error.expected, "tinyint");
        assert!(encode(&CqlType::Int, &Value::Text("1".to_owned()), "age").is_err());
    }

    #[test]
    fn null_has_no_bytes() {
        assert_eq!(encode(&CqlType::Int, &Value::Null, "a").unwrap(), None);
    }
}
