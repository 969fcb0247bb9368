//! CQL types as option ids and, where a version has no id for a type, as class names.

mod class_name;

use quorate_model::CqlType;

use crate::error::WireError;
use crate::limits::{TYPE_DEPTH_MAX, TYPE_PARTS_MAX};
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

pub use class_name::{class_name, parse_class_name};

const CUSTOM: u16 = 0x00;
const LIST: u16 = 0x20;
const MAP: u16 = 0x21;
const SET: u16 = 0x22;
const USER_DEFINED: u16 = 0x30;
const TUPLE: u16 = 0x31;

/// Native types, each with its option id and the first version that has the id; before, it is a custom type.
const NATIVE: [(u16, ProtocolVersion, CqlType); 20] = [
    (0x01, ProtocolVersion::V3, CqlType::Ascii),
    (0x02, ProtocolVersion::V3, CqlType::BigInt),
    (0x03, ProtocolVersion::V3, CqlType::Blob),
    (0x04, ProtocolVersion::V3, CqlType::Boolean),
    (0x05, ProtocolVersion::V3, CqlType::Counter),
    (0x06, ProtocolVersion::V3, CqlType::Decimal),
    (0x07, ProtocolVersion::V3, CqlType::Double),
    (0x08, ProtocolVersion::V3, CqlType::Float),
    (0x09, ProtocolVersion::V3, CqlType::Int),
    (0x0B, ProtocolVersion::V3, CqlType::Timestamp),
    (0x0C, ProtocolVersion::V3, CqlType::Uuid),
    (0x0D, ProtocolVersion::V3, CqlType::Text),
    (0x0E, ProtocolVersion::V3, CqlType::Varint),
    (0x0F, ProtocolVersion::V3, CqlType::TimeUuid),
    (0x10, ProtocolVersion::V3, CqlType::Inet),
    (0x11, ProtocolVersion::V4, CqlType::Date),
    (0x12, ProtocolVersion::V4, CqlType::Time),
    (0x13, ProtocolVersion::V4, CqlType::SmallInt),
    (0x14, ProtocolVersion::V4, CqlType::TinyInt),
    (0x15, ProtocolVersion::V5, CqlType::Duration),
];

/// Writes a type as an `[option]`. Whether it is frozen is not said.
pub fn write_type(writer: &mut Writer<'_>, version: ProtocolVersion, cql_type: &CqlType) {
    match cql_type {
        CqlType::List(element, _) => {
            writer.u16(LIST);
            write_type(writer, version, element);
        }
        CqlType::Set(element, _) => {
            writer.u16(SET);
            write_type(writer, version, element);
        }
        CqlType::Map(key, value, _) => {
            writer.u16(MAP);
            write_type(writer, version, key);
            write_type(writer, version, value);
        }
        CqlType::Tuple(fields) => {
            writer.u16(TUPLE);
            writer.u16(short(fields.len()));
            for field in fields {
                write_type(writer, version, field);
            }
        }
        CqlType::UserDefined { keyspace, name, fields, .. } => {
            writer.u16(USER_DEFINED);
            writer.string(keyspace);
            writer.string(name);
            writer.u16(short(fields.len()));
            for (name, field) in fields {
                writer.string(name);
                write_type(writer, version, field);
            }
        }
        CqlType::Vector(..) => write_custom(writer, cql_type),
        native => match NATIVE.iter().find(|(_, _, known)| known == native) {
            Some((id, since, _)) if version >= *since => writer.u16(*id),
            _ => write_custom(writer, native),
        },
    }
}

fn write_custom(writer: &mut Writer<'_>, cql_type: &CqlType) {
    writer.u16(CUSTOM);
    writer.string(&class_name(cql_type));
}

/// The number of a type's fields; the schema allows far fewer than two bytes can count.
fn short(count: usize) -> u16 {
    assert!(u16::try_from(count).is_ok(), "a type of {count} fields");
    count as u16
}

/// How much of types may still be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeBudget {
    parts: usize,
}

impl TypeBudget {
    /// So many types, over all levels.
    pub(crate) fn new(parts: usize) -> Self {
        Self { parts }
    }

    fn spend(&mut self, depth: usize) -> Result<(), WireError> {
        if depth > TYPE_DEPTH_MAX {
            return Err(WireError::TooMany { field: "type's depth", count: depth, max: TYPE_DEPTH_MAX });
        }
        let Some(left) = self.parts.checked_sub(1) else {
            return Err(WireError::Refused("a type of too many parts"));
        };
        self.parts = left;
        Ok(())
    }
}

/// Reads a type. What is not said comes back as 'not frozen', except within a custom type, whose name says it.
pub fn read_type(reader: &mut Reader) -> Result<CqlType, WireError> {
    read_part(reader, 1, &mut TypeBudget::new(TYPE_PARTS_MAX))
}

pub(crate) fn read_part(reader: &mut Reader, depth: usize, budget: &mut TypeBudget) -> Result<CqlType, WireError> {
    budget.spend(depth)?;
    let offset = reader.offset();
    let id = reader.u16("type")?;
    Ok(match id {
        CUSTOM => parse_class_name(&reader.string("custom type")?)?,
        LIST => CqlType::List(read_part(reader, depth + 1, budget)?.into(), false),
        SET => CqlType::Set(read_part(reader, depth + 1, budget)?.into(), false),
        MAP => {
            let key = read_part(reader, depth + 1, budget)?;
            CqlType::Map(key.into(), read_part(reader, depth + 1, budget)?.into(), false)
        }
        TUPLE => {
            let count = reader.short_count(2, "tuple's fields")?;
            CqlType::Tuple((0..count).map(|_| read_part(reader, depth + 1, budget)).collect::<Result<_, _>>()?)
        }
        USER_DEFINED => {
            let keyspace = reader.string("user type's keyspace")?;
            let name = reader.string("user type's name")?;
            let count = reader.short_count(4, "user type's fields")?;
            let field = |_| Ok((reader.string("user type's field")?, read_part(reader, depth + 1, budget)?));
            let fields = (0..count).map(field).collect::<Result<_, WireError>>()?;
            CqlType::UserDefined { keyspace, name, fields, frozen: false }
        }
        native => match NATIVE.iter().find(|(known, ..)| *known == native) {
            Some((_, _, cql_type)) => cql_type.clone(),
            None => return Err(WireError::UnknownNumber { field: "type", offset, found: i64::from(native) }),
        },
    })
}
