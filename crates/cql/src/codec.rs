//! The encodings of values, as this crate uses them.

use std::cmp::Ordering;

use bytes::Bytes;
use quorate_model::value::ValueError;
use quorate_model::{ClusteringKey, CqlType, Value, ordered, value};

fn said(error: ValueError) -> String {
    error.to_string()
}

pub(crate) fn validate(cql_type: &CqlType, bytes: &Bytes) -> Result<(), String> {
    value::validate(cql_type, bytes).map_err(said)
}

pub(crate) fn decode(cql_type: &CqlType, bytes: &[u8]) -> Result<Value, String> {
    Value::decode(cql_type, bytes).map_err(said)
}

pub(crate) fn encode(cql_type: &CqlType, value: &Value) -> Result<Bytes, String> {
    value.encode(cql_type).map_err(said).map(Option::unwrap_or_default)
}

/// The encoding of a literal.
pub(crate) fn parse_constant(cql_type: &CqlType, text: &str) -> Result<Bytes, String> {
    let value = Value::parse_text(cql_type, text).map_err(said)?;
    encode(cql_type, &value)
}

pub(crate) fn compare(cql_type: &CqlType, left: &[u8], right: &[u8]) -> Ordering {
    value::compare(cql_type, left, right)
}

/// Appends a byte-comparable clustering component.
pub(crate) fn ordered(cql_type: &CqlType, descending: bool, value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    ordered::encode_component(cql_type, descending, Some(value), out).map_err(said)
}

/// The components of a clustering key; a broken one (storage verifies checksums, so none is expected) has none.
pub(crate) fn clustering_components(types: &[(CqlType, bool)], key: &ClusteringKey) -> Vec<Option<Bytes>> {
    ordered::clustering_components(types, key).unwrap_or_else(|_| vec![None; types.len()])
}

/// The cell path of a set's element or a map's key.
pub(crate) fn path(cql_type: &CqlType, value: &[u8]) -> Result<Bytes, String> {
    ordered::cell_path(cql_type, value).map_err(said)
}

/// The cell path of a user type's field.
pub(crate) fn field_path(position: u16) -> Bytes {
    Bytes::copy_from_slice(&position.to_be_bytes())
}

/// The field's position again.
pub(crate) fn path_field(path: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(path.try_into().ok()?)))
}

/// The element or key of a cell path.
pub(crate) fn path_value(cql_type: &CqlType, path: &[u8]) -> Option<Bytes> {
    ordered::cell_path_value(cql_type, path).ok()
}

/// A collection's or tuple's encoding from its parts: elements, keys and values by turns, or fields. Sets and maps are
/// sorted, and of equal elements the last stands.
pub(crate) fn assemble(cql_type: &CqlType, parts: Vec<Option<Bytes>>) -> Result<Bytes, String> {
    let whole =
        || parts.iter().cloned().collect::<Option<Vec<Bytes>>>().ok_or("null is not supported inside collections");
    match cql_type {
        CqlType::Tuple(_) | CqlType::UserDefined { .. } => {
            let mut out = Vec::new();
            for part in &parts {
                write_part(part.as_ref(), &mut out);
            }
            Ok(out.into())
        }
        CqlType::List(..) => Ok(collection(&whole()?, 1)),
        CqlType::Set(element, _) => {
            let mut items = whole()?;
            items.sort_by(|left, right| compare(element, left, right));
            items.dedup_by(|later, earlier| compare(element, later, earlier).is_eq());
            Ok(collection(&items, 1))
        }
        CqlType::Map(key, ..) => {
            let items = whole()?;
            let mut entries: Vec<&[Bytes]> = items.chunks_exact(2).collect();
            let key_of = |entry: &[Bytes]| entry.first().cloned().unwrap_or_default();
            entries.sort_by(|left, right| compare(key, &key_of(left), &key_of(right)));
            entries.dedup_by(|later, earlier| {
                let same = compare(key, &key_of(later), &key_of(earlier)).is_eq();
                if same {
                    *earlier = *later;
                }
                same
            });
            Ok(collection(&entries.concat(), 2))
        }
        CqlType::Vector(element, _) => {
            let values = whole()?.iter().map(|part| decode(element, part)).collect::<Result<Vec<_>, _>>()?;
            encode(cql_type, &Value::Sequence(values))
        }
        _ => Err(format!("{cql_type} has no parts")),
    }
}

/// The parts of a list, set, map (keys and values by turns) or tuple.
pub(crate) fn split(cql_type: &CqlType, bytes: &Bytes) -> Result<Vec<Option<Bytes>>, String> {
    let short = || format!("Not enough bytes to read a {cql_type}");
    let mut rest = bytes.clone();
    let mut parts = Vec::new();
    let mut left = match cql_type {
        CqlType::Tuple(fields) => fields.len(),
        CqlType::UserDefined { fields, .. } => fields.len(),
        CqlType::List(..) | CqlType::Set(..) | CqlType::Map(..) => {
            let count = usize::try_from(read_length(&mut rest).ok_or_else(short)?).map_err(|_| short())?;
            if matches!(cql_type, CqlType::Map(..)) { count.saturating_mul(2) } else { count }
        }
        _ => return Err(format!("{cql_type} has no parts")),
    };
    while left > 0 && !rest.is_empty() {
        let length = read_length(&mut rest).ok_or_else(short)?;
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => parts.push(Some(rest.split_to(length))),
            Ok(_) => return Err(short()),
            Err(_) => parts.push(None),
        }
        left -= 1;
    }
    if left > 0 && !matches!(cql_type, CqlType::Tuple(_) | CqlType::UserDefined { .. }) {
        return Err(short());
    }
    Ok(parts)
}

fn read_length(rest: &mut Bytes) -> Option<i32> {
    if rest.len() < 4 {
        return None;
    }
    let length: [u8; 4] = rest.split_to(4).as_ref().try_into().ok()?;
    Some(i32::from_be_bytes(length))
}

/// A collection's encoding from its elements in order; `per_entry` is 2 for a map.
pub(crate) fn collection(items: &[Bytes], per_entry: usize) -> Bytes {
    let mut out = Vec::with_capacity(4 + items.iter().map(|item| item.len() + 4).sum::<usize>());
    out.extend_from_slice(&((items.len() / per_entry) as i32).to_be_bytes());
    for item in items {
        write_part(Some(item), &mut out);
    }
    out.into()
}

/// A length (-1 for null) and the bytes: also how rows are encoded.
pub(crate) fn write_part(part: Option<&Bytes>, out: &mut Vec<u8>) {
    write_bytes(part.map(|bytes| &bytes[..]), out);
}

/// [`write_part`] of borrowed bytes.
pub(crate) fn write_bytes(part: Option<&[u8]>, out: &mut Vec<u8>) {
    match part {
        Some(bytes) => {
            out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}
