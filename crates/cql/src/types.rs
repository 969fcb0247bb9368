//! Types as written to types as meant.

use quorate_model::CqlType;
use quorate_model::limits::TYPE_DEPTH_MAX;
use quorate_model::request::{Place, RequestError};

use crate::ast::TypeName;

/// The type, or why there is none. `keyspace` is where user types would be looked for.
pub(crate) fn resolve(type_name: &TypeName, keyspace: &str) -> Result<CqlType, String> {
    let resolved = resolve_at(type_name, keyspace, false)?;
    if resolved.depth() > TYPE_DEPTH_MAX {
        return Err(format!("type {type_name} is nested deeper than {TYPE_DEPTH_MAX} levels"));
    }
    Ok(resolved)
}

/// The error for a type that cannot be: of its syntax, if it is `frozen` that is out of place.
pub(crate) fn error(message: String, place: Place) -> RequestError {
    if message.starts_with("frozen<>") {
        return RequestError::Syntax { message, place: Some(place) };
    }
    RequestError::Invalid { message, place: Some(place) }
}

fn resolve_at(type_name: &TypeName, keyspace: &str, frozen: bool) -> Result<CqlType, String> {
    let inner = |inner: &TypeName| {
        let resolved = resolve_at(inner, keyspace, frozen)?;
        if resolved.is_multicell() && !frozen {
            return Err(format!("Non-frozen collections are not allowed inside collections: {type_name}"));
        }
        if resolved == CqlType::Counter {
            return Err(format!("Counters are not allowed inside collections: {type_name}"));
        }
        Ok(Box::new(resolved))
    };
    match type_name {
        TypeName::Plain(owner, name) => {
            let native = if owner.is_none() { CqlType::parse_name(name) } else { None };
            native.ok_or_else(|| {
                let owner = owner.as_deref().unwrap_or(keyspace);
                if owner.is_empty() { format!("Unknown type {name}") } else { format!("Unknown type {owner}.{name}") }
            })
        }
        TypeName::List(element) => Ok(CqlType::List(inner(element)?, frozen)),
        TypeName::Set(element) => {
            let element = inner(element)?;
            no_durations("sets", &element, type_name)?;
            Ok(CqlType::Set(element, frozen))
        }
        TypeName::Map(key, value) => {
            let key = inner(key)?;
            no_durations("map keys", &key, type_name)?;
            Ok(CqlType::Map(key, inner(value)?, frozen))
        }
        TypeName::Tuple(items) => {
            let fields = items.iter().map(|item| resolve_at(item, keyspace, true).map(|field| field.freeze()));
            Ok(CqlType::Tuple(fields.collect::<Result<_, String>>()?))
        }
        TypeName::Vector(element, dimension) => {
            let element = resolve_at(element, keyspace, true)?.freeze();
            Ok(CqlType::Vector(Box::new(element), *dimension))
        }
        TypeName::Frozen(wrapped) => match wrapped.as_ref() {
            TypeName::Plain(..) => {
                let resolved = resolve_at(wrapped, keyspace, true)?;
                Err(format!("frozen<> is only allowed on collections, tuples, and user-defined types (got {resolved})"))
            }
            _ => Ok(resolve_at(wrapped, keyspace, true)?.freeze()),
        },
        TypeName::Custom(class) => Err(format!("Custom type '{class}' is not supported")),
    }
}

fn no_durations(place: &str, part: &CqlType, type_name: &TypeName) -> Result<(), String> {
    if part.mentions(&|inner| *inner == CqlType::Duration) {
        return Err(format!("Durations are not allowed inside {place}: {type_name}"));
    }
    Ok(())
}
