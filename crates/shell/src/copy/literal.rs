//! A CSV field to a value of a column's type.

use quorate_model::{CqlType, Value};

use crate::copy::options::Dialect;

/// Reads a field; the null text is [`Value::Null`]. The error says what the text is not.
pub fn parse_field(text: &str, cql_type: &CqlType, dialect: &Dialect) -> Result<Value, String> {
    if text == dialect.null {
        return Ok(Value::Null);
    }
    if *cql_type == CqlType::Boolean && text == dialect.booleans.0 {
        return Ok(Value::Boolean(true));
    }
    if *cql_type == CqlType::Boolean && text == dialect.booleans.1 {
        return Ok(Value::Boolean(false));
    }
    Value::parse_text(cql_type, text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::options::CopyOptions;
    use crate::value_text::plain;

    fn parse(text: &str, cql_type: &CqlType) -> Result<Value, String> {
        let mut dialect = CopyOptions::default().dialect;
        dialect.null = "NA".into();
        parse_field(text, cql_type, &dialect)
    }

    #[test]
    fn fields_read_or_say_what_they_are_not() {
        assert_eq!(parse("NA", &CqlType::Int), Ok(Value::Null));
        assert_eq!(parse("", &CqlType::Text), Ok(Value::Text(String::new())));
        assert_eq!(parse(" 12 ", &CqlType::Int), Ok(Value::Int(12)));
        assert_eq!(parse("True", &CqlType::Boolean), Ok(Value::Boolean(true)));
        assert!(parse("abc", &CqlType::Int).unwrap_err().contains("'abc'"));
        assert!(parse("300", &CqlType::TinyInt).is_err());
    }

    #[test]
    fn what_is_written_out_reads_back() {
        let text = || Box::new(CqlType::Text);
        let cases = [
            (CqlType::Double, Value::Double(10.357_019_999_999_999)),
            (CqlType::Double, Value::Double(1e300)),
            (CqlType::Double, Value::Double(f64::NEG_INFINITY)),
            (CqlType::Float, Value::Float(0.1)),
            (CqlType::Timestamp, Value::Timestamp(1_357_020_000_123)),
            (CqlType::Date, Value::Date((1 << 31) + 15_706)),
            (CqlType::Time, Value::Time(3_600_000_000_001)),
            (CqlType::Duration, Value::Duration(14, 3, 5_000)),
            (CqlType::Decimal, Value::Decimal((-12_345).into(), 3)),
            (CqlType::Blob, Value::Blob(bytes::Bytes::from_static(&[0, 255]))),
            (CqlType::List(Box::new(CqlType::Double), false), Value::Sequence(vec![Value::Double(0.1 + 0.2)])),
            (
                CqlType::Set(text(), false),
                Value::Sequence(vec![Value::Text("a, b".into()), Value::Text("it's".into())]),
            ),
            (
                CqlType::Map(text(), Box::new(CqlType::Timestamp), false),
                Value::Map(vec![(Value::Text("k:".into()), Value::Timestamp(7))]),
            ),
        ];
        for (cql_type, value) in cases {
            let printed = plain(&value, &cql_type);
            assert_eq!(parse(&printed, &cql_type), Ok(value), "{printed}");
        }
    }
}
