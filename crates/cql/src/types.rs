//! Types as written to types as meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::CqlType;
use quorate_model::limits::TYPE_DEPTH_MAX;
use quorate_model::request::{Place, RequestError};
use quorate_model::schema::{Keyspace, UserType};

use crate::ast::TypeName;

/// Where user types are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) keyspace: &'a str,
    pub(crate) types: Option<&'a BTreeMap<String, Arc<UserType>>>,
}

impl<'a> Scope<'a> {
    /// Native types alone.
    pub(crate) const NONE: Scope<'static> = Scope { keyspace: "", types: None };

    pub(crate) fn of(keyspace: &'a Keyspace) -> Self {
        Self { keyspace: &keyspace.name, types: Some(&keyspace.types) }
    }
}

/// Whether a word names a native type.
pub(crate) fn is_native(name: &str) -> bool {
    CqlType::parse_name(name).is_some()
}

/// The type, or why there is none.
pub(crate) fn resolve(type_name: &TypeName, scope: Scope<'_>) -> Result<CqlType, String> {
    let resolved = resolve_at(type_name, scope, false)?;
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

fn resolve_at(type_name: &TypeName, scope: Scope<'_>, frozen: bool) -> Result<CqlType, String> {
    let inner = |inner: &TypeName| {
        let resolved = resolve_at(inner, scope, frozen)?;
        if resolved.is_multicell() && !frozen {
            let what = if resolved.is_collection() { "collections" } else { "UDTs" };
            return Err(format!("Non-frozen {what} are not allowed inside collections: {type_name}"));
        }
        if resolved == CqlType::Counter {
            return Err(format!("Counters are not allowed inside collections: {type_name}"));
        }
        Ok(Box::new(resolved))
    };
    match type_name {
        TypeName::Plain(owner, name) => {
            let native = if owner.is_none() { CqlType::parse_name(name) } else { None };
            native.map_or_else(|| user_type(owner.as_deref(), name, scope, frozen), Ok)
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
            let fields = items.iter().map(|item| resolve_at(item, scope, true).map(|field| field.freeze()));
            Ok(CqlType::Tuple(fields.collect::<Result<_, String>>()?))
        }
        TypeName::Vector(element, dimension) => {
            let element = resolve_at(element, scope, true)?.freeze();
            Ok(CqlType::Vector(Box::new(element), *dimension))
        }
        TypeName::Frozen(wrapped) => match wrapped.as_ref() {
            TypeName::Plain(..) => match resolve_at(wrapped, scope, true)? {
                resolved @ CqlType::UserDefined { .. } => Ok(resolved),
                resolved => Err(format!(
                    "frozen<> is only allowed on collections, tuples, and user-defined types (got {resolved})"
                )),
            },
            _ => Ok(resolve_at(wrapped, scope, true)?.freeze()),
        },
        TypeName::Custom(class) => Err(format!("Custom type '{class}' is not supported")),
    }
}

fn user_type(owner: Option<&str>, name: &str, scope: Scope<'_>, frozen: bool) -> Result<CqlType, String> {
    let keyspace = owner.unwrap_or(scope.keyspace);
    if keyspace != scope.keyspace && !scope.keyspace.is_empty() {
        return Err(format!(
            "Statement on keyspace {} cannot refer to a user type in keyspace {keyspace}; user types can only be used in the keyspace they are defined in",
            scope.keyspace
        ));
    }
    let found = scope.types.and_then(|types| types.get(name));
    found.map(|found| found.cql_type(frozen)).ok_or_else(|| {
        if keyspace.is_empty() { format!("Unknown type {name}") } else { format!("Unknown type {keyspace}.{name}") }
    })
}

fn no_durations(place: &str, part: &CqlType, type_name: &TypeName) -> Result<(), String> {
    if part.mentions(&|inner| *inner == CqlType::Duration) {
        return Err(format!("Durations are not allowed inside {place}: {type_name}"));
    }
    Ok(())
}
