//! Text to values: what string literals and COPY accept.

use std::net::IpAddr;

use bytes::Bytes;
use num_bigint::BigInt;

use super::{Value, ValueError, literal, parse_time};
use crate::limits;
use crate::types::CqlType;

impl Value {
    /// Reads the text form of a value of this type. Text types take the text as it is; collections, tuples and user types
    /// are in the syntax of CQL literals.
    pub fn parse_text(cql_type: &CqlType, text: &str) -> Result<Self, ValueError> {
        parse_at(cql_type, text, limits::TYPE_DEPTH_MAX)
    }
}

pub(super) fn parse_at(cql_type: &CqlType, text: &str, depth_left: usize) -> Result<Value, ValueError> {
    let fail = |problem: String| ValueError::unparsable(cql_type, problem);
    // Spaces around are part of texts alone.
    let trimmed = text.trim();
    let (length, max) = (trimmed.len(), limits::VARINT_TEXT_BYTES_MAX);
    if matches!(cql_type, CqlType::Varint | CqlType::Decimal) && length > max {
        return Err(ValueError::TooLong { what: "a number", length, max });
    }
    Ok(match cql_type {
        CqlType::Text => Value::Text(text.to_owned()),
        CqlType::Ascii if text.is_ascii() => Value::Text(text.to_owned()),
        CqlType::Ascii => return Err(fail(format!("Invalid ASCII character in string literal: {text}"))),
        CqlType::Blob => Value::Blob(blob(cql_type, trimmed)?),
        CqlType::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
        CqlType::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
        CqlType::Boolean => return Err(fail(format!("Unable to make boolean from '{text}'"))),
        CqlType::TinyInt => Value::TinyInt(number(cql_type, trimmed, "byte")?),
        CqlType::SmallInt => Value::SmallInt(number(cql_type, trimmed, "short")?),
        CqlType::Int => Value::Int(number(cql_type, trimmed, "int")?),
        CqlType::BigInt | CqlType::Counter => Value::BigInt(number(cql_type, trimmed, "long")?),
        CqlType::Varint => Value::Varint(number(cql_type, trimmed, "int")?),
        CqlType::Float => Value::Float(float(cql_type, trimmed)?),
        CqlType::Double => Value::Double(float(cql_type, trimmed)?),
        CqlType::Decimal => decimal(cql_type, trimmed)?,
        CqlType::Uuid => Value::Uuid(uuid(cql_type, trimmed, "Unable to make UUID from")?),
        CqlType::TimeUuid => {
            let uuid = uuid(cql_type, trimmed, "Unknown timeuuid representation:")?;
            if uuid[6] >> 4 != 1 {
                return Err(fail("TimeUUID supports only version 1 UUIDs".to_owned()));
            }
            Value::Uuid(uuid)
        }
        CqlType::Inet => match trimmed.parse::<IpAddr>() {
            Ok(address) => Value::Inet(address),
            Err(_) => return Err(fail(format!("Unable to make inet address from '{text}'"))),
        },
        CqlType::Timestamp => match parse_time::timestamp(trimmed) {
            Some(millis) => Value::Timestamp(millis),
            None => return Err(fail(format!("Unable to parse a date/time from '{text}'"))),
        },
        CqlType::Date => match parse_time::date(trimmed) {
            Some(days) => Value::Date(days),
            None if trimmed.parse::<i128>().is_ok() => {
                return Err(fail(format!("Unable to make unsigned int (for date) from: '{text}'")));
            }
            None => return Err(fail(format!("Unable to coerce '{text}' to a formatted date (long)"))),
        },
        CqlType::Time => match parse_time::time(trimmed) {
            Some(nanos) => Value::Time(nanos),
            None if trimmed.parse::<i128>().is_ok() => {
                return Err(fail(format!("Unable to make long (for time) from: '{text}'")));
            }
            None => return Err(fail(format!("(TimeType) Unable to coerce '{text}' to a formatted time (long)"))),
        },
        CqlType::Duration => match parse_time::duration(trimmed) {
            Some((months, days, nanos)) => Value::Duration(months, days, nanos),
            None => return Err(fail(format!("Unable to convert '{text}' to a duration"))),
        },
        CqlType::List(..)
        | CqlType::Set(..)
        | CqlType::Map(..)
        | CqlType::Tuple(_)
        | CqlType::UserDefined { .. }
        | CqlType::Vector(..) => literal::parse(cql_type, text, depth_left)?,
    })
}

fn blob(cql_type: &CqlType, text: &str) -> Result<Bytes, ValueError> {
    let fail =
        || ValueError::unparsable(cql_type, format!("cannot parse '{}' as hex bytes", text.trim_start_matches("0x")));
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or_else(fail)?;
    if digits.len() % 2 != 0 {
        return Err(fail());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let bytes = digits.as_bytes().chunks_exact(2).map(|pair| match pair {
        [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or_else(fail)
}

fn number<T: std::str::FromStr>(cql_type: &CqlType, text: &str, word: &str) -> Result<T, ValueError> {
    text.parse().map_err(|_| ValueError::unparsable(cql_type, format!("Unable to make {word} from '{text}'")))
}

fn float<T: std::str::FromStr>(cql_type: &CqlType, text: &str) -> Result<T, ValueError> {
    // Rust reads 'inf' and 'infinity' too; CQL knows only these names.
    let bare = text.trim_start_matches(['-', '+']);
    let named = bare.eq_ignore_ascii_case("nan") || bare.eq_ignore_ascii_case("infinity");
    let numeric = bare.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    // There is one NaN: a sign before it says nothing.
    let text_read = if bare.eq_ignore_ascii_case("nan") { bare } else { text };
    let parsed = if named || numeric { text_read.parse().ok() } else { None };
    parsed.ok_or_else(|| ValueError::unparsable(cql_type, format!("Unable to make {cql_type} from '{text}'")))
}

fn decimal(cql_type: &CqlType, text: &str) -> Result<Value, ValueError> {
    parse_decimal(text)
        .map(|(unscaled, scale)| Value::Decimal(unscaled, scale))
        .ok_or_else(|| ValueError::unparsable(cql_type, format!("unable to coerce '{text}' to a decimal")))
}

/// Digits with an optional point and exponent; the scale is kept as written.
fn parse_decimal(text: &str) -> Option<(BigInt, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", whole.strip_prefix('+').unwrap_or(whole)),
    };
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some((format!("{sign}{digits}").parse().ok()?, i32::try_from(scale).ok()?))
}

fn uuid(cql_type: &CqlType, text: &str, problem: &str) -> Result<[u8; 16], ValueError> {
    // Only the hyphenated form is CQL's.
    let parsed = if text.len() == 36 { uuid::Uuid::parse_str(text).ok() } else { None };
    parsed.map(uuid::Uuid::into_bytes).ok_or_else(|| ValueError::unparsable(cql_type, format!("{problem} '{text}'")))
}
