//! `CREATE TABLE` and `ALTER TABLE`.

use quorate_model::limits::TABLE_NAME_MAX;
use quorate_model::request::{RequestError, SchemaChangeKind};
use quorate_model::schema::{Column, ColumnKind, Keyspace, Table, TableOptions};
use quorate_model::{ColumnId, CqlType, TableId};

use crate::ast::{AlterTable, ColumnDefinition, CreateTable, Name, Property, TableChange};
use crate::expr::invalid;
use crate::limits::COLUMNS_PER_TABLE_MAX;
use crate::options;
use crate::schema_change::{SchemaContext, SchemaEdit, SchemaOutcome};
use crate::schema_index::check_no_index;
use crate::types::{self, Scope};

/// Works out a `CREATE TABLE`.
pub(crate) fn create(
    create: &CreateTable,
    keyspace: &Keyspace,
    context: &SchemaContext,
) -> Result<SchemaOutcome, RequestError> {
    let name = &create.table.name;
    check_name(name, &keyspace.name)?;
    if keyspace.tables.contains_key(&name.text) {
        if create.if_not_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(RequestError::AlreadyExists { keyspace: keyspace.name.clone(), table: name.text.clone() });
    }
    if create.compact_storage {
        return Err(invalid("COMPACT STORAGE is not supported", name.place));
    }
    let full_name = format!("{}.{name}", keyspace.name);
    let (id, properties) = table_id(&create.properties, context.new_table_id)?;
    let mut options = TableOptions::default();
    options::apply(&mut options, &properties)?;
    let (partition_key, clustering) = primary_key(create, &full_name)?;
    check_clustering_order(&create.clustering_order, &clustering)?;
    let mut table = Table {
        id,
        keyspace: keyspace.name.clone(),
        name: name.text.clone(),
        columns: Vec::new(),
        next_column: ColumnId(0),
        indexes: Vec::new(),
        dropped: Vec::new(),
        options,
    };
    check_counters(create)?;
    for definition in &create.columns {
        if table.column(&definition.name.text).is_some() {
            let message = format!("Duplicate column '{}' declaration for table '{full_name}'", definition.name);
            return Err(invalid(message, definition.name.place));
        }
        let cql_type = types::resolve(&definition.type_name, Scope::of(keyspace))
            .map_err(|message| types::error(message, definition.name.place))?;
        let position = |names: &[Name]| names.iter().position(|key| key.text == definition.name.text);
        let kind = if let Some(position) = position(&partition_key) {
            ColumnKind::PartitionKey(position as u16)
        } else if let Some(position) = position(&clustering) {
            let descending =
                create.clustering_order.iter().any(|(ordered, desc)| *desc && ordered.text == definition.name.text);
            ColumnKind::Clustering(position as u16, descending)
        } else if definition.is_static {
            ColumnKind::Static
        } else {
            ColumnKind::Regular
        };
        check_column(definition, &cql_type, kind, !clustering.is_empty())?;
        add_column(&mut table, &definition.name, cql_type, kind)?;
    }
    if let Some(unknown) = partition_key.iter().chain(&clustering).find(|key| table.column(&key.text).is_none()) {
        let message = format!("Unknown column '{unknown}' referenced in PRIMARY KEY for table '{name}'");
        return Err(invalid(message, unknown.place));
    }
    table.sort_columns();
    let outcome = SchemaEdit::PutTable(table);
    Ok(SchemaOutcome::new(outcome, SchemaChangeKind::Created, &keyspace.name, Some(&name.text)))
}

fn check_name(name: &Name, keyspace: &str) -> Result<(), RequestError> {
    let text = &name.text;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(RequestError::Configuration(format!(
            "{keyspace}.{text}: Table name must not be empty or not contain non-alphanumeric-underscore characters (got \"{text}\")"
        )));
    }
    if text.len() > TABLE_NAME_MAX {
        return Err(RequestError::Configuration(format!(
            "Table name must not be more than {TABLE_NAME_MAX} characters long (got {} characters for \"{text}\")",
            text.len()
        )));
    }
    Ok(())
}

/// `WITH ID = …` chooses the table's identity: for restoring it.
fn table_id(properties: &[(Name, Property)], new: TableId) -> Result<(TableId, Vec<(Name, Property)>), RequestError> {
    let mut id = new;
    let mut rest = Vec::with_capacity(properties.len());
    for (name, value) in properties {
        match value {
            Property::Text(text) if name.text == "id" => {
                id = TableId::parse(text).ok_or_else(|| RequestError::Configuration("Invalid table id".to_owned()))?;
            }
            _ => rest.push((name.clone(), value.clone())),
        }
    }
    Ok((id, rest))
}

fn primary_key(create: &CreateTable, full_name: &str) -> Result<(Vec<Name>, Vec<Name>), RequestError> {
    let place = create.table.name.place;
    let (partition, clustering) = match create.primary_keys.as_slice() {
        [single] => single.clone(),
        [] => {
            let message = format!("No PRIMARY KEY specifed for table '{full_name}' (exactly one required)");
            return Err(invalid(message, place));
        }
        _ => {
            let message = format!("Multiple PRIMARY KEY specified for table '{full_name}' (exactly one required)");
            return Err(invalid(message, place));
        }
    };
    let all: Vec<&Name> = partition.iter().chain(&clustering).collect();
    let twice =
        all.iter().enumerate().find(|(index, name)| all.iter().take(*index).any(|other| other.text == name.text));
    if let Some((_, name)) = twice {
        let message = format!("Duplicate column '{name}' in PRIMARY KEY clause for table '{}'", create.table.name);
        return Err(invalid(message, name.place));
    }
    Ok((partition, clustering))
}

fn check_clustering_order(order: &[(Name, bool)], clustering: &[Name]) -> Result<(), RequestError> {
    if order.is_empty() {
        return Ok(());
    }
    if let Some((wrong, _)) = order.iter().find(|(name, _)| clustering.iter().all(|column| column.text != name.text)) {
        let message = format!(
            "Only clustering key columns can be defined in CLUSTERING ORDER directive: [{wrong}] are not clustering columns"
        );
        return Err(invalid(message, wrong.place));
    }
    for (position, column) in clustering.iter().enumerate() {
        match order.get(position) {
            Some((ordered, _)) if ordered.text == column.text => {}
            Some((ordered, _)) if order.iter().any(|(name, _)| name.text == column.text) => {
                let message = format!(
                    "The order of columns in the CLUSTERING ORDER directive must match that of the clustering columns ({column} must appear before {ordered})"
                );
                return Err(invalid(message, ordered.place));
            }
            _ => return Err(invalid(format!("Missing CLUSTERING ORDER for column {column}"), column.place)),
        }
    }
    Ok(())
}

/// Counters do not exist yet; mixing them with others never will.
fn check_counters(create: &CreateTable) -> Result<(), RequestError> {
    let is_key = |definition: &&ColumnDefinition| {
        let keys = create.primary_keys.iter().flat_map(|(partition, clustering)| partition.iter().chain(clustering));
        keys.into_iter().any(|key| key.text == definition.name.text)
    };
    let is_counter = |definition: &&ColumnDefinition| {
        types::resolve(&definition.type_name, Scope::NONE).is_ok_and(|cql_type| cql_type == CqlType::Counter)
    };
    let values: Vec<&ColumnDefinition> = create.columns.iter().filter(|definition| !is_key(definition)).collect();
    let Some(counter) = values.iter().find(|definition| is_counter(definition)) else { return Ok(()) };
    let message = if values.iter().all(is_counter) {
        "Counter tables are not supported yet"
    } else {
        "Cannot mix counter and non counter columns in the same table"
    };
    Err(invalid(message, counter.name.place))
}

fn check_column(
    definition: &ColumnDefinition,
    cql_type: &CqlType,
    kind: ColumnKind,
    has_clustering: bool,
) -> Result<(), RequestError> {
    let (name, place) = (&definition.name, definition.name.place);
    match kind {
        ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..) => {
            if definition.is_static {
                return Err(invalid(format!("Static column '{name}' cannot be part of the PRIMARY KEY"), place));
            }
            if cql_type.is_multicell() && !cql_type.is_collection() {
                let shown = match cql_type {
                    CqlType::UserDefined { keyspace, name, .. } => format!("{keyspace}.{name}"),
                    other => other.to_string(),
                };
                let message =
                    format!("Invalid non-frozen user-defined type \"{shown}\" for PRIMARY KEY column '{name}'");
                return Err(invalid(message, place));
            }
            if cql_type.is_multicell() {
                let message = format!("Invalid non-frozen collection type {cql_type} for PRIMARY KEY column '{name}'");
                return Err(invalid(message, place));
            }
            for refused in [CqlType::Counter, CqlType::Duration] {
                if cql_type.mentions(&|part| *part == refused) {
                    let message = format!("{refused} type is not supported for PRIMARY KEY column '{name}'");
                    return Err(invalid(message, place));
                }
            }
        }
        ColumnKind::Static if !has_clustering => {
            let message =
                "Static columns are only useful (and thus allowed) if the table has at least one clustering column";
            return Err(invalid(message, place));
        }
        ColumnKind::Static | ColumnKind::Regular => {
            if let CqlType::UserDefined { fields, frozen: false, .. } = cql_type
                && fields.iter().any(|(_, field)| field.is_multicell())
            {
                let message = "Non-frozen UDTs with nested non-frozen collections are not supported";
                return Err(invalid(message, place));
            }
            if *cql_type == CqlType::Counter {
                return Err(invalid("Counter columns are not supported yet", place));
            }
        }
    }
    Ok(())
}

fn add_column(table: &mut Table, name: &Name, cql_type: CqlType, kind: ColumnKind) -> Result<(), RequestError> {
    if table.columns.len() >= COLUMNS_PER_TABLE_MAX {
        let message = format!("Tables can have at most {COLUMNS_PER_TABLE_MAX} columns");
        return Err(invalid(message, name.place));
    }
    let id = table.next_column;
    table.next_column = ColumnId(id.0.saturating_add(1));
    table.columns.push(Column { id, name: name.text.clone(), cql_type, kind });
    Ok(())
}

/// Works out an `ALTER TABLE`.
pub(crate) fn alter(
    alter: &AlterTable,
    known: &Table,
    keyspace: &Keyspace,
    context: &SchemaContext,
) -> Result<SchemaOutcome, RequestError> {
    let mut table = known.clone();
    match &alter.change {
        TableChange::Add { columns, if_not_exists } => {
            for definition in columns {
                add(&mut table, keyspace, definition, *if_not_exists)?;
            }
        }
        TableChange::Drop { columns, if_exists, timestamp } => {
            for name in columns {
                drop_column(&mut table, name, *if_exists, timestamp.unwrap_or(context.timestamp.0))?;
            }
        }
        TableChange::Rename { columns, if_exists } => {
            for (from, to) in columns {
                rename(&mut table, from, to, *if_exists)?;
            }
        }
        TableChange::With(properties) => options::apply(&mut table.options, properties)?,
        TableChange::ColumnType => return Err(RequestError::invalid("Altering column types is no longer supported")),
    }
    if table == *known {
        return Ok(SchemaOutcome::nothing());
    }
    table.sort_columns();
    let (keyspace, name) = (table.keyspace.clone(), table.name.clone());
    Ok(SchemaOutcome::new(SchemaEdit::PutTable(table), SchemaChangeKind::Updated, &keyspace, Some(&name)))
}

fn add(
    table: &mut Table,
    keyspace: &Keyspace,
    definition: &ColumnDefinition,
    if_not_exists: bool,
) -> Result<(), RequestError> {
    let name = &definition.name;
    if table.column(&name.text).is_some() {
        if if_not_exists {
            return Ok(());
        }
        return Err(invalid(format!("Column with name '{name}' already exists"), name.place));
    }
    let cql_type = types::resolve(&definition.type_name, Scope::of(keyspace))
        .map_err(|message| types::error(message, name.place))?;
    let kind = if definition.is_static { ColumnKind::Static } else { ColumnKind::Regular };
    check_column(definition, &cql_type, kind, table.has_clustering())?;
    add_column(table, name, cql_type, kind)
}

fn drop_column(table: &mut Table, name: &Name, if_exists: bool, timestamp: i64) -> Result<(), RequestError> {
    let Some(index) = table.columns.iter().position(|column| column.name == name.text) else {
        if if_exists {
            return Ok(());
        }
        let message = format!("Column {name} was not found in table '{}.{}'", table.keyspace, table.name);
        return Err(invalid(message, name.place));
    };
    let column = table.columns.remove(index);
    check_no_index(table, &column, "Cannot drop", name)?;
    if matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..)) {
        return Err(invalid(format!("Cannot drop PRIMARY KEY column {name}"), name.place));
    }
    table.dropped.retain(|(known, _)| known.name != column.name);
    table.dropped.push((column, timestamp));
    Ok(())
}

fn rename(table: &mut Table, from: &Name, to: &Name, if_exists: bool) -> Result<(), RequestError> {
    let (keyspace, table_name) = (table.keyspace.clone(), table.name.clone());
    if let Some(column) = table.column(&from.text) {
        check_no_index(table, column, "Can't rename", from)?;
    }
    let taken = table.column(&to.text).is_some();
    let Some(column) = table.columns.iter_mut().find(|column| column.name == from.text) else {
        if if_exists {
            return Ok(());
        }
        let message = format!("Undefined column name {from} in table {keyspace}.{table_name}");
        return Err(invalid(message, from.place));
    };
    if !matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..)) {
        return Err(invalid(format!("Cannot rename non PRIMARY KEY column {from}"), from.place));
    }
    if taken {
        let message = format!(
            "Cannot rename column {from} to {to} in table '{keyspace}.{table_name}'; another column with that name already exists"
        );
        return Err(invalid(message, to.place));
    }
    column.name.clone_from(&to.text);
    Ok(())
}
