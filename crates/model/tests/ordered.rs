//! The byte-comparable encodings sort as Cassandra's comparators do, both ways, and read back as the same values.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::cmp::Ordering;

use bytes::Bytes;
use num_bigint::BigInt;
use proptest::prelude::*;
use quorate_model::ordered::{
    cell_path, cell_path_value, clustering_components, clustering_key, decode_component, encode_component, prefix,
};
use quorate_model::value::{compare, validate};
use quorate_model::{CqlType, Position, Value};

const NATIVE: [CqlType; 18] = [
    CqlType::Ascii,
    CqlType::BigInt,
    CqlType::Blob,
    CqlType::Boolean,
    CqlType::Decimal,
    CqlType::Double,
    CqlType::Float,
    CqlType::Int,
    CqlType::Text,
    CqlType::Timestamp,
    CqlType::Uuid,
    CqlType::Varint,
    CqlType::TimeUuid,
    CqlType::Inet,
    CqlType::Date,
    CqlType::Time,
    CqlType::SmallInt,
    CqlType::TinyInt,
];

/// Types up to three levels deep.
fn cql_type() -> impl Strategy<Value = CqlType> {
    prop::sample::select(NATIVE.to_vec()).prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|element| CqlType::List(element.into(), true)),
            inner.clone().prop_map(|element| CqlType::Set(element.into(), true)),
            (inner.clone(), inner.clone()).prop_map(|(key, item)| CqlType::Map(key.into(), item.into(), true)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(CqlType::Tuple),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|fields| CqlType::UserDefined {
                keyspace: "k".to_owned(),
                name: "u".to_owned(),
                fields: fields.into_iter().enumerate().map(|(index, field)| (format!("f{index}"), field)).collect(),
                frozen: true,
            }),
            (inner, 1u16..4).prop_map(|(element, dimension)| CqlType::Vector(element.into(), dimension)),
        ]
    })
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![-3i64..4, any::<i64>(), Just(i64::MIN), Just(i64::MAX), (0u32..63).prop_map(|shift| -1i64 << shift)]
}

fn uuid(versions: &'static [u8]) -> BoxedStrategy<Value> {
    let bytes =
        prop_oneof![any::<[u8; 16]>(), prop::array::uniform16(prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff]))];
    (bytes, prop::sample::select(versions))
        .prop_map(|(mut bytes, version)| {
            bytes[6] = (bytes[6] & 0x0f) | (version << 4);
            Value::Uuid(bytes)
        })
        .boxed()
}

/// Values of a type, crowded where encodings go wrong.
fn value(cql_type: &CqlType) -> BoxedStrategy<Value> {
    let bytes = prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0x7f, 0x80, 0xfe, 0xff]), 0..5);
    match cql_type {
        CqlType::Ascii => "[\u{0}\u{1}a-c~]{0,4}".prop_map(Value::Text).boxed(),
        CqlType::Text => prop_oneof!["[\u{0}\u{1}ab\u{7f}é€😀]{0,4}", ".{0,6}"].prop_map(Value::Text).boxed(),
        CqlType::Blob => bytes.prop_map(|bytes| Value::Blob(bytes.into())).boxed(),
        CqlType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        CqlType::BigInt => number().prop_map(Value::BigInt).boxed(),
        CqlType::Timestamp => number().prop_map(Value::Timestamp).boxed(),
        CqlType::Int => number().prop_map(|n| Value::Int(n as i32)).boxed(),
        CqlType::SmallInt => number().prop_map(|n| Value::SmallInt(n as i16)).boxed(),
        CqlType::TinyInt => number().prop_map(|n| Value::TinyInt(n as i8)).boxed(),
        CqlType::Date => number().prop_map(|n| Value::Date(n as u32)).boxed(),
        CqlType::Time => number().prop_map(|n| Value::Time(n.rem_euclid(86_400_000_000_000))).boxed(),
        CqlType::Float => prop_oneof![
            any::<f32>(),
            prop::sample::select(vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, -1.0])
        ]
        .prop_map(Value::Float)
        .boxed(),
        CqlType::Double => prop_oneof![
            any::<f64>(),
            prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, -1.0])
        ]
        .prop_map(Value::Double)
        .boxed(),
        CqlType::Varint => big().prop_map(Value::Varint).boxed(),
        CqlType::Decimal => (
            prop_oneof![big(), (-200i64..200).prop_map(|n| BigInt::from(n * 10))],
            prop_oneof![-3i32..4, -90_000i32..90_000, Just(i32::MAX), Just(i32::MIN)],
        )
            .prop_map(|(unscaled, scale)| Value::Decimal(unscaled, scale))
            .boxed(),
        CqlType::Uuid => uuid(&[0, 1, 4, 7]),
        CqlType::TimeUuid => uuid(&[1]),
        CqlType::Inet => prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| Value::Inet(octets.into())),
            any::<[u8; 16]>().prop_map(|octets| Value::Inet(octets.into())),
            prop::array::uniform4(0u8..2).prop_map(|octets| Value::Inet(octets.into())),
        ]
        .boxed(),
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            prop::collection::vec(value(element), 0..4).prop_map(Value::Sequence).boxed()
        }
        CqlType::Vector(element, dimension) => {
            prop::collection::vec(value(element), usize::from(*dimension)).prop_map(Value::Sequence).boxed()
        }
        CqlType::Map(key, item, _) => {
            prop::collection::vec((value(key), value(item)), 0..3).prop_map(Value::Map).boxed()
        }
        CqlType::Tuple(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|field| prop_oneof![1 => Just(Value::Null), 4 => value(field)]).collect();
            fields.prop_map(Value::Sequence).boxed()
        }
        CqlType::UserDefined { fields, .. } => {
            let fields: Vec<_> =
                fields.iter().map(|(_, field)| prop_oneof![1 => Just(Value::Null), 4 => value(field)]).collect();
            fields.prop_map(Value::Sequence).boxed()
        }
        other => panic!("no values of {other}"),
    }
}

fn big() -> impl Strategy<Value = BigInt> {
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    let long = (prop::sample::select(vec![126usize, 127, 128, 254, 255, 256, 300]), any::<u8>())
        .prop_map(|(length, byte)| vec![byte; length]);
    prop_oneof![
        number().prop_map(BigInt::from),
        prop_oneof![9 => bytes.boxed(), 1 => long.boxed()].prop_map(|bytes| BigInt::from_signed_bytes_be(&bytes))
    ]
}

fn encode(cql_type: &CqlType, descending: bool, bytes: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_component(cql_type, descending, bytes, &mut out).unwrap();
    out
}

fn mentions_decimal(cql_type: &CqlType) -> bool {
    cql_type.mentions(&|part| *part == CqlType::Decimal)
}

/// A type and two values, often alike, some of zero bytes.
fn pair() -> impl Strategy<Value = (CqlType, Bytes, Bytes)> {
    cql_type().prop_flat_map(|cql_type| {
        let no_bytes = validate(&cql_type, &[]).is_ok();
        let own = value(&cql_type);
        let of_type = cql_type.clone();
        let bytes = own.prop_map(move |value| value.encode(&of_type).unwrap().unwrap());
        let bytes = prop_oneof![9 => bytes.clone(), 1 => bytes.prop_map(move |bytes| if no_bytes { Bytes::new() } else { bytes })];
        (Just(cql_type), bytes.clone(), bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_sort_as_values((cql_type, left, right) in pair()) {
        let order = compare(&cql_type, &left, &right);
        prop_assert_eq!(order.reverse(), compare(&cql_type, &right, &left));
        let (up_left, up_right) = (encode(&cql_type, false, Some(&left)), encode(&cql_type, false, Some(&right)));
        let (down_left, down_right) = (encode(&cql_type, true, Some(&left)), encode(&cql_type, true, Some(&right)));
        // Decimals of one value are told apart by their scale.
        if order != Ordering::Equal || !mentions_decimal(&cql_type) {
            prop_assert_eq!(up_left.cmp(&up_right), order);
            prop_assert_eq!(down_left.cmp(&down_right), order.reverse());
        }
        prop_assert!(up_left == up_right || !up_left.starts_with(&up_right), "no prefix of another");
        prop_assert!(up_left[0] != 0xff && down_left[0] != 0xff && up_left[0] != 0 && down_left[0] != 0);
    }

    #[test]
    fn components_read_back((cql_type, value, other) in pair(), descending: bool) {
        let mut bytes = encode(&cql_type, descending, Some(&value));
        let alone = bytes.len();
        bytes.extend(encode(&cql_type, !descending, Some(&other)));
        let mut input = bytes.as_slice();
        let back = decode_component(&cql_type, descending, &mut input).unwrap().unwrap();
        prop_assert_eq!(bytes.len() - input.len(), alone);
        prop_assert_eq!(compare(&cql_type, &back, &value), Ordering::Equal);
        prop_assert_eq!(encode(&cql_type, descending, Some(&back)), &bytes[..alone]);
        prop_assert!(validate(&cql_type, &back).is_ok());
        let last = decode_component(&cql_type, !descending, &mut input).unwrap().unwrap();
        prop_assert_eq!(compare(&cql_type, &last, &other), Ordering::Equal);
        prop_assert!(input.is_empty());
        let path = cell_path(&cql_type, &value).unwrap();
        prop_assert_eq!(compare(&cql_type, &cell_path_value(&cql_type, &path).unwrap(), &value), Ordering::Equal);
    }

    #[test]
    fn hostile_bytes_never_panic(cql_type in cql_type(), bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..4, 0x7fu8..0x82], 0..40), descending: bool) {
        let mut input = bytes.as_slice();
        let _ = decode_component(&cql_type, descending, &mut input);
        let _ = Value::decode(&cql_type, &bytes);
        let _ = validate(&cql_type, &bytes);
        let _ = compare(&cql_type, &bytes, &bytes[bytes.len() / 2..]);
        let mut out = vec![7];
        if encode_component(&cql_type, descending, Some(&bytes), &mut out).is_err() {
            prop_assert_eq!(out, [7]);
        } else {
            prop_assert!(validate(&cql_type, &bytes).is_ok() || bytes.is_empty());
        }
    }

    #[test]
    fn keys_of_several_components_sort_by_them_in_turn(
        left in (-2i32..3, "[ab\u{0}]{0,2}", -2i32..3), right in (-2i32..3, "[ab\u{0}]{0,2}", -2i32..3), descending in any::<[bool; 3]>(),
    ) {
        let types: Vec<_> = [CqlType::Int, CqlType::Text, CqlType::Int].into_iter().zip(descending).collect();
        let components = |(a, b, c): &(i32, String, i32)| {
            vec![Bytes::copy_from_slice(&a.to_be_bytes()), Bytes::from(b.clone()), Bytes::copy_from_slice(&c.to_be_bytes())]
        };
        let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
        let expected = turned(left.0.cmp(&right.0), descending[0])
            .then(turned(left.1.cmp(&right.1), descending[1]))
            .then(turned(left.2.cmp(&right.2), descending[2]));
        let (left, right) = (components(&left), components(&right));
        let (left_key, right_key) = (clustering_key(&types, &left).unwrap(), clustering_key(&types, &right).unwrap());
        prop_assert_eq!(left_key.cmp(&right_key), expected);
        let back: Vec<Bytes> = clustering_components(&types, &left_key).unwrap().into_iter().map(Option::unwrap).collect();
        prop_assert_eq!(&back, &left);
        // A prefix's bounds hold exactly the keys that begin with its components.
        for length in 0..=3 {
            let prefix = prefix(&types, &right[..length]).unwrap();
            let within = Position::before(&prefix).0 <= left_key.0 && left_key.0 < Position::after(&prefix).0;
            prop_assert_eq!(within, left[..length] == right[..length]);
        }
    }
}

#[test]
fn bounds_on_decimals_cover_every_scale() {
    let types = [(CqlType::Decimal, false)];
    let encoded =
        |text: &str| Value::parse_text(&CqlType::Decimal, text).unwrap().encode(&CqlType::Decimal).unwrap().unwrap();
    for descending in [false, true] {
        let types = [(types[0].0.clone(), descending)];
        let prefix = prefix(&types, &[encoded("-1.50")]).unwrap();
        for (text, inside) in
            [("-1.5", true), ("-1.500", true), ("-15E-1", true), ("-1.51", false), ("1.5", false), ("0", false)]
        {
            let key = clustering_key(&types, &[encoded(text)]).unwrap();
            let within = Position::before(&prefix).0 <= key.0 && key.0 < Position::after(&prefix).0;
            assert_eq!(within, inside, "{text}");
            assert_eq!(clustering_components(&types, &key).unwrap(), [Some(encoded(text))], "the scale is kept");
        }
    }
}

/// Orders written down by hand from Cassandra's comparators, each list ascending.
#[test]
fn known_orders() {
    let lists: [(CqlType, &[&str]); 8] = [
        (CqlType::Double, &["-Infinity", "-1e300", "-1", "-0.0", "0.0", "1e-300", "1", "Infinity", "NaN"]),
        (CqlType::Float, &["-Infinity", "-1.5", "-0.0", "0", "1.5", "Infinity", "NaN"]),
        (
            CqlType::Decimal,
            &["-1e400", "-100", "-99.9", "-0.001", "0", "1e-400", "0.1", "0.11", "1", "1.05", "9", "10", "1e9"],
        ),
        (CqlType::Varint, &["-65537", "-65536", "-257", "-256", "-255", "-1", "0", "1", "255", "256", "65536"]),
        // Version first, then (version 1) the time, whose low bits come first in the bytes.
        (
            CqlType::Uuid,
            &[
                "ffffffff-0000-1000-8000-000000000000",
                "00000000-0001-1000-8000-000000000000",
                "00000000-0000-1001-8000-000000000000",
                "00000000-0000-4000-8000-000000000000",
                "ffffffff-0000-4000-8000-000000000000",
            ],
        ),
        // Behind the time the bytes are signed.
        (
            CqlType::TimeUuid,
            &[
                "00000000-0000-1000-8000-000000000000",
                "00000000-0000-1000-bfff-ffffffffffff",
                "00000000-0000-1000-bf00-000000000000",
                "00000000-0000-1000-bf7f-000000000000",
                "ffffffff-0000-1000-8000-000000000000",
                "00000000-0001-1000-8000-000000000000",
            ],
        ),
        (CqlType::Inet, &["1::", "1.0.0.0", "1.2.3.4", "10.0.0.1", "200.0.0.1", "fe80::"]),
        (CqlType::Text, &["", "A", "Z", "a", "aa", "b", "é", "\u{ffff}", "😀"]),
    ];
    for (cql_type, texts) in lists {
        let values: Vec<Bytes> = texts
            .iter()
            .map(|text| Value::parse_text(&cql_type, text).unwrap().encode(&cql_type).unwrap().unwrap())
            .collect();
        for (index, left) in values.iter().enumerate() {
            for (other, right) in values.iter().enumerate() {
                let places = (texts[index], texts[other]);
                assert_eq!(compare(&cql_type, left, right), index.cmp(&other), "{cql_type} {places:?}");
                let up = encode(&cql_type, false, Some(left)).cmp(&encode(&cql_type, false, Some(right)));
                assert_eq!(up, index.cmp(&other), "{cql_type} {places:?}");
            }
        }
        for value in &values {
            assert!(encode(&cql_type, false, None) < encode(&cql_type, false, Some(value)), "null is first");
            assert!(encode(&cql_type, true, None) > encode(&cql_type, true, Some(value)), "or last");
        }
    }
}
