//! Values as bytes and as text.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use quorate_model::value::{compare, validate};
use quorate_model::{CqlType, Value};

fn boxed(cql_type: CqlType) -> Box<CqlType> {
    Box::new(cql_type)
}

/// type, text accepted, shell's form, literal.
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn cases() -> Vec<(CqlType, &'static str, &'static str, &'static str)> {
    let list = |element| CqlType::List(boxed(element), false);
    vec![
        (CqlType::Text, "it's", "it's", "'it''s'"),
        (CqlType::Text, "a\nb", "a\\nb", "'a\nb'"),
        (CqlType::Blob, "0x00fF", "0x00ff", "0x00ff"),
        (CqlType::Blob, "0x", "0x", "0x"),
        (CqlType::Boolean, "TRUE", "True", "true"),
        (CqlType::TinyInt, "-128", "-128", "-128"),
        (CqlType::BigInt, "9223372036854775807", "9223372036854775807", "9223372036854775807"),
        (
            CqlType::Varint,
            "-123456789012345678901234567890",
            "-123456789012345678901234567890",
            "-123456789012345678901234567890",
        ),
        (CqlType::Decimal, "1.50", "1.50", "1.50"),
        (CqlType::Decimal, "-0.05", "-0.05", "-0.05"),
        (CqlType::Decimal, "1e5", "1E+5", "1E+5"),
        (CqlType::Decimal, "0.0000001", "1E-7", "1E-7"),
        (CqlType::Decimal, "12.5e-9", "1.25E-8", "1.25E-8"),
        (CqlType::Double, "3.141592653589793", "3.14159", "3.141592653589793"),
        (CqlType::Double, "1e10", "1e+10", "1.0E10"),
        (CqlType::Double, "0", "0", "0.0"),
        (CqlType::Double, "-0.0", "-0", "-0.0"),
        (CqlType::Double, "12345.678", "12345.678", "12345.678"),
        (CqlType::Double, "123456.7", "1.2346e+05", "123456.7"),
        (CqlType::Double, "0.001", "0.001", "0.001"),
        (CqlType::Double, "0.00001", "1e-05", "1.0E-5"),
        (CqlType::Double, "NaN", "NaN", "NaN"),
        (CqlType::Double, "-Infinity", "-Infinity", "-Infinity"),
        (CqlType::Float, "1.5", "1.5", "1.5"),
        (CqlType::Float, "0.1", "0.1", "0.1"),
        (CqlType::Timestamp, "2013-01-01 06:00", "2013-01-01 06:00:00.000000+0000", "'2013-01-01 06:00:00.000Z'"),
        (CqlType::Timestamp, "1357020000000", "2013-01-01 06:00:00.000000+0000", "'2013-01-01 06:00:00.000Z'"),
        (
            CqlType::Timestamp,
            "2013-01-01T06:00:00.123+02:00",
            "2013-01-01 04:00:00.123000+0000",
            "'2013-01-01 04:00:00.123Z'",
        ),
        (
            CqlType::Timestamp,
            "2013-01-01 06:00:00.1-0130",
            "2013-01-01 07:30:00.100000+0000",
            "'2013-01-01 07:30:00.100Z'",
        ),
        (CqlType::Timestamp, "2013-01-01T06:00Z", "2013-01-01 06:00:00.000000+0000", "'2013-01-01 06:00:00.000Z'"),
        (
            CqlType::Timestamp,
            "2013-01-01 06:00:00 UTC",
            "2013-01-01 06:00:00.000000+0000",
            "'2013-01-01 06:00:00.000Z'",
        ),
        (CqlType::Timestamp, "2012-02-29", "2012-02-29 00:00:00.000000+0000", "'2012-02-29 00:00:00.000Z'"),
        (CqlType::Timestamp, "2012-02-29+0100", "2012-02-28 23:00:00.000000+0000", "'2012-02-28 23:00:00.000Z'"),
        (CqlType::Timestamp, "-1", "1969-12-31 23:59:59.999000+0000", "'1969-12-31 23:59:59.999Z'"),
        (CqlType::Date, "2147483648", "1970-01-01", "'1970-01-01'"),
        (CqlType::Date, "1969-12-31", "1969-12-31", "'1969-12-31'"),
        (CqlType::Time, "08:12:54.123", "08:12:54.123000000", "'08:12:54.123000000'"),
        (CqlType::Time, "1", "00:00:00.000000001", "'00:00:00.000000001'"),
        (CqlType::Inet, "::1", "::1", "'::1'"),
        (
            CqlType::Uuid,
            "550E8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
        ),
        (CqlType::Duration, "1y2mo3d4h5m6s7ms8us9ns", "1y2mo3d4h5m6s7ms8us9ns", "1y2mo3d4h5m6s7ms8us9ns"),
        (CqlType::Duration, "-P1Y2M3DT4H", "-1y2mo3d4h", "-1y2mo3d4h"),
        (list(CqlType::Int), "[1, 2,3]", "[1, 2, 3]", "[1, 2, 3]"),
        (list(CqlType::Text), "['a', 'it''s']", "['a', 'it''s']", "['a', 'it''s']"),
        (list(CqlType::Int), " [ ] ", "[]", "[]"),
        (CqlType::Set(boxed(CqlType::Int), true), "{3, 1, 2, 1}", "{1, 2, 3}", "{1, 2, 3}"),
        (
            CqlType::Map(boxed(CqlType::Text), boxed(list(CqlType::Boolean).freeze()), false),
            "{'b': [true], 'a': [], 'b': [false]}",
            "{'a': [], 'b': [False]}",
            "{'a': [], 'b': [false]}",
        ),
        (
            CqlType::Tuple(vec![CqlType::Int, CqlType::Text, CqlType::Inet]),
            "(1, null, '1.2.3.4')",
            "(1, null, '1.2.3.4')",
            "(1, null, '1.2.3.4')",
        ),
        (CqlType::Tuple(vec![CqlType::Int, CqlType::Text]), "(1)", "(1, null)", "(1, null)"),
        (CqlType::Vector(boxed(CqlType::Float), 2), "[1.5, 2]", "[1.5, 2]", "[1.5, 2.0]"),
        (CqlType::Vector(boxed(CqlType::Text), 2), "['a', '']", "['a', '']", "['a', '']"),
        (
            CqlType::UserDefined {
                keyspace: "k".into(),
                name: "address".into(),
                fields: vec![("street".into(), CqlType::Text), ("number".into(), CqlType::Int)],
                frozen: true,
            },
            "{number: 7, street: 'Main'}",
            "{street: 'Main', number: 7}",
            "{street: 'Main', number: 7}",
        ),
    ]
}

#[test]
fn text_to_bytes_to_text() {
    for (cql_type, text, shell, literal) in cases() {
        let value = Value::parse_text(&cql_type, text).unwrap_or_else(|error| panic!("{cql_type} {text}: {error}"));
        let bytes = value.encode(&cql_type).unwrap_or_else(|error| panic!("{cql_type} {text}: {error}")).unwrap();
        validate(&cql_type, &bytes).unwrap();
        let back = Value::decode(&cql_type, &bytes).unwrap();
        assert_eq!(back.to_display(&cql_type), shell, "{cql_type} {text}");
        assert_eq!(back.to_cql_literal(&cql_type), literal, "{cql_type} {text}");
        let again = back.encode(&cql_type).unwrap().unwrap();
        assert!(compare(&cql_type, &again, &bytes).is_eq(), "{cql_type} {text}");
        assert!(compare(&cql_type, &bytes, &bytes).is_eq());
    }
}

#[test]
fn wrong_text_is_refused() {
    let list = CqlType::List(boxed(CqlType::Int), true);
    let cases = [
        (CqlType::Int, "2147483648", "Unable to make int from '2147483648'"),
        (CqlType::Int, "", "Unable to make int from ''"),
        (CqlType::Boolean, "yes", "Unable to make boolean from 'yes'"),
        (CqlType::Blob, "0x0", "cannot parse '0' as hex bytes"),
        (CqlType::Timestamp, "2013-02-30", "Unable to parse a date/time from '2013-02-30'"),
        (CqlType::Timestamp, "2013-02-03T25:00", "Unable to parse a date/time from '2013-02-03T25:00'"),
        (CqlType::Date, "2013-02-03T", "Unable to coerce '2013-02-03T' to a formatted date (long)"),
        (CqlType::Time, "24:00:00", "(TimeType) Unable to coerce '24:00:00' to a formatted time (long)"),
        (CqlType::Time, "10:00", "(TimeType) Unable to coerce '10:00' to a formatted time (long)"),
        (
            CqlType::Uuid,
            "550e8400e29b41d4a716446655440000",
            "Unable to make UUID from '550e8400e29b41d4a716446655440000'",
        ),
        (CqlType::TimeUuid, "550e8400-e29b-41d4-a716-446655440000", "TimeUUID supports only version 1 UUIDs"),
        (CqlType::Inet, "1.2.3", "Unable to make inet address from '1.2.3'"),
        (CqlType::Double, "inf", "Unable to make double from 'inf'"),
        (CqlType::Duration, "1d1y", "Unable to convert '1d1y' to a duration"),
        (list.clone(), "[1", "Unable to make frozen<list<int>> from text: ',' expected at byte 2"),
        (list, "[1] 2", "Unable to make frozen<list<int>> from text: text after the end of the value at byte 4"),
    ];
    for (cql_type, text, message) in cases {
        assert_eq!(Value::parse_text(&cql_type, text).unwrap_err().to_string(), message);
    }
}

#[test]
fn wrong_bytes_are_refused() {
    let list = CqlType::List(boxed(CqlType::Int), true);
    let cases: [(CqlType, &[u8], &str); 10] = [
        (CqlType::Int, &[1, 2, 3], "Expected 4 or 0 byte int (3)"),
        (CqlType::BigInt, &[1], "Expected 8 or 0 byte long (1)"),
        (CqlType::TinyInt, &[], "Expected 1 byte for a tinyint (0)"),
        (CqlType::Text, &[0xff], "String didn't validate."),
        (CqlType::Uuid, &[1], "UUID should be 16 or 0 bytes (1)"),
        (CqlType::TimeUuid, &[0; 16], "Invalid version for TimeUUID type."),
        (CqlType::Decimal, &[0; 4], "Expected 0 or at least 4 bytes (4)"),
        (list.clone(), &[0, 0, 0, 1], "Not enough bytes to read a list"),
        (list.clone(), &[0, 0, 0, 0, 1], "Unexpected extraneous bytes after list value"),
        (list, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], "null is not supported inside collections"),
    ];
    for (cql_type, bytes, message) in cases {
        assert_eq!(validate(&cql_type, bytes).unwrap_err().to_string(), message);
    }
    assert_eq!(
        Value::Int(1).encode(&CqlType::Text).unwrap_err().to_string(),
        "Expected a value of type text, but found int"
    );
}

#[test]
fn depth_is_limited() {
    let mut deep = CqlType::Int;
    for _ in 0..100 {
        deep = CqlType::List(boxed(deep), true);
    }
    let mut bytes = vec![0, 0, 0, 1];
    for _ in 0..100 {
        let mut outer = vec![0, 0, 0, 1];
        outer.extend((bytes.len() as i32).to_be_bytes());
        outer.extend(&bytes);
        bytes = outer;
    }
    assert!(Value::decode(&deep, &bytes).is_err());
    assert!(Value::parse_text(&deep, &"[".repeat(100)).is_err());
    assert!(compare(&deep, &bytes, &bytes).is_eq());
}
