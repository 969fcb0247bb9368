//! A value of the driver as the text that `values.json` has for it.

use num_bigint::BigInt;
use scylla::value::CqlValue;

/// The text of a column's value.
pub fn text(value: Option<&CqlValue>) -> String {
    let Some(value) = value else { return "null".to_owned() };
    match value {
        CqlValue::Empty => "empty".to_owned(),
        CqlValue::Ascii(text) | CqlValue::Text(text) => text.clone(),
        CqlValue::Boolean(value) => value.to_string(),
        CqlValue::Blob(bytes) => format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        CqlValue::Counter(value) => value.0.to_string(),
        CqlValue::Decimal(value) => {
            let (digits, scale) = value.as_signed_be_bytes_slice_and_exponent();
            decimal(&BigInt::from_signed_bytes_be(digits), scale)
        }
        CqlValue::Date(value) => (i64::from(value.0) - (1 << 31)).to_string(),
        CqlValue::Double(value) => float(*value, value.to_string()),
        CqlValue::Float(value) => float(f64::from(*value), value.to_string()),
        CqlValue::Duration(value) => format!("{}mo{}d{}ns", value.months, value.days, value.nanoseconds),
        CqlValue::Int(value) => value.to_string(),
        CqlValue::BigInt(value) => value.to_string(),
        CqlValue::SmallInt(value) => value.to_string(),
        CqlValue::TinyInt(value) => value.to_string(),
        CqlValue::Timestamp(value) => value.0.to_string(),
        CqlValue::Time(value) => value.0.to_string(),
        CqlValue::Inet(value) => value.to_string(),
        CqlValue::Timeuuid(value) => value.to_string(),
        CqlValue::Uuid(value) => value.to_string(),
        CqlValue::Varint(value) => BigInt::from_signed_bytes_be(value.as_signed_bytes_be_slice()).to_string(),
        CqlValue::List(values) | CqlValue::Vector(values) => {
            between("[", values.iter().map(|value| text(Some(value))), "]")
        }
        CqlValue::Set(values) => between("{", values.iter().map(|value| text(Some(value))), "}"),
        CqlValue::Map(entries) => {
            between("{", entries.iter().map(|(key, value)| format!("{}: {}", text(Some(key)), text(Some(value)))), "}")
        }
        CqlValue::Tuple(values) => between("(", values.iter().map(|value| text(value.as_ref())), ")"),
        CqlValue::UserDefinedType { fields, .. } => {
            between("{", fields.iter().map(|(name, value)| format!("{name}: {}", text(value.as_ref()))), "}")
        }
        _ => format!("a value that this scenario does not know: {value:?}"),
    }
}

fn between(open: &str, parts: impl Iterator<Item = String>, close: &str) -> String {
    format!("{open}{}{close}", parts.collect::<Vec<_>>().join(", "))
}

fn float(value: f64, finite: String) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        finite
    }
}

fn decimal(digits: &BigInt, scale: i32) -> String {
    let (sign, digits) = (if digits < &BigInt::ZERO { "-" } else { "" }, digits.magnitude().to_string());
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => format!("{sign}{digits}{}", "0".repeat(scale.unsigned_abs() as usize)),
    }
}
