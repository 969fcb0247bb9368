//! Cassandra's comparators. Values of zero bytes come before all others; bytes that are no value compare as bytes.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::decode::{Elements, split_fields, split_vector};
use super::number;
use crate::limits;
use crate::types::CqlType;

/// The order of two encoded values of one type.
pub fn compare(cql_type: &CqlType, left: &[u8], right: &[u8]) -> Ordering {
    compare_at(cql_type, left, right, limits::TYPE_DEPTH_MAX)
}

fn compare_at(cql_type: &CqlType, left: &[u8], right: &[u8], depth_left: usize) -> Ordering {
    let Some(depth_left) = depth_left.checked_sub(1) else { return left.cmp(right) };
    if left.is_empty() || right.is_empty() {
        return match cql_type {
            // All of their fields are null then.
            CqlType::Tuple(_) | CqlType::UserDefined { .. } => compare_compound(cql_type, left, right, depth_left),
            _ => left.len().cmp(&right.len()),
        };
    }
    match cql_type {
        CqlType::List(..)
        | CqlType::Set(..)
        | CqlType::Map(..)
        | CqlType::Tuple(_)
        | CqlType::UserDefined { .. }
        | CqlType::Vector(..) => compare_compound(cql_type, left, right, depth_left),
        _ => compare_native(cql_type, left, right),
    }
}

fn compare_native(cql_type: &CqlType, left: &[u8], right: &[u8]) -> Ordering {
    fn by<const N: usize, T>(left: &[u8], right: &[u8], order: impl Fn([u8; N]) -> T) -> Ordering
    where
        T: Ord,
    {
        match (<[u8; N]>::try_from(left), <[u8; N]>::try_from(right)) {
            (Ok(left), Ok(right)) => order(left).cmp(&order(right)),
            _ => left.cmp(right),
        }
    }
    match cql_type {
        CqlType::Boolean => by(left, right, |[byte]: [u8; 1]| byte != 0),
        CqlType::TinyInt => by(left, right, i8::from_be_bytes),
        CqlType::SmallInt => by(left, right, i16::from_be_bytes),
        CqlType::Int => by(left, right, i32::from_be_bytes),
        CqlType::BigInt | CqlType::Counter | CqlType::Timestamp => by(left, right, i64::from_be_bytes),
        CqlType::Float => by(left, right, |bytes| number::sortable_f32(f32::from_be_bytes(bytes))),
        CqlType::Double => by(left, right, |bytes| number::sortable_f64(f64::from_be_bytes(bytes))),
        CqlType::Varint => BigInt::from_signed_bytes_be(left).cmp(&BigInt::from_signed_bytes_be(right)),
        CqlType::Decimal => compare_decimals(left, right),
        CqlType::Uuid => by(left, right, number::sortable_uuid),
        CqlType::TimeUuid => by(left, right, number::sortable_timeuuid),
        _ => left.cmp(right),
    }
}

/// By numeric value: scales need not be equal.
fn compare_decimals(left: &[u8], right: &[u8]) -> Ordering {
    let split = |bytes: &[u8]| {
        let (scale, unscaled) = bytes.split_first_chunk::<4>()?;
        Some((BigInt::from_signed_bytes_be(unscaled), i32::from_be_bytes(*scale)))
    };
    let (Some((left_unscaled, left_scale)), Some((right_unscaled, right_scale))) = (split(left), split(right)) else {
        return left.cmp(right);
    };
    let signs = left_unscaled.sign().cmp(&right_unscaled.sign());
    if signs.is_ne() || left_unscaled.sign() == Sign::NoSign {
        return signs;
    }
    if left_scale == right_scale {
        return left_unscaled.cmp(&right_unscaled);
    }
    // Never by multiplying out: a scale may be two thousand millions.
    let (left, right) =
        (number::Digits::of(&left_unscaled, left_scale), number::Digits::of(&right_unscaled, right_scale));
    let magnitudes = left.exponent.cmp(&right.exponent).then_with(|| left.digits.cmp(&right.digits));
    if left_unscaled.sign() == Sign::Minus { magnitudes.reverse() } else { magnitudes }
}

fn compare_compound(cql_type: &CqlType, left: &[u8], right: &[u8], depth_left: usize) -> Ordering {
    let order = match cql_type {
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            match (Elements::list(cql_type, left), Elements::list(cql_type, right)) {
                (Ok(left), Ok(right)) => compare_elements(left, right, &[element], depth_left),
                _ => None,
            }
        }
        CqlType::Map(key, item, _) => match (Elements::map(cql_type, left), Elements::map(cql_type, right)) {
            (Ok(left), Ok(right)) => compare_elements(left, right, &[key, item], depth_left),
            _ => None,
        },
        CqlType::Tuple(fields) => compare_fields(cql_type, &fields.iter().collect::<Vec<_>>(), left, right, depth_left),
        CqlType::UserDefined { fields, .. } => {
            let fields: Vec<&CqlType> = fields.iter().map(|(_, field)| field).collect();
            compare_fields(cql_type, &fields, left, right, depth_left)
        }
        CqlType::Vector(element, dimension) => {
            let left = split_vector(cql_type, element, *dimension, left);
            let right = split_vector(cql_type, element, *dimension, right);
            match (left, right) {
                (Ok(left), Ok(right)) => Some(
                    left.into_iter()
                        .zip(right)
                        .map(|(left, right)| compare_at(element, left, right, depth_left))
                        .find(|order| order.is_ne())
                        .unwrap_or(Ordering::Equal),
                ),
                _ => None,
            }
        }
        _ => None,
    };
    order.unwrap_or_else(|| left.cmp(right))
}

/// Element by element, the shorter first; `None` if one is malformed. `types` repeat in turn.
fn compare_elements(
    mut left: Elements<'_>,
    mut right: Elements<'_>,
    types: &[&CqlType],
    depth_left: usize,
) -> Option<Ordering> {
    let mut turn = types.iter().cycle();
    loop {
        match (left.next().ok()?, right.next().ok()?) {
            (Some(left), Some(right)) => {
                let order = compare_at(turn.next()?, left, right, depth_left);
                if order.is_ne() {
                    return Some(order);
                }
            }
            (left, right) => return Some(left.is_some().cmp(&right.is_some())),
        }
    }
}

fn compare_fields(
    cql_type: &CqlType,
    fields: &[&CqlType],
    left: &[u8],
    right: &[u8],
    depth_left: usize,
) -> Option<Ordering> {
    let left = split_fields(cql_type, fields.len(), left).ok()?;
    let right = split_fields(cql_type, fields.len(), right).ok()?;
    let orders = fields.iter().zip(left.into_iter().zip(right)).map(|(field, pair)| match pair {
        (Some(left), Some(right)) => compare_at(field, left, right, depth_left),
        (left, right) => left.is_some().cmp(&right.is_some()),
    });
    Some(orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
}
