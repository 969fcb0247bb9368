//! `CAST(x AS type)`, and numbers seen as other numbers.

use num_bigint::{BigInt, Sign};
use quorate_model::{CqlType, Value};

use crate::arithmetic::{is_number, narrow};
use crate::calls::ten_to;
use crate::limits::SCALE_DISTANCE_MAX;
use crate::moments;

/// Whether anything can be cast to the type.
pub(crate) fn is_target(to: &CqlType) -> bool {
    is_number(to) || matches!(to, CqlType::Text | CqlType::Ascii | CqlType::Date | CqlType::Timestamp)
}

pub(crate) fn is_possible(from: &CqlType, to: &CqlType) -> bool {
    use CqlType as T;
    match to {
        T::Text if *from == T::Ascii => true,
        T::Text | T::Ascii => {
            is_number(from)
                || matches!(from, T::Boolean | T::Date | T::Timestamp | T::Time | T::Uuid | T::TimeUuid | T::Inet)
        }
        T::Date => matches!(from, T::Timestamp | T::TimeUuid),
        T::Timestamp => matches!(from, T::Date | T::TimeUuid),
        T::BigInt | T::Varint if *from == T::Timestamp => true,
        _ => is_number(from),
    }
}

pub(crate) fn cast(from: &CqlType, to: &CqlType, value: Value) -> Result<Value, String> {
    if value == Value::Null {
        return Ok(Value::Null);
    }
    Ok(match to {
        CqlType::Text | CqlType::Ascii => {
            let text = value.to_cql_literal(from);
            let bare = text.trim_matches('\'');
            Value::Text(if *from == CqlType::Timestamp { bare.replacen(' ', "T", 1) } else { bare.to_owned() })
        }
        CqlType::Date | CqlType::Timestamp => {
            let ms = moments::millis(&value).ok_or_else(|| format!("a {from} has no time"))?;
            if *to == CqlType::Date { moments::date(ms) } else { Value::Timestamp(ms) }
        }
        CqlType::Float => Value::Float(match &value {
            Value::Decimal(..) => value.to_cql_literal(from).parse().unwrap_or(f32::NAN),
            other => double_of(other) as f32,
        }),
        CqlType::Double => Value::Double(double_of(&value)),
        CqlType::Decimal => match &value {
            // By way of the text, as the shortest number that reads back as the same.
            Value::Float(_) | Value::Double(_) => Value::parse_text(&CqlType::Decimal, &value.to_cql_literal(from))
                .map_err(|_| format!("{} is no decimal", value.to_cql_literal(from)))?,
            other => {
                let (number, scale) = decimal_of(other);
                Value::Decimal(number, scale)
            }
        },
        CqlType::Varint => Value::Varint(match &value {
            Value::Timestamp(ms) => BigInt::from(*ms),
            Value::Float(_) | Value::Double(_) => BigInt::from(double_of(&value) as i64),
            Value::Decimal(number, scale) => truncated(number, *scale)?,
            other => big_of(other),
        }),
        _ => match &value {
            Value::Timestamp(ms) => narrow(to, *ms),
            Value::Float(_) | Value::Double(_) => {
                let number = double_of(&value);
                // As in Java: to a long or an int, saturating; from there the lowest bits.
                narrow(to, if *to == CqlType::BigInt { number as i64 } else { i64::from(number as i32) })
            }
            Value::Decimal(number, scale) => narrow(to, lowest(&truncated(number, *scale)?)),
            Value::Varint(number) => narrow(to, lowest(number)),
            other => narrow(to, whole_of(other)),
        },
    })
}

fn truncated(number: &BigInt, scale: i32) -> Result<BigInt, String> {
    if scale.unsigned_abs() > SCALE_DISTANCE_MAX {
        return Err(format!("a scale of {scale} is not supported here"));
    }
    let power = ten_to(scale.unsigned_abs());
    Ok(if scale > 0 { number / power } else { number * power })
}

/// The lowest 64 bits, in two's complement.
fn lowest(number: &BigInt) -> i64 {
    let low = number.magnitude().iter_u64_digits().next().unwrap_or(0) as i64;
    if number.sign() == Sign::Minus { low.wrapping_neg() } else { low }
}

/// A whole number's value; others are 0.
pub(crate) fn whole_of(value: &Value) -> i64 {
    match value {
        Value::TinyInt(number) => i64::from(*number),
        Value::SmallInt(number) => i64::from(*number),
        Value::Int(number) => i64::from(*number),
        Value::BigInt(number) => *number,
        _ => 0,
    }
}

pub(crate) fn double_of(value: &Value) -> f64 {
    match value {
        Value::Float(number) => f64::from(*number),
        Value::Double(number) => *number,
        Value::Varint(number) => number.to_string().parse().unwrap_or(f64::NAN),
        Value::Decimal(number, scale) => format!("{number}e{}", -i64::from(*scale)).parse().unwrap_or(f64::NAN),
        other => whole_of(other) as f64,
    }
}

pub(crate) fn big_of(value: &Value) -> BigInt {
    match value {
        Value::Varint(number) => number.clone(),
        other => BigInt::from(whole_of(other)),
    }
}

/// A number as unscaled value and scale.
pub(crate) fn decimal_of(value: &Value) -> (BigInt, i32) {
    match value {
        Value::Decimal(number, scale) => (number.clone(), *scale),
        Value::Float(_) | Value::Double(_) => {
            let text = match value {
                Value::Float(_) => value.to_cql_literal(&CqlType::Float),
                _ => value.to_cql_literal(&CqlType::Double),
            };
            match Value::parse_text(&CqlType::Decimal, &text) {
                Ok(Value::Decimal(number, scale)) => (number, scale),
                _ => (BigInt::from(0), 0),
            }
        }
        other => (big_of(other), 0),
    }
}
