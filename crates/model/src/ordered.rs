//! Byte-comparable encodings: bytes that sort as the values do.
//!
//! A clustering key is the concatenation of its components, a cell path is one component. Comparing two keys byte by byte
//! gives the table's clustering order, `DESC` columns reversed, and no type is needed for it.
//!
//! ```text
//! component   part | { 0x03 | scale } ...   the scales (four bytes each) of all decimals in the part, in order
//! part        0x01                     null
//!             0x02                     a value of zero bytes, of a type that has no such value of its own
//!             0x03 | body              a value
//! body        fixed-size types         as many bytes, big-endian, signs and time fields turned so that they sort
//!             text, blob, inet         the bytes, 0x00 written as 0x00 0x01; then 0x00 0x00
//!             varint                   sign (0x7f, 0x80, 0x81) | length | magnitude; both inverted if negative
//!             decimal                  sign | exponent | digits 0x00; inverted if negative
//!             list, set, map           the parts (key, value by turns); then 0x00
//!             tuple, vector, user type one part a field
//! length      one byte below 0xff; else 0xff and four bytes
//! ```
//!
//! A descending component is the same with every byte inverted. No component is a prefix of another one of its type, and
//! none begins with 0xff (nor, inverted, with 0x00), which leaves 0xff to mean 'after all that begins with this'
//! ([`Position::after`](crate::key::Position::after)).
//!
//! Values that Cassandra's comparator holds to be equal have the same encoding (a NaN is a NaN, missing tuple fields are
//! null), except for decimals: `1.0` and `1.00` sort together but keep their scale, so as key columns they are two
//! different values. A bound ([`prefix`]) leaves off the scales at its end and so covers both.

mod decode;
mod encode;

use bytes::Bytes;

pub use decode::{decode_component, decode_component_into};
pub use encode::encode_component;

use crate::key::ClusteringKey;
use crate::limits;
use crate::types::CqlType;
use crate::value::ValueError;

/// First byte of a null.
const NULL: u8 = 0x01;
/// First byte of a value of zero bytes.
const EMPTY: u8 = 0x02;
/// First byte of any other value.
const VALUE: u8 = 0x03;
/// Sign of negative numbers of varying length.
const NEGATIVE: u8 = 0x7f;
/// Sign of zero.
const ZERO: u8 = 0x80;
/// Sign of positive numbers of varying length.
const POSITIVE: u8 = 0x81;
/// Ends the components of a collection; less than any component's first byte.
const END: u8 = 0x00;

/// The clustering key of these components; `types` are the table's clustering types with whether each descends.
pub fn clustering_key(types: &[(CqlType, bool)], components: &[Bytes]) -> Result<ClusteringKey, ValueError> {
    if types.len() != components.len() {
        return Err(ValueError::Malformed {
            cql_type: "clustering key".to_owned(),
            problem: format!(
                "Invalid number of clustering components: expected {}, found {}",
                types.len(),
                components.len()
            ),
        });
    }
    let mut out = Vec::with_capacity(components.iter().map(|component| component.len() + 4).sum());
    for ((cql_type, descending), component) in types.iter().zip(components) {
        check_length(component)?;
        encode_component(cql_type, *descending, Some(component), &mut out)?;
    }
    Ok(ClusteringKey(out.into()))
}

/// The components of a clustering key, in their CQL encodings.
pub fn clustering_components(types: &[(CqlType, bool)], key: &ClusteringKey) -> Result<Vec<Option<Bytes>>, ValueError> {
    let mut input = key.0.as_ref();
    let components = types.iter().map(|(cql_type, descending)| decode_component(cql_type, *descending, &mut input));
    let components = components.collect::<Result<Vec<_>, _>>()?;
    if input.is_empty() {
        Ok(components)
    } else {
        Err(ValueError::Malformed {
            cql_type: "clustering key".to_owned(),
            problem: format!("{} bytes left over after the last component", input.len()),
        })
    }
}

/// The encoded prefix of the leading components, from which [`Position::before`] and [`Position::after`] make bounds.
/// It covers everything that compares equal to the components; see the module's words on decimals.
///
/// [`Position::before`]: crate::key::Position::before
/// [`Position::after`]: crate::key::Position::after
pub fn prefix(types: &[(CqlType, bool)], components: &[Bytes]) -> Result<Vec<u8>, ValueError> {
    if components.len() > types.len() {
        return Err(ValueError::Malformed {
            cql_type: "clustering prefix".to_owned(),
            problem: format!("Too many clustering components: at most {}, found {}", types.len(), components.len()),
        });
    }
    let mut out = Vec::new();
    for (index, ((cql_type, descending), component)) in types.iter().zip(components).enumerate() {
        check_length(component)?;
        let without_scales = encode::encode_parts(cql_type, *descending, Some(component), &mut out)?;
        if index + 1 == components.len() {
            out.truncate(without_scales);
        }
    }
    Ok(out)
}

/// The path of a set's element or a map's key.
pub fn cell_path(element: &CqlType, value: &[u8]) -> Result<Bytes, ValueError> {
    check_length(value)?;
    let mut out = Vec::with_capacity(value.len() + 4);
    encode_component(element, false, Some(value), &mut out)?;
    Ok(out.into())
}

/// The element or key of a path, in its CQL encoding.
pub fn cell_path_value(element: &CqlType, path: &[u8]) -> Result<Bytes, ValueError> {
    let mut input = path;
    match decode_component(element, false, &mut input)? {
        Some(value) if input.is_empty() => Ok(value),
        _ => Err(ValueError::malformed(element, "Invalid cell path")),
    }
}

fn check_length(component: &[u8]) -> Result<(), ValueError> {
    if component.len() > limits::CLUSTERING_BYTES_MAX {
        return Err(ValueError::TooLong {
            what: "Clustering component",
            length: component.len(),
            max: limits::CLUSTERING_BYTES_MAX,
        });
    }
    Ok(())
}
