//! Statements that change the schema: what they change, worked out against the schema as it is when they are applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::limits::KEYSPACE_NAME_MAX;
use quorate_model::request::{RequestError, SchemaChange, SchemaChangeKind};
use quorate_model::schema::{Keyspace, Replication, Schema, Table, UserType};
use quorate_model::{TableId, Timestamp};

use crate::ast::{AlterKeyspace, CreateKeyspace, Name, Property, Statement};
use crate::expr::invalid;
use crate::options;
use crate::plan::keyspace_of;
use crate::schema_index;
use crate::schema_table;
use crate::schema_type;
use crate::system_tables::{is_stored, is_system_keyspace};

/// A `CREATE`, `ALTER` or `DROP`, with the keyspace that it means.
#[derive(Clone, Debug)]
pub struct SchemaStatement {
    statement: Box<Statement>,
    keyspace: String,
}

/// What the schema becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SchemaEdit {
    /// The keyspace is now this, its tables included.
    PutKeyspace(Keyspace),
    /// The keyspace is gone, with its tables.
    DropKeyspace(String),
    /// The table is now this.
    PutTable(Table),
    /// The table is gone.
    DropTable { keyspace: String, name: String, id: TableId },
    /// The user type is now this.
    PutType(UserType),
    /// The user type is gone.
    DropType { keyspace: String, name: String },
    /// Nothing changes (`IF NOT EXISTS` and the like): answered with `Void`.
    None,
}

/// A schema change worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaOutcome {
    /// The edit.
    pub edit: SchemaEdit,
    /// What clients hear; `None` if nothing changes.
    pub change: Option<SchemaChange>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// What a schema change needs to know beside the schema.
#[derive(Clone, Debug)]
pub struct SchemaContext {
    /// The identity for a table that is created.
    pub new_table_id: TableId,
    /// Data centres with their number of nodes: `NetworkTopologyStrategy` may name no others.
    pub datacenters: BTreeMap<String, usize>,
    /// The time at which columns are dropped.
    pub timestamp: Timestamp,
}

impl SchemaOutcome {
    pub(crate) fn nothing() -> Self {
        Self { edit: SchemaEdit::None, change: None, warnings: Vec::new() }
    }

    pub(crate) fn new(edit: SchemaEdit, kind: SchemaChangeKind, keyspace: &str, table: Option<&str>) -> Self {
        let change =
            SchemaChange { kind, keyspace: keyspace.to_owned(), table: table.map(str::to_owned), user_type: None };
        Self { edit, change: Some(change), warnings: Vec::new() }
    }

    pub(crate) fn of_type(edit: SchemaEdit, kind: SchemaChangeKind, keyspace: &str, user_type: &str) -> Self {
        let user_type = Some(user_type.to_owned());
        let change = SchemaChange { kind, keyspace: keyspace.to_owned(), table: None, user_type };
        Self { edit, change: Some(change), warnings: Vec::new() }
    }
}

impl SchemaStatement {
    pub(crate) fn new(statement: &Statement, current: Option<&str>) -> Result<Self, RequestError> {
        let keyspace = match statement {
            Statement::CreateKeyspace(create) => &create.name.text,
            Statement::AlterKeyspace(alter) => &alter.name.text,
            Statement::DropKeyspace { name, .. } => &name.text,
            Statement::CreateTable(create) => keyspace_of(create.table.keyspace.as_ref(), current)?,
            Statement::AlterTable(alter) => keyspace_of(alter.table.keyspace.as_ref(), current)?,
            Statement::DropTable { table, .. } => keyspace_of(table.keyspace.as_ref(), current)?,
            Statement::CreateIndex(create) => keyspace_of(create.table.keyspace.as_ref(), current)?,
            Statement::DropIndex { name, .. } => keyspace_of(name.keyspace.as_ref(), current)?,
            Statement::CreateType { name, .. }
            | Statement::AlterType { name, .. }
            | Statement::DropType { name, .. } => keyspace_of(name.keyspace.as_ref(), current)?,
            _ => return Err(RequestError::Server("not a schema statement".to_owned())),
        };
        Ok(Self { statement: Box::new(statement.clone()), keyspace: keyspace.to_owned() })
    }

    /// The keyspace that it changes.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// Works out the edit; the schema itself is not touched.
    pub fn apply(&self, schema: &Schema, context: &SchemaContext) -> Result<SchemaOutcome, RequestError> {
        let keyspace = &self.keyspace;
        if is_stored(keyspace) {
            self.check_stored(schema)?;
        } else if is_system_keyspace(keyspace) {
            if let Statement::CreateKeyspace(_) | Statement::DropIndex { .. } = *self.statement {
                let message = format!("System keyspace '{keyspace}' is not user-modifiable");
                return Err(RequestError::invalid(message));
            }
            return Err(RequestError::Unauthorized(format!("{keyspace} keyspace is not user-modifiable.")));
        }
        match &*self.statement {
            Statement::CreateKeyspace(create) => create_keyspace(create, schema, context),
            Statement::AlterKeyspace(alter) => alter_keyspace(alter, schema, context),
            Statement::DropKeyspace { name, if_exists } => drop_keyspace(name, *if_exists, schema),
            Statement::CreateTable(create) => {
                let known = schema.keyspace(keyspace).ok_or_else(|| no_keyspace(keyspace))?;
                schema_table::create(create, known, context)
            }
            Statement::AlterTable(alter) => match find(schema, keyspace, &alter.table.name) {
                Ok(table) => {
                    let known = schema.keyspace(keyspace).ok_or_else(|| no_keyspace(keyspace))?;
                    schema_table::alter(alter, &table, known, context)
                }
                Err(_) if alter.if_exists => Ok(SchemaOutcome::nothing()),
                Err(error) => Err(error),
            },
            Statement::CreateIndex(create) => {
                let known = schema.keyspace(keyspace).ok_or_else(|| no_keyspace(keyspace))?;
                schema_index::create(create, known, context)
            }
            Statement::DropIndex { name, if_exists } => {
                let known = schema.keyspace(keyspace).map(|keyspace| keyspace.as_ref());
                schema_index::drop(&name.name, *if_exists, keyspace, known)
            }
            Statement::CreateType { name, if_not_exists, fields } => {
                let known = schema.keyspace(keyspace).ok_or_else(|| no_keyspace(keyspace))?;
                schema_type::create(&name.name, fields, *if_not_exists, known)
            }
            Statement::AlterType { name, if_exists, change } => {
                schema_type::alter(&name.name, change, *if_exists, keyspace, schema)
            }
            Statement::DropType { name, if_exists } => schema_type::drop(&name.name, *if_exists, keyspace, schema),
            Statement::DropTable { table, if_exists } => match find(schema, keyspace, &table.name) {
                Ok(table) => {
                    let edit =
                        SchemaEdit::DropTable { keyspace: keyspace.clone(), name: table.name.clone(), id: table.id };
                    Ok(SchemaOutcome::new(edit, SchemaChangeKind::Dropped, keyspace, Some(&table.name)))
                }
                Err(_) if *if_exists => Ok(SchemaOutcome::nothing()),
                Err(error) => Err(error),
            },
            _ => Err(RequestError::Server("not a schema statement".to_owned())),
        }
    }
}

impl SchemaStatement {
    /// Of a keyspace of the system that is stored, only the replication may be changed. The texts are Cassandra's.
    fn check_stored(&self, schema: &Schema) -> Result<(), RequestError> {
        let keyspace = &self.keyspace;
        let table = |name: &Name| format!("<table {keyspace}.{}>", name.text);
        let (what, of) = match &*self.statement {
            Statement::AlterKeyspace(_) => return Ok(()),
            Statement::CreateKeyspace(_) if schema.keyspace(keyspace).is_some() => {
                return Ok(());
            }
            Statement::DropKeyspace { .. } => ("DROP", format!("<keyspace {keyspace}>")),
            Statement::DropTable { table: dropped, .. } => ("DROP", table(&dropped.name)),
            Statement::AlterTable(alter) => ("ALTER", table(&alter.table.name)),
            Statement::DropType { .. } => ("DROP", format!("<all tables in {keyspace}>")),
            Statement::AlterType { .. } => ("ALTER", format!("<all tables in {keyspace}>")),
            _ => ("CREATE", format!("<all tables in {keyspace}>")),
        };
        Err(RequestError::Unauthorized(format!("Cannot {what} {of}")))
    }
}

fn no_keyspace(name: &str) -> RequestError {
    RequestError::invalid(format!("Keyspace '{name}' doesn't exist"))
}

fn find(schema: &Schema, keyspace: &str, name: &Name) -> Result<Arc<Table>, RequestError> {
    let table = schema.table(keyspace, &name.text);
    table.cloned().ok_or_else(|| invalid(format!("Table '{keyspace}.{name}' doesn't exist"), name.place))
}

fn check_name(name: &Name) -> Result<(), RequestError> {
    let text = &name.text;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let message = format!(
            "Keyspace name must not be empty and must contain alphanumeric or underscore characters only (got \"{text}\")"
        );
        return Err(invalid(message, name.place));
    }
    if text.len() > KEYSPACE_NAME_MAX {
        let message = format!(
            "Keyspace name must not be more than {KEYSPACE_NAME_MAX} characters long (got {} characters for \"{text}\")",
            text.len()
        );
        return Err(invalid(message, name.place));
    }
    Ok(())
}

fn create_keyspace(
    create: &CreateKeyspace,
    schema: &Schema,
    context: &SchemaContext,
) -> Result<SchemaOutcome, RequestError> {
    check_name(&create.name)?;
    let (replication, durable_writes) = keyspace_properties(&create.properties)?;
    let name = &create.name.text;
    if schema.keyspace(name).is_some() {
        if create.if_not_exists {
            return Ok(SchemaOutcome::nothing());
        }
        return Err(RequestError::AlreadyExists { keyspace: name.clone(), table: String::new() });
    }
    let Some(replication) = replication else {
        return Err(invalid("Missing mandatory option 'replication'", create.name.place));
    };
    let (replication, warnings) = replication_of(replication, name, context)?;
    let keyspace = Keyspace {
        name: name.clone(),
        replication,
        durable_writes: durable_writes.unwrap_or(true),
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    };
    let outcome = SchemaOutcome::new(SchemaEdit::PutKeyspace(keyspace), SchemaChangeKind::Created, name, None);
    Ok(SchemaOutcome { warnings, ..outcome })
}

fn alter_keyspace(
    alter: &AlterKeyspace,
    schema: &Schema,
    context: &SchemaContext,
) -> Result<SchemaOutcome, RequestError> {
    let name = &alter.name.text;
    let (replication, durable_writes) = keyspace_properties(&alter.properties)?;
    let Some(known) = schema.keyspace(name) else {
        return if alter.if_exists { Ok(SchemaOutcome::nothing()) } else { Err(no_keyspace(name)) };
    };
    let mut keyspace = known.as_ref().clone();
    let mut warnings = Vec::new();
    if let Some(replication) = replication {
        (keyspace.replication, warnings) = replication_of(replication, name, context)?;
    }
    keyspace.durable_writes = durable_writes.unwrap_or(keyspace.durable_writes);
    let outcome = SchemaOutcome::new(SchemaEdit::PutKeyspace(keyspace), SchemaChangeKind::Updated, name, None);
    Ok(SchemaOutcome { warnings, ..outcome })
}

fn drop_keyspace(name: &Name, if_exists: bool, schema: &Schema) -> Result<SchemaOutcome, RequestError> {
    if schema.keyspace(&name.text).is_none() {
        return if if_exists { Ok(SchemaOutcome::nothing()) } else { Err(no_keyspace(&name.text)) };
    }
    let edit = SchemaEdit::DropKeyspace(name.text.clone());
    Ok(SchemaOutcome::new(edit, SchemaChangeKind::Dropped, &name.text, None))
}

type KeyspaceProperties = (Option<BTreeMap<String, String>>, Option<bool>);

fn keyspace_properties(properties: &[(Name, Property)]) -> Result<KeyspaceProperties, RequestError> {
    let (mut replication, mut durable_writes) = (None, None);
    for (name, value) in properties {
        match name.text.as_str() {
            "replication" => replication = Some(options::map(name, value)?),
            "durable_writes" => durable_writes = Some(options::boolean(name, value)?),
            _ => {
                let message = format!("Unknown property '{name}'");
                return Err(RequestError::Syntax { message, place: Some(name.place) });
            }
        }
    }
    Ok((replication, durable_writes))
}

/// The replication that a map means, checked against the data centres, with warnings.
fn replication_of(
    mut map: BTreeMap<String, String>,
    keyspace: &str,
    context: &SchemaContext,
) -> Result<(Replication, Vec<String>), RequestError> {
    // As in Cassandra, the factor is 1 where none is given.
    let names_factors = map.keys().any(|key| key != "class");
    if map.contains_key("class") && !names_factors {
        map.insert("replication_factor".to_owned(), "1".to_owned());
    }
    let named = |message: String| {
        let suffix = if message.starts_with("Unrecognized strategy option") {
            format!(" for keyspace {keyspace}")
        } else {
            String::new()
        };
        RequestError::Configuration(format!("{message}{suffix}"))
    };
    let replication = Replication::from_map(&map).map_err(named)?;
    let replication = replication.expand(context.datacenters.keys().map(String::as_str));
    let mut warnings = Vec::new();
    let too_few = |factor: u32, nodes: usize, place: &str| {
        (factor as usize > nodes).then(|| {
            format!("Your replication factor {factor} for keyspace {keyspace} is higher than the number of nodes {nodes}{place}")
        })
    };
    match &replication {
        Replication::Local => {
            return Err(RequestError::Configuration("LocalStrategy is for system keyspaces alone".to_owned()));
        }
        Replication::Simple { factor } => {
            warnings.extend(too_few(*factor, context.datacenters.values().sum(), ""));
        }
        Replication::NetworkTopology { factors } => {
            for (datacenter, factor) in factors {
                let Some(nodes) = context.datacenters.get(datacenter) else {
                    return Err(RequestError::Configuration(format!(
                        "Unrecognized strategy option {{{datacenter}}} passed to NetworkTopologyStrategy for keyspace {keyspace}"
                    )));
                };
                warnings.extend(too_few(*factor, *nodes, &format!(" for datacenter {datacenter}")));
            }
        }
    }
    Ok((replication, warnings))
}
