//! Values to JSON.

use bytes::Bytes;
use quorate_model::{CqlType, Value};

use crate::codec;

/// A text in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A column's or field's name: one that is not all lower case has quotes of its own within.
pub(crate) fn column_name(name: &str) -> String {
    if name.chars().any(char::is_uppercase) { quoted(&format!("\"{name}\"")) } else { quoted(name) }
}

fn list(open: char, close: char, items: Vec<String>) -> String {
    format!("{open}{}{close}", items.join(", "))
}

/// The value's JSON form.
pub(crate) fn to_json(cql_type: &CqlType, bytes: &Bytes) -> Result<String, String> {
    let of = |cql_type: &CqlType, part: &Option<Bytes>| match part {
        Some(bytes) => to_json(cql_type, bytes),
        None => Ok("null".to_owned()),
    };
    match cql_type {
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            let items =
                codec::split(cql_type, bytes)?.iter().map(|item| of(element, item)).collect::<Result<_, _>>()?;
            Ok(list('[', ']', items))
        }
        CqlType::Map(key, value, _) => {
            let parts = codec::split(cql_type, bytes)?;
            let mut entries = Vec::with_capacity(parts.len() / 2);
            for entry in parts.chunks_exact(2) {
                if let [name, content] = entry {
                    let name = of(key, name)?;
                    let name = if name.starts_with('"') { name } else { quoted(&name) };
                    entries.push(format!("{name}: {}", of(value, content)?));
                }
            }
            Ok(list('{', '}', entries))
        }
        CqlType::Tuple(fields) => {
            let mut parts = codec::split(cql_type, bytes)?;
            parts.resize(fields.len(), None);
            let items = fields.iter().zip(&parts).map(|(field, part)| of(field, part)).collect::<Result<_, _>>()?;
            Ok(list('[', ']', items))
        }
        CqlType::UserDefined { fields, .. } => {
            let mut parts = codec::split(cql_type, bytes)?;
            parts.resize(fields.len(), None);
            let items = fields
                .iter()
                .zip(&parts)
                .map(|((name, field), part)| Ok(format!("{}: {}", column_name(name), of(field, part)?)));
            Ok(list('{', '}', items.collect::<Result<_, String>>()?))
        }
        CqlType::Vector(element, _) => {
            let Value::Sequence(values) = codec::decode(cql_type, bytes)? else { return Ok("null".to_owned()) };
            let items = values.iter().map(|value| to_json(element, &codec::encode(element, value)?));
            Ok(list('[', ']', items.collect::<Result<_, _>>()?))
        }
        _ => scalar(cql_type, bytes),
    }
}

fn scalar(cql_type: &CqlType, bytes: &Bytes) -> Result<String, String> {
    let value = codec::decode(cql_type, bytes)?;
    Ok(match &value {
        Value::Text(text) => quoted(text),
        Value::Null => "\"\"".to_owned(),
        Value::Float(number) if !number.is_finite() => quoted(&value.to_cql_literal(cql_type)),
        Value::Double(number) if !number.is_finite() => quoted(&value.to_cql_literal(cql_type)),
        Value::Blob(_)
        | Value::Uuid(_)
        | Value::Inet(_)
        | Value::Timestamp(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Duration(..) => quoted(value.to_cql_literal(cql_type).trim_matches('\'')),
        _ => value.to_cql_literal(cql_type),
    })
}
