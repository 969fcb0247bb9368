//! CQL types to and from messages.

use quorate_model::CqlType;

use crate::convert::{ConvertError, broken, missing, u16_of};
use crate::limits::DEPTH_MAX;
use crate::v1;
use crate::v1::r#type::Type as Kind;

/// The types that have a number and nothing else.
const SIMPLE: [(v1::SimpleType, CqlType); 20] = [
    (v1::SimpleType::Ascii, CqlType::Ascii),
    (v1::SimpleType::Bigint, CqlType::BigInt),
    (v1::SimpleType::Blob, CqlType::Blob),
    (v1::SimpleType::Boolean, CqlType::Boolean),
    (v1::SimpleType::Counter, CqlType::Counter),
    (v1::SimpleType::Decimal, CqlType::Decimal),
    (v1::SimpleType::Double, CqlType::Double),
    (v1::SimpleType::Float, CqlType::Float),
    (v1::SimpleType::Int, CqlType::Int),
    (v1::SimpleType::Text, CqlType::Text),
    (v1::SimpleType::Timestamp, CqlType::Timestamp),
    (v1::SimpleType::Uuid, CqlType::Uuid),
    (v1::SimpleType::Varint, CqlType::Varint),
    (v1::SimpleType::Timeuuid, CqlType::TimeUuid),
    (v1::SimpleType::Inet, CqlType::Inet),
    (v1::SimpleType::Date, CqlType::Date),
    (v1::SimpleType::Time, CqlType::Time),
    (v1::SimpleType::Smallint, CqlType::SmallInt),
    (v1::SimpleType::Tinyint, CqlType::TinyInt),
    (v1::SimpleType::Duration, CqlType::Duration),
];

pub(crate) fn type_to_proto(cql_type: &CqlType) -> v1::Type {
    let boxed = |inner: &CqlType| Some(Box::new(type_to_proto(inner)));
    let kind = match cql_type {
        CqlType::List(element, frozen) => {
            Kind::List(Box::new(v1::CollectionType { element: boxed(element), frozen: *frozen }))
        }
        CqlType::Set(element, frozen) => {
            Kind::Set(Box::new(v1::CollectionType { element: boxed(element), frozen: *frozen }))
        }
        CqlType::Map(key, value, frozen) => {
            Kind::Map(Box::new(v1::MapType { key: boxed(key), value: boxed(value), frozen: *frozen }))
        }
        CqlType::Tuple(elements) => {
            Kind::Tuple(v1::TupleType { elements: elements.iter().map(type_to_proto).collect() })
        }
        CqlType::Vector(element, dimension) => {
            Kind::Vector(Box::new(v1::VectorType { element: boxed(element), dimension: u32::from(*dimension) }))
        }
        CqlType::UserDefined { keyspace, name, fields, frozen } => Kind::User(v1::UserType {
            keyspace: keyspace.clone(),
            name: name.clone(),
            fields: fields
                .iter()
                .map(|(name, field)| v1::UserTypeField { name: name.clone(), r#type: Some(type_to_proto(field)) })
                .collect(),
            frozen: *frozen,
        }),
        simple => {
            let number = SIMPLE.iter().find(|(_, known)| known == simple).map_or(0, |(number, _)| *number as i32);
            assert!(number != 0, "a simple type without a number: {simple:?}");
            Kind::Simple(number)
        }
    };
    v1::Type { r#type: Some(kind) }
}

pub(crate) fn type_from_proto(message: &v1::Type, field: &'static str) -> Result<CqlType, ConvertError> {
    nested(Some(message), field, 0)
}

fn nested(message: Option<&v1::Type>, field: &'static str, depth: usize) -> Result<CqlType, ConvertError> {
    if depth > DEPTH_MAX {
        return Err(broken(field, format!("is nested deeper than {DEPTH_MAX}")));
    }
    let inner = |message: Option<&v1::Type>| nested(message, field, depth + 1);
    let boxed = |message: &Option<Box<v1::Type>>| inner(message.as_deref()).map(Box::new);
    match message.and_then(|message| message.r#type.as_ref()).ok_or_else(|| missing(field))? {
        Kind::Simple(number) => SIMPLE
            .iter()
            .find(|(known, _)| *known as i32 == *number)
            .map(|(_, cql_type)| cql_type.clone())
            .ok_or_else(|| broken(field, format!("is {number}, which is no simple type"))),
        Kind::List(list) => Ok(CqlType::List(boxed(&list.element)?, list.frozen)),
        Kind::Set(set) => Ok(CqlType::Set(boxed(&set.element)?, set.frozen)),
        Kind::Map(map) => Ok(CqlType::Map(boxed(&map.key)?, boxed(&map.value)?, map.frozen)),
        Kind::Tuple(tuple) => {
            tuple.elements.iter().map(|element| inner(Some(element))).collect::<Result<_, _>>().map(CqlType::Tuple)
        }
        Kind::Vector(vector) => Ok(CqlType::Vector(boxed(&vector.element)?, u16_of(vector.dimension, field)?)),
        Kind::User(user) => Ok(CqlType::UserDefined {
            keyspace: user.keyspace.clone(),
            name: user.name.clone(),
            fields: user
                .fields
                .iter()
                .map(|field| Ok((field.name.clone(), inner(field.r#type.as_ref())?)))
                .collect::<Result<_, ConvertError>>()?,
            frozen: user.frozen,
        }),
    }
}
