//! Values as text for programs: exact in CSV, and as JSON; and the caret under a wrong place.

use quorate_model::request::Place;
use quorate_model::{CqlType, Value};

/// A value as it stands in a CSV field: it reads back as the same value, and looks as cqlsh prints it where that is exact.
pub fn plain(value: &Value, cql_type: &CqlType) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Double(number) => float(*number, number.to_string(), format!("{number:e}")),
        Value::Float(number) => float(f64::from(*number), number.to_string(), format!("{number:e}")),
        Value::Sequence(_) | Value::Map(_) => value.to_cql_literal(cql_type),
        other => other.to_display(cql_type),
    }
}

/// Shortest text that reads back as the same number; exponents only where digits would mislead.
fn float(number: f64, plain: String, scientific: String) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if number != 0.0 && (number.abs() >= 1e16 || number.abs() < 1e-5) {
        scientific
    } else {
        plain
    }
}

/// A value as JSON, as Cassandra's `SELECT JSON` has it.
pub fn json(value: &Value, cql_type: &CqlType) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::BigInt(_) | Value::Int(_) | Value::SmallInt(_) | Value::TinyInt(_) | Value::Varint(_) => {
            value.to_display(cql_type)
        }
        Value::Decimal(..) => value.to_display(cql_type),
        Value::Double(number) if number.is_finite() => format!("{number:?}"),
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        Value::Timestamp(millis) => {
            let text = Value::Timestamp(*millis).to_display(cql_type);
            json_string(&text.strip_suffix("000+0000").map_or(text.clone(), |start| format!("{start}Z")))
        }
        Value::Sequence(items) => json_sequence(items, cql_type),
        Value::Map(entries) => json_map(entries, cql_type),
        other => json_string(&plain(other, cql_type)),
    }
}

fn json_sequence(items: &[Value], cql_type: &CqlType) -> String {
    let texts: Vec<String> = match cql_type {
        CqlType::UserDefined { fields, .. } => {
            let field =
                |(item, (name, of)): (&Value, &(String, CqlType))| format!("{}: {}", json_string(name), json(item, of));
            return format!("{{{}}}", items.iter().zip(fields).map(field).collect::<Vec<_>>().join(", "));
        }
        CqlType::Tuple(types) => items.iter().zip(types).map(|(item, of)| json(item, of)).collect(),
        CqlType::List(element, _) | CqlType::Set(element, _) | CqlType::Vector(element, _) => {
            items.iter().map(|item| json(item, element)).collect()
        }
        other => items.iter().map(|item| json(item, other)).collect(),
    };
    format!("[{}]", texts.join(", "))
}

fn json_map(entries: &[(Value, Value)], cql_type: &CqlType) -> String {
    let (key_type, value_type) = match cql_type {
        CqlType::Map(key, value, _) => (key.as_ref(), value.as_ref()),
        other => (other, other),
    };
    let texts: Vec<String> = entries
        .iter()
        .map(|(key, value)| {
            let key = json(key, key_type);
            // JSON's names are strings, whatever the type of the map's keys.
            let key = if key.starts_with('"') { key } else { json_string(&key) };
            format!("{key}: {}", json(value, value_type))
        })
        .collect();
    format!("{{{}}}", texts.join(", "))
}

/// A JSON string.
pub fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The offending line of a statement with a caret line under it.
pub fn caret(text: &str, place: Place) -> Option<String> {
    let line = text.lines().nth(place.line.checked_sub(1)? as usize)?;
    let column = place.column as usize;
    if column > line.chars().count() {
        return None;
    }
    let before: String = line.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let room = line.chars().count().saturating_sub(column).max(1);
    let marks = "^".repeat((place.length as usize).clamp(1, room));
    Some(format!("  {line}\n  {before}{marks}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_exact_in_csv_and_json() {
        let text = |value: Value, of: CqlType| plain(&value, &of);
        assert_eq!(text(Value::Timestamp(1_357_020_000_000), CqlType::Timestamp), "2013-01-01 06:00:00.000000+0000");
        assert_eq!(text(Value::Double(10.357_019_999_999_999), CqlType::Double), "10.357019999999999");
        assert_eq!(text(Value::Double(0.0), CqlType::Double), "0");
        assert_eq!(text(Value::Double(1e21), CqlType::Double), "1e21");
        assert_eq!(text(Value::Boolean(true), CqlType::Boolean), "True");
        assert_eq!(json(&Value::Timestamp(1_357_020_000_000), &CqlType::Timestamp), "\"2013-01-01 06:00:00.000Z\"");
        let map = CqlType::Map(Box::new(CqlType::Int), Box::new(CqlType::Text), true);
        assert_eq!(json(&Value::Map(vec![(Value::Int(1), Value::Text("a\"b".into()))]), &map), r#"{"1": "a\"b"}"#);
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let place = Place { line: 2, column: 5, length: 3 };
        assert_eq!(caret("SELECT *\nFROM abc;", place).unwrap(), "  FROM abc;\n       ^^^");
        assert_eq!(caret("x", Place { line: 7, column: 0, length: 1 }), None);
    }
}
