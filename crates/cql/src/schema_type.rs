//! `CREATE TYPE`, `ALTER TYPE`, `DROP TYPE`.

use std::sync::Arc;

use quorate_model::CqlType;
use quorate_model::request::{RequestError, SchemaChangeKind};
use quorate_model::schema::{ColumnKind, Keyspace, Schema, UserType};

use crate::ast::{Name, TypeChange, TypeName};
use crate::expr::invalid;
use crate::limits::FIELDS_PER_TYPE_MAX;
use crate::schema_change::{SchemaEdit, SchemaOutcome};
use crate::types::{self, Scope};

pub(crate) fn create(
    name: &Name,
    fields: &[(Name, TypeName)],
    if_not_exists: bool,
    keyspace: &Keyspace,
) -> Result<SchemaOutcome, RequestError> {
    if keyspace.types.contains_key(&name.text) {
        if if_not_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(invalid(format!("A user type with name '{name}' already exists"), name.place));
    }
    let mut user_type = UserType { keyspace: keyspace.name.clone(), name: name.text.clone(), fields: Vec::new() };
    for (field, type_name) in fields {
        if user_type.fields.iter().any(|(known, _)| *known == field.text) {
            return Err(invalid(format!("Duplicate field name '{field}' in type '{name}'"), field.place));
        }
        user_type.fields.push((field.text.clone(), field_type(field, type_name, keyspace)?));
    }
    check_size(&user_type, name)?;
    Ok(put(user_type, SchemaChangeKind::Created))
}

fn put(user_type: UserType, kind: SchemaChangeKind) -> SchemaOutcome {
    let (keyspace, name) = (user_type.keyspace.clone(), user_type.name.clone());
    SchemaOutcome::of_type(SchemaEdit::PutType(user_type), kind, &keyspace, &name)
}

fn check_size(user_type: &UserType, name: &Name) -> Result<(), RequestError> {
    if user_type.fields.len() > FIELDS_PER_TYPE_MAX {
        return Err(invalid(format!("User types can have at most {FIELDS_PER_TYPE_MAX} fields"), name.place));
    }
    if user_type.cql_type(true).depth() > quorate_model::limits::TYPE_DEPTH_MAX {
        return Err(invalid(format!("type {name} is nested too deeply"), name.place));
    }
    Ok(())
}

fn field_type(field: &Name, type_name: &TypeName, keyspace: &Keyspace) -> Result<CqlType, RequestError> {
    let not_frozen = || invalid("A user type cannot contain non-frozen UDTs", field.place);
    if let TypeName::Plain(owner, name) = type_name
        && (owner.is_some() || CqlType::parse_name(name).is_none())
    {
        return Err(not_frozen());
    }
    let resolved =
        types::resolve(type_name, Scope::of(keyspace)).map_err(|message| types::error(message, field.place))?;
    if resolved == CqlType::Counter {
        return Err(invalid("A user type cannot contain counters", field.place));
    }
    Ok(resolved)
}

fn find<'a>(name: &Name, keyspace: &str, schema: &'a Schema) -> Option<(&'a Keyspace, &'a Arc<UserType>)> {
    let keyspace = schema.keyspace(keyspace)?;
    keyspace.types.get(&name.text).map(|found| (keyspace.as_ref(), found))
}

pub(crate) fn alter(
    name: &Name,
    change: &TypeChange,
    if_exists: bool,
    keyspace: &str,
    schema: &Schema,
) -> Result<SchemaOutcome, RequestError> {
    let Some((owner, known)) = find(name, keyspace, schema) else {
        if if_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(invalid(format!("Type {keyspace}.{name} doesn't exist"), name.place));
    };
    let mut user_type = known.as_ref().clone();
    match change {
        TypeChange::Add { name: field, type_name, if_not_exists } => {
            let added = field_type(field, type_name, owner)?;
            refuse_in_keys(known, owner, field, &added)?;
            if user_type.fields.iter().any(|(known, _)| *known == field.text) {
                if *if_not_exists {
                    return Ok(SchemaOutcome::nothing());
                }
                let message = format!(
                    "Cannot add field {field} to type {keyspace}.{name}: a field with name {field} already exists"
                );
                return Err(invalid(message, field.place));
            }
            if known.is_used_in(&added) {
                let message = format!(
                    "Cannot add new field {field} of type {added} to user type {keyspace}.{name} as it would create a circular reference"
                );
                return Err(invalid(message, field.place));
            }
            user_type.fields.push((field.text.clone(), added));
            check_size(&user_type, name)?;
        }
        TypeChange::Rename { fields, if_exists } => {
            for (from, to) in fields {
                rename(&mut user_type, from, to, *if_exists)?;
            }
        }
        TypeChange::FieldType => return Err(invalid("Altering field types is no longer supported", name.place)),
    }
    if user_type == **known {
        return Ok(SchemaOutcome::nothing());
    }
    Ok(put(user_type, SchemaChangeKind::Updated))
}

/// A partition key's bytes must stay the same, and so its types.
fn refuse_in_keys(known: &UserType, owner: &Keyspace, field: &Name, added: &CqlType) -> Result<(), RequestError> {
    let in_key = |kind| matches!(kind, ColumnKind::PartitionKey(_));
    let tables = owner
        .tables
        .values()
        .filter(|table| table.columns.iter().any(|column| in_key(column.kind) && known.is_used_in(&column.cql_type)));
    let names: Vec<String> = tables.map(|table| format!("{}.{}", table.keyspace, table.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Cannot add new field {field} of type {added} to user type {}.{} as the type is being used in partition key by the following tables: {}",
        known.keyspace,
        known.name,
        names.join(", ")
    );
    Err(invalid(message, field.place))
}

fn rename(user_type: &mut UserType, from: &Name, to: &Name, if_exists: bool) -> Result<(), RequestError> {
    let (keyspace, name) = (user_type.keyspace.clone(), user_type.name.clone());
    let taken = user_type.fields.iter().any(|(known, _)| *known == to.text);
    let Some((field, _)) = user_type.fields.iter_mut().find(|(known, _)| *known == from.text) else {
        if if_exists {
            return Ok(());
        }
        return Err(invalid(format!("Unkown field {from} in user type {keyspace}.{name}"), from.place));
    };
    if taken {
        return Err(invalid(format!("Duplicate field name {to} in type {keyspace}"), to.place));
    }
    field.clone_from(&to.text);
    Ok(())
}

pub(crate) fn drop(
    name: &Name,
    if_exists: bool,
    keyspace: &str,
    schema: &Schema,
) -> Result<SchemaOutcome, RequestError> {
    let Some((owner, known)) = find(name, keyspace, schema) else {
        if if_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(invalid(format!("Type '{keyspace}.{name}' doesn't exist"), name.place));
    };
    let in_use = |kind: &str, users: Vec<&str>| {
        let users = users.join(", ");
        Err(invalid(
            format!("Cannot drop user type '{keyspace}.{name}' as it is still used by {kind} {users}"),
            name.place,
        ))
    };
    let uses = |other: &&Arc<UserType>| other.fields.iter().any(|(_, field)| known.is_used_in(field));
    let types: Vec<&str> = owner.types.values().filter(uses).map(|other| other.name.as_str()).collect();
    if !types.is_empty() {
        return in_use("user types", types);
    }
    let tables =
        owner.tables.values().filter(|table| table.columns.iter().any(|column| known.is_used_in(&column.cql_type)));
    let tables: Vec<&str> = tables.map(|table| table.name.as_str()).collect();
    if !tables.is_empty() {
        return in_use("tables", tables);
    }
    let edit = SchemaEdit::DropType { keyspace: keyspace.to_owned(), name: name.text.clone() };
    Ok(SchemaOutcome::of_type(edit, SchemaChangeKind::Dropped, keyspace, &name.text))
}
