//! JSON to values of a type.

use bytes::Bytes;
use quorate_model::{CqlType, Value};

use super::{Json, parse};
use crate::codec;

/// The value's encoding; null gives none.
pub(crate) fn from_json(cql_type: &CqlType, json: &Json) -> Result<Option<Bytes>, String> {
    match json {
        Json::Null => Ok(None),
        _ => value(cql_type, json).map(Some),
    }
}

fn wrong(what: &str, json: &Json) -> String {
    format!("Expected {what}, but got a {}: {json}", json.kind())
}

fn value(cql_type: &CqlType, json: &Json) -> Result<Bytes, String> {
    match cql_type {
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            let what = if matches!(cql_type, CqlType::Set(..)) { "set" } else { "list" };
            let opened = reopened(json);
            let items = match &opened {
                Json::List(items) => items,
                _ if what == "set" => return Err(wrong("a list (representing a set)", json)),
                _ => return Err(wrong("a list", json)),
            };
            let present = items.iter().map(|item| match item {
                Json::Null => Err(format!("Invalid null element in {what}")),
                _ => value(element, item).map(Some),
            });
            codec::assemble(cql_type, present.collect::<Result<_, _>>()?)
        }
        CqlType::Map(key, item, _) => {
            let opened = reopened(json);
            let Json::Map(entries) = &opened else { return Err(wrong("a map", json)) };
            let mut parts = Vec::with_capacity(entries.len() * 2);
            for (name, content) in entries {
                if *content == Json::Null {
                    return Err("Invalid null value in map".to_owned());
                }
                parts.push(Some(value(key, &Json::Text(name.clone()))?));
                parts.push(Some(value(item, content)?));
            }
            codec::assemble(cql_type, parts)
        }
        CqlType::Tuple(fields) => {
            let opened = reopened(json);
            let Json::List(items) = &opened else {
                return Err(wrong("a list representation of a tuple", json));
            };
            if items.len() > fields.len() {
                return Err(format!("Tuple contains extra items (expected {}): {json}", fields.len()));
            }
            if items.len() < fields.len() {
                return Err(format!("Tuple is missing items (expected {}): {json}", fields.len()));
            }
            let parts = fields.iter().zip(items).map(|(field, item)| from_json(field, item));
            codec::assemble(cql_type, parts.collect::<Result<_, _>>()?)
        }
        CqlType::UserDefined { fields, name, .. } => {
            let opened = reopened(json);
            let Json::Map(entries) = &opened else { return Err(wrong("a map", json)) };
            let entries: Vec<(String, &Json)> = entries.iter().map(|(name, json)| (field_name(name), json)).collect();
            if let Some((unknown, _)) = entries.iter().find(|(given, _)| fields.iter().all(|(field, _)| field != given))
            {
                return Err(format!("Unknown field '{unknown}' in value of user defined type {name}"));
            }
            let parts = fields.iter().map(|(field, field_type)| {
                let found = entries.iter().rev().find(|(given, _)| given == field);
                found.map_or(Ok(None), |(_, json)| from_json(field_type, json))
            });
            codec::assemble(cql_type, parts.collect::<Result<_, _>>()?)
        }
        CqlType::Vector(element, dimension) => {
            let opened = reopened(json);
            let Json::List(items) = &opened else { return Err(wrong("a list", json)) };
            if items.len() != usize::from(*dimension) {
                let given = items.len();
                return Err(format!("List had incorrect size: expected {dimension} but given {given}; {json}"));
            }
            let parts = items.iter().map(|item| value(element, item).map(Some));
            codec::assemble(cql_type, parts.collect::<Result<_, _>>()?)
        }
        _ => scalar(cql_type, json),
    }
}

/// Map keys that are collections come as texts of JSON.
fn reopened(json: &Json) -> Json {
    match json {
        Json::Text(text) => parse(text).unwrap_or_else(|_| json.clone()),
        other => other.clone(),
    }
}

/// A name as CQL reads it: in lower case, unless it has quotes of its own.
pub(crate) fn field_name(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.to_owned(),
        None => name.to_ascii_lowercase(),
    }
}

fn scalar(cql_type: &CqlType, json: &Json) -> Result<Bytes, String> {
    use CqlType as T;
    let literal = |text: &str| codec::parse_constant(cql_type, text);
    match (cql_type, json) {
        (T::Text | T::Ascii, Json::Text(text)) => literal(text),
        (T::Text, _) => Err(wrong("a UTF-8 string", json)),
        (T::Ascii, _) => Err(wrong("an ascii string", json)),
        (T::Boolean, Json::Boolean(flag)) => codec::encode(cql_type, &Value::Boolean(*flag)),
        (T::Boolean, Json::Text(text)) => literal(text),
        (T::Boolean, _) => Err(wrong("a boolean value", json)),
        (T::TinyInt | T::SmallInt | T::Int | T::BigInt | T::Varint | T::Counter, Json::Text(text)) => literal(text),
        (T::TinyInt | T::SmallInt | T::Int | T::BigInt | T::Varint | T::Counter, Json::Number(text)) => {
            let fits = match cql_type {
                T::BigInt | T::Counter => text.parse::<i64>().is_ok(),
                T::Varint => json.kind() != "Double",
                _ => text.parse::<i32>().is_ok(),
            };
            if fits { literal(text) } else { Err(wrong(&number_word(cql_type), json)) }
        }
        (T::TinyInt | T::SmallInt | T::Int | T::BigInt | T::Varint | T::Counter, _) => {
            Err(wrong(&number_word(cql_type), json))
        }
        (T::Float | T::Double | T::Decimal, Json::Text(text) | Json::Number(text)) => literal(text),
        (T::Float | T::Double | T::Decimal, _) => Err(wrong(&format!("a {cql_type} value"), json)),
        (T::Timestamp, Json::Number(text)) if json.kind() != "Double" => literal(text),
        (T::Timestamp, Json::Text(text)) => literal(text),
        (T::Timestamp, _) => Err(wrong("a long or a datestring representation of a timestamp value", json)),
        (T::Blob, Json::Text(text)) => literal(text).map_err(|_| {
            let problem = if text.starts_with("0x") {
                "non-hex characters".to_owned()
            } else {
                format!("String representation of blob is missing 0x prefix: {text}")
            };
            format!("Value '{text}' is not a valid blob representation: {problem}")
        }),
        (_, Json::Text(text)) => literal(text),
        (T::Duration, _) => Err(wrong("a string representation of a duration", json)),
        _ => {
            let article = if *cql_type == T::Inet { "an" } else { "a" };
            Err(wrong(&format!("a string representation of {article} {cql_type} value"), json))
        }
    }
}

fn number_word(cql_type: &CqlType) -> String {
    match cql_type {
        CqlType::Int => "an int value".to_owned(),
        other => format!("a {other} value"),
    }
}
