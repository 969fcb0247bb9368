//! `CREATE INDEX` and `DROP INDEX`: an index belongs to its table, so either is a change of the table.

use std::collections::BTreeMap;

use quorate_model::limits::TABLE_NAME_MAX;
use quorate_model::request::{RequestError, SchemaChangeKind};
use quorate_model::schema::{Column, ColumnKind, Keyspace, Table};
use quorate_model::{CqlType, Index, IndexKind, IndexPart};

use crate::ast::{CreateIndex, Name, Property};
use crate::expr::invalid;
use crate::lexer::quote_name;
use crate::limits::INDEXES_PER_TABLE_MAX;
use crate::options;
use crate::schema_change::{SchemaContext, SchemaEdit, SchemaOutcome};

/// The names of the one custom index that there is, in lower case.
const SAI: [&str; 3] = ["sai", "storageattachedindex", "org.apache.cassandra.index.sai.storageattachedindex"];
/// The class of Cassandra's that stands for no class.
const LEGACY: &str = "legacy_local_table";
/// Options of analysis, each with the value that leaves values as they are.
const ANALYSIS: [(&str, &str); 3] = [("case_sensitive", "true"), ("normalize", "false"), ("ascii", "false")];

/// Whether it is a storage-attached index, of which several may answer one query, and which know ranges.
pub(crate) fn is_sai(index: &Index) -> bool {
    matches!(&index.kind, IndexKind::Custom(class) if SAI.contains(&class.to_ascii_lowercase().as_str()))
}

/// Works out a `CREATE INDEX`.
pub(crate) fn create(
    create: &CreateIndex,
    keyspace: &Keyspace,
    context: &SchemaContext,
) -> Result<SchemaOutcome, RequestError> {
    let (kind, index_options) = kind_of(create)?;
    let Some(table) = keyspace.tables.get(&create.table.name.text) else {
        return Err(invalid(format!("Table '{}' doesn't exist", create.table.name), create.table.name.place));
    };
    if table.is_counter() {
        return Err(RequestError::invalid("Secondary indexes on counter tables aren't supported"));
    }
    let (part, target) = match create.targets.as_slice() {
        [] => {
            let message = "Only CUSTOM indexes can be created without specifying a target column";
            return Err(RequestError::invalid(message));
        }
        [only] => only,
        [..] => return Err(RequestError::invalid("Only CUSTOM indexes support multiple columns")),
    };
    let (column, part) = target_of(*part, target, table)?;
    let index = Index {
        id: context.new_table_id,
        name: index_name(create.name.as_ref(), column, table, keyspace)?,
        column: column.id,
        part,
        kind,
        options: index_options,
    };
    check_class(&index, column)?;
    let known = keyspace.tables.values().flat_map(|table| &table.indexes);
    if known.clone().any(|known| known.name == index.name) {
        if create.if_not_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(RequestError::invalid(format!("Index '{}' already exists", index.name)));
    }
    let same_target = |known: &&Index| known.column == index.column && known.part == index.part;
    let same = |known: &&Index| same_target(known) && known.kind == index.kind && known.options == index.options;
    if let Some(known) = table.indexes.iter().find(same) {
        if create.if_not_exists {
            return Ok(SchemaOutcome::nothing());
        }
        let message = format!("Index {} is a duplicate of existing index {}", index.name, known.name);
        return Err(RequestError::invalid(message));
    }
    if is_sai(&index) && table.indexes.iter().any(|known| is_sai(known) && same_target(&known)) {
        let message = format!("Cannot create more than one storage-attached index on the same column: {}", column.name);
        return Err(RequestError::invalid(message));
    }
    if table.indexes.len() >= INDEXES_PER_TABLE_MAX {
        return Err(RequestError::invalid(format!("A table can have at most {INDEXES_PER_TABLE_MAX} indexes")));
    }
    let mut table = table.as_ref().clone();
    table.indexes.push(index);
    table.indexes.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(updated(table))
}

fn updated(table: Table) -> SchemaOutcome {
    let (keyspace, name) = (table.keyspace.clone(), table.name.clone());
    SchemaOutcome::new(SchemaEdit::PutTable(table), SchemaChangeKind::Updated, &keyspace, Some(&name))
}

/// Works out a `DROP INDEX`.
pub(crate) fn drop(
    name: &Name,
    if_exists: bool,
    keyspace: &str,
    known: Option<&Keyspace>,
) -> Result<SchemaOutcome, RequestError> {
    let mut tables = known.into_iter().flat_map(|keyspace| keyspace.tables.values());
    let holder = tables.find(|table| table.indexes.iter().any(|index| index.name == name.text));
    let Some(table) = holder else {
        if if_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(invalid(format!("Index '{keyspace}.{}' doesn't exist'", name.text), name.place));
    };
    let mut table = table.as_ref().clone();
    table.indexes.retain(|index| index.name != name.text);
    Ok(updated(table))
}

/// What kind of index is asked for, with its options.
fn kind_of(create: &CreateIndex) -> Result<(IndexKind, BTreeMap<String, String>), RequestError> {
    let mut given = BTreeMap::new();
    for (name, value) in &create.properties {
        match (name.text.as_str(), value) {
            ("options", Property::Map(_)) => given = options::map(name, value)?,
            ("options", Property::Text(_)) => {
                let message = format!("Invalid value for property '{name}'. It should be a map.");
                return Err(RequestError::Syntax { message, place: Some(name.place) });
            }
            _ => {
                let message = format!("Unknown property '{name}'");
                return Err(RequestError::Syntax { message, place: Some(name.place) });
            }
        }
    }
    let is_custom = create.is_custom || create.class.as_ref().is_some_and(|class| class != LEGACY);
    if !is_custom {
        if given.is_empty() {
            return Ok((IndexKind::Composites, given));
        }
        return Err(RequestError::invalid("Cannot specify options for a non-CUSTOM index"));
    }
    let class = create.class.clone().unwrap_or_else(|| LEGACY.to_owned());
    if !SAI.contains(&class.to_ascii_lowercase().as_str()) {
        return Err(RequestError::Configuration(format!("Unable to find custom indexer class '{class}'")));
    }
    Ok((IndexKind::Custom(class), given))
}

/// The column of a target, and what of it is indexed.
fn target_of<'a>(
    given: Option<IndexPart>,
    name: &Name,
    table: &'a Table,
) -> Result<(&'a Column, IndexPart), RequestError> {
    let refuse = |message: String| Err(invalid(message, name.place));
    let Some(column) = table.column(&name.text) else {
        return refuse(format!("Undefined column name {name} in table {}.{}", table.keyspace, table.name));
    };
    let cql_type = &column.cql_type;
    let is_collection = cql_type.is_collection();
    let is_frozen = !cql_type.is_multicell();
    if matches!(column.kind, ColumnKind::PartitionKey(_)) && table.partition_key().count() == 1 {
        return refuse(format!("Cannot create secondary index on the only partition key column {name}"));
    }
    if cql_type.mentions(&|part| *part == CqlType::Duration) {
        let what = match cql_type {
            CqlType::Duration => "duration columns",
            CqlType::Tuple(_) => "tuples containing durations",
            CqlType::UserDefined { .. } => "UDTs containing durations",
            _ => "collections containing durations",
        };
        return refuse(format!("Secondary indexes are not supported on {what}"));
    }
    if !is_collection {
        return match given {
            None | Some(IndexPart::Value) if cql_type.is_multicell() => {
                refuse(format!("Cannot create index on non-frozen UDT column {name}"))
            }
            None | Some(IndexPart::Value) => Ok((column, IndexPart::Value)),
            Some(IndexPart::Full) => refuse("full() indexes can only be created on frozen collections".to_owned()),
            Some(part) => refuse(format!(
                "Cannot create {}() index on {name}. Non-collection columns only support simple indexes",
                part.modifier().unwrap_or_default()
            )),
        };
    }
    let part = given.unwrap_or(IndexPart::Values);
    let modifier = part.modifier().unwrap_or_default();
    match part {
        IndexPart::Full if is_frozen => Ok((column, part)),
        IndexPart::Full => refuse("full() indexes can only be created on frozen collections".to_owned()),
        _ if is_frozen => refuse(format!(
            "Cannot create {modifier}() index on frozen column {name}. Frozen collections are immutable and must be fully indexed by using the 'full({name})' modifier"
        )),
        IndexPart::Keys | IndexPart::Entries if !matches!(cql_type, CqlType::Map(..)) => {
            refuse(format!("Cannot create index on {modifier} of column {name} with non-map type"))
        }
        _ => Ok((column, part)),
    }
}

/// The name given, or one made of the table's and the column's that nothing else in the keyspace has.
fn index_name(
    given: Option<&Name>,
    column: &Column,
    table: &Table,
    keyspace: &Keyspace,
) -> Result<String, RequestError> {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if let Some(name) = given {
        if name.text.is_empty() || !name.text.chars().all(plain) {
            return Err(RequestError::Configuration(format!("Illegal index name {}", name.text)));
        }
        if name.text.len() > TABLE_NAME_MAX {
            let message = format!("Index name must not be more than {TABLE_NAME_MAX} characters long");
            return Err(RequestError::Configuration(message));
        }
        return Ok(name.text.clone());
    }
    let base: String = format!("{}_{}_idx", table.name, column.name).chars().filter(|each| plain(*each)).collect();
    let taken = |name: &str| keyspace.tables.values().any(|table| table.indexes.iter().any(|known| known.name == name));
    let numbered = (1_u32..).map(|number| format!("{base}_{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name));
    Ok(free.unwrap_or(base))
}

/// What a storage-attached index takes.
fn check_class(index: &Index, column: &Column) -> Result<(), RequestError> {
    if !is_sai(index) {
        return Ok(());
    }
    let unknown: Vec<&str> = index.options.keys().map(String::as_str).filter(|key| !is_sai_option(key)).collect();
    if !unknown.is_empty() {
        return Err(RequestError::Configuration(format!(
            "Properties specified [{}] are not understood by StorageAttachedIndex",
            unknown.join(", ")
        )));
    }
    let changes = |(option, plain): &(&str, &str)| {
        index.options.get(*option).is_some_and(|given| !given.eq_ignore_ascii_case(plain))
    };
    if let Some((option, plain)) = ANALYSIS.iter().find(|analysis| changes(analysis)) {
        return Err(RequestError::invalid(format!(
            "The option '{option}' of StorageAttachedIndex is not supported yet: values are compared as they are ('{plain}')"
        )));
    }
    if matches!(column.cql_type, CqlType::Vector(..)) {
        return Err(RequestError::invalid("StorageAttachedIndex on a vector, for ANN searches, is not supported yet"));
    }
    Ok(())
}

fn is_sai_option(name: &str) -> bool {
    const VECTOR: [&str; 4] = ["similarity_function", "source_model", "optimize_for", "maximum_node_connections"];
    ANALYSIS.iter().any(|(known, _)| *known == name) || VECTOR.contains(&name) || name == "construction_beam_width"
}

/// Columns with indexes stay as they are.
pub(crate) fn check_no_index(table: &Table, column: &Column, what: &str, name: &Name) -> Result<(), RequestError> {
    let names: Vec<&str> =
        table.indexes.iter().filter(|index| index.column == column.id).map(|index| index.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("{what} column {name} because it has dependent secondary indexes ({})", names.join(", "));
    Err(invalid(message, name.place))
}

/// The target as the system tables and `DESCRIBE` have it: the column, perhaps in a modifier.
pub(crate) fn target(table: &Table, index: &Index) -> String {
    let name = table.column_by_id(index.column).map_or_else(String::new, |column| quote_name(&column.name));
    match index.part.modifier() {
        Some(modifier) => format!("{modifier}({name})"),
        None => name,
    }
}

/// The statement that creates the index.
pub(crate) fn create_index(table: &Table, index: &Index) -> String {
    let on = format!(
        "{} ON {}.{} ({})",
        quote_name(&index.name),
        quote_name(&table.keyspace),
        quote_name(&table.name),
        target(table, index)
    );
    let IndexKind::Custom(class) = &index.kind else { return format!("CREATE INDEX {on};") };
    let mut text = format!("CREATE CUSTOM INDEX {on} USING {}", options::quote(class));
    if !index.options.is_empty() {
        let entries =
            index.options.iter().map(|(key, value)| format!("{}: {}", options::quote(key), options::quote(value)));
        text.push_str(&format!(" WITH OPTIONS = {{{}}}", entries.collect::<Vec<_>>().join(", ")));
    }
    text.push(';');
    text
}

/// What the system tables say of it: the kind and the options.
pub(crate) fn description(table: &Table, index: &Index) -> (&'static str, BTreeMap<String, String>) {
    let mut shown = index.options.clone();
    shown.insert("target".to_owned(), target(table, index));
    match &index.kind {
        IndexKind::Composites => ("COMPOSITES", shown),
        IndexKind::Custom(class) => {
            shown.insert("class_name".to_owned(), class.clone());
            ("CUSTOM", shown)
        }
    }
}
