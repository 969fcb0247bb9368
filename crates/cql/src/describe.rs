//! Server-side `DESCRIBE`: the statements that would make the schema again, as Cassandra prints them.

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::request::{ColumnSpec, RequestError, ResultMetadata, Rows};
use quorate_model::schema::{Column, ColumnKind, Keyspace, Schema, Table, UserType};
use quorate_model::{CqlType, Index};

use crate::ast::{Describe, DescribeWhat, Name, TableName};
use crate::codec;
use crate::lexer::quote_name;
use crate::options;
use crate::schema_index::create_index;
use crate::system_tables::{NodeFacts, is_system_keyspace, with_system_keyspaces};

/// A `DESCRIBE` with the connection's keyspace.
#[derive(Clone, Debug)]
pub struct DescribeRequest {
    describe: Describe,
    keyspace: Option<String>,
}

/// One row of the answer: keyspace, kind, name, statement.
type Element = (String, &'static str, String, String);

impl DescribeRequest {
    pub(crate) fn new(describe: &Describe, keyspace: Option<&str>) -> Self {
        Self { describe: describe.clone(), keyspace: keyspace.map(str::to_owned) }
    }

    /// The columns of the answer.
    pub(crate) fn metadata(&self) -> ResultMetadata {
        let names: &[&str] = match &self.describe.what {
            DescribeWhat::Cluster => &["cluster", "partitioner", "snitch"],
            what if is_listing(what) => &["keyspace_name", "type", "name"],
            _ => &["keyspace_name", "type", "name", "create_statement"],
        };
        let columns = names.iter().map(|name| ColumnSpec {
            keyspace: "system".to_owned(),
            table: "describe".to_owned(),
            name: (*name).to_owned(),
            cql_type: CqlType::Text,
        });
        ResultMetadata { columns: columns.collect() }
    }

    /// The answer.
    pub fn rows(&self, schema: &Schema, facts: &NodeFacts) -> Result<Rows, RequestError> {
        if self.describe.what == DescribeWhat::Cluster {
            let short = facts.partitioner.rsplit('.').next().unwrap_or_default().to_owned();
            return Ok(self.encode(vec![vec![facts.cluster_name.clone(), short, facts.snitch.clone()]]));
        }
        let schema = with_system_keyspaces(schema);
        let listing = is_listing(&self.describe.what);
        let rows = self.elements(&schema)?.into_iter().map(|(keyspace, kind, name, statement)| {
            let mut row = vec![keyspace, kind.to_owned(), name];
            if !listing {
                row.push(statement);
            }
            row
        });
        Ok(self.encode(rows.collect()))
    }

    fn encode(&self, rows: Vec<Vec<String>>) -> Rows {
        let mut data = Vec::new();
        for text in rows.iter().flatten() {
            codec::write_part(Some(&Bytes::copy_from_slice(text.as_bytes())), &mut data);
        }
        Rows {
            metadata: self.metadata().into(),
            row_count: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            data: data.into(),
            paging_state: None,
        }
    }

    fn elements(&self, schema: &Schema) -> Result<Vec<Element>, RequestError> {
        let internals = self.describe.with_internals;
        match &self.describe.what {
            DescribeWhat::Cluster | DescribeWhat::Functions | DescribeWhat::Aggregates => Ok(Vec::new()),
            DescribeWhat::Types => {
                let wanted = |name: &str| self.keyspace.as_deref().is_none_or(|current| current == name);
                let keyspaces = schema.keyspaces.values().filter(|keyspace| wanted(&keyspace.name));
                let mut types: Vec<Element> = keyspaces.flat_map(type_elements).collect();
                types.sort_by_key(|(keyspace, _, name, _)| {
                    (keyspace.clone(), name.trim_matches('"').to_ascii_lowercase())
                });
                Ok(types)
            }
            DescribeWhat::Keyspaces => {
                let list = schema.keyspaces.values().map(|keyspace| keyspace_element(keyspace));
                Ok(list.collect())
            }
            DescribeWhat::Tables => {
                let wanted = |name: &str| self.keyspace.as_deref().is_none_or(|current| current == name);
                let keyspaces = schema.keyspaces.values().filter(|keyspace| wanted(&keyspace.name));
                let tables = keyspaces.flat_map(|keyspace| keyspace.tables.values());
                Ok(tables.map(|table| table_element(table, false)).collect())
            }
            DescribeWhat::Schema { full } => {
                let shown = |keyspace: &&std::sync::Arc<Keyspace>| *full || !is_system_keyspace(&keyspace.name);
                let keyspaces = schema.keyspaces.values().filter(shown);
                Ok(keyspaces.flat_map(|keyspace| whole_keyspace(keyspace, internals)).collect())
            }
            DescribeWhat::Keyspace { name, only } => {
                let name = name.as_ref().map(|name| name.text.as_str()).or(self.keyspace.as_deref());
                let keyspace = find_keyspace(schema, name)?;
                if *only {
                    return Ok(vec![keyspace_element(keyspace)]);
                }
                Ok(whole_keyspace(keyspace, internals))
            }
            DescribeWhat::Table(name) => {
                let keyspace = find_keyspace(schema, self.keyspace_name(name))?;
                let table = keyspace.tables.get(&name.name.text).ok_or_else(|| {
                    let message = format!("Table '{}' not found in keyspace '{}'", name.name, keyspace.name);
                    RequestError::invalid(message)
                })?;
                Ok(table_elements(table, internals))
            }
            DescribeWhat::Other("Index", name) => {
                let keyspace = find_keyspace(schema, self.keyspace_name(name))?;
                index_element_of(keyspace, &name.name.text).map(|found| vec![found]).ok_or_else(|| {
                    let message = format!("Table for existing index '{}' not found in '{}'", name.name, keyspace.name);
                    RequestError::invalid(message)
                })
            }
            DescribeWhat::Other(kind, name) => {
                let keyspace = find_keyspace(schema, self.keyspace_name(name))?;
                if *kind == "User defined type" {
                    let found = keyspace.types.get(&name.name.text).map(|found| type_element(found));
                    let missing = || {
                        RequestError::invalid(format!(
                            "User defined type '{}' not found in '{}'",
                            name.name, keyspace.name
                        ))
                    };
                    return Ok(vec![found.ok_or_else(missing)?]);
                }
                let message = format!("{kind} '{}' not found in keyspace '{}'", name.name, keyspace.name);
                Err(RequestError::invalid(message))
            }
            DescribeWhat::Generic(name) => self.generic(name, schema),
        }
    }

    fn keyspace_name<'a>(&'a self, name: &'a TableName) -> Option<&'a str> {
        name.keyspace.as_ref().map(|Name { text, .. }| text.as_str()).or(self.keyspace.as_deref())
    }

    fn generic(&self, name: &TableName, schema: &Schema) -> Result<Vec<Element>, RequestError> {
        let internals = self.describe.with_internals;
        if name.keyspace.is_none()
            && let Some(keyspace) = schema.keyspace(&name.name.text)
        {
            return Ok(whole_keyspace(keyspace, internals));
        }
        let Some(keyspace) = self.keyspace_name(name) else {
            return Err(RequestError::invalid(format!("'{}' not found in keyspaces", name.name)));
        };
        let keyspace = find_keyspace(schema, Some(keyspace))?;
        match keyspace.tables.get(&name.name.text) {
            Some(table) => Ok(table_elements(table, internals)),
            None if index_element_of(keyspace, &name.name.text).is_some() => {
                Ok(index_element_of(keyspace, &name.name.text).into_iter().collect())
            }
            None => Err(RequestError::invalid(format!("'{}' not found in keyspace '{}'", name.name, keyspace.name))),
        }
    }
}

fn is_listing(what: &DescribeWhat) -> bool {
    matches!(
        what,
        DescribeWhat::Keyspaces
            | DescribeWhat::Tables
            | DescribeWhat::Types
            | DescribeWhat::Functions
            | DescribeWhat::Aggregates
    )
}

fn find_keyspace<'a>(schema: &'a Schema, name: Option<&str>) -> Result<&'a Keyspace, RequestError> {
    let name = name.ok_or_else(|| RequestError::invalid("No keyspace specified and no current keyspace"))?;
    let found = schema.keyspace(name).map(|keyspace| keyspace.as_ref());
    found.ok_or_else(|| RequestError::invalid(format!("'{name}' not found in keyspaces")))
}

fn keyspace_element(keyspace: &Keyspace) -> Element {
    let name = quote_name(&keyspace.name);
    (name.clone(), "keyspace", name, create_keyspace(keyspace))
}

fn table_element(table: &Table, internals: bool) -> Element {
    (quote_name(&table.keyspace), "table", quote_name(&table.name), create_table(table, internals))
}

fn index_element(table: &Table, index: &Index) -> Element {
    (quote_name(&table.keyspace), "index", quote_name(&index.name), create_index(table, index))
}

fn index_element_of(keyspace: &Keyspace, name: &str) -> Option<Element> {
    let mut indexes = keyspace.tables.values().flat_map(|table| table.indexes.iter().map(move |index| (table, index)));
    indexes.find(|(_, index)| index.name == name).map(|(table, index)| index_element(table, index))
}

/// A table, and what is made of it.
fn table_elements(table: &Table, internals: bool) -> Vec<Element> {
    let indexes = table.indexes.iter().map(|index| index_element(table, index));
    std::iter::once(table_element(table, internals)).chain(indexes).collect()
}

fn type_element(user_type: &UserType) -> Element {
    let fields = user_type.fields.iter().map(|(name, field)| format!("{} {field}", quote_name(name)));
    let (keyspace, name) = (quote_name(&user_type.keyspace), quote_name(&user_type.name));
    let fields = fields.collect::<Vec<_>>().join(",\n    ");
    let text = format!("CREATE TYPE {keyspace}.{name} (\n    {fields}\n);");
    (keyspace, "type", name, text)
}

fn type_elements(keyspace: &Arc<Keyspace>) -> Vec<Element> {
    keyspace.types.values().map(|user_type| type_element(user_type)).collect()
}

/// Types so that each comes after those it is made of: the statements can be run as they stand.
fn ordered_types(keyspace: &Keyspace) -> Vec<Element> {
    let mut types: Vec<&Arc<UserType>> = keyspace.types.values().collect();
    types.sort_by_key(|user_type| (user_type.cql_type(true).depth(), user_type.name.clone()));
    types.into_iter().map(|user_type| type_element(user_type)).collect()
}

fn whole_keyspace(keyspace: &Keyspace, internals: bool) -> Vec<Element> {
    let tables = keyspace.tables.values().flat_map(|table| table_elements(table, internals));
    std::iter::once(keyspace_element(keyspace)).chain(ordered_types(keyspace)).chain(tables).collect()
}

/// The statement that creates the keyspace.
pub fn create_keyspace(keyspace: &Keyspace) -> String {
    let mut map = keyspace.replication.to_map();
    if let Some(class) = map.get_mut("class") {
        *class = class.rsplit('.').next().unwrap_or_default().to_owned();
    }
    // The class comes first.
    let class = map.remove("class").unwrap_or_default();
    let mut entries = vec![format!("'class': {}", options::quote(&class))];
    entries.extend(map.iter().map(|(key, value)| format!("{}: {}", options::quote(key), options::quote(value))));
    // Two spaces: so does Cassandra, and scripts compare.
    format!(
        "CREATE KEYSPACE {} WITH replication = {{{}}}  AND durable_writes = {};",
        quote_name(&keyspace.name),
        entries.join(", "),
        keyspace.durable_writes
    )
}

/// The statement that creates the table; `internals` adds its identity and what was dropped.
pub fn create_table(table: &Table, internals: bool) -> String {
    let key: Vec<&Column> = table.partition_key().collect();
    let clustering: Vec<&Column> = table.clustering().collect();
    let inline_key = key.len() == 1 && clustering.is_empty();
    let mut lines: Vec<String> = Vec::new();
    for column in columns_in_order(table) {
        let suffix = match column.kind {
            ColumnKind::Static => " static",
            ColumnKind::PartitionKey(_) if inline_key => " PRIMARY KEY",
            _ => "",
        };
        lines.push(format!("{} {}{suffix}", quote_name(&column.name), column.cql_type));
    }
    if !inline_key {
        let names = |columns: &[&Column]| columns.iter().map(|column| quote_name(&column.name)).collect::<Vec<_>>();
        let partition = names(&key).join(", ");
        let partition = if key.len() > 1 { format!("({partition})") } else { partition };
        let all: Vec<String> = std::iter::once(partition).chain(names(&clustering)).collect();
        lines.push(format!("PRIMARY KEY ({})", all.join(", ")));
    }
    let mut with: Vec<String> = Vec::new();
    if internals {
        with.push(format!("ID = {}", table.id));
    }
    if !clustering.is_empty() {
        let order = clustering.iter().map(|column| {
            let descending = matches!(column.kind, ColumnKind::Clustering(_, true));
            format!("{} {}", quote_name(&column.name), if descending { "DESC" } else { "ASC" })
        });
        with.push(format!("CLUSTERING ORDER BY ({})", order.collect::<Vec<_>>().join(", ")));
    }
    with.extend(options::show(&table.options));
    let name = format!("{}.{}", quote_name(&table.keyspace), quote_name(&table.name));
    let mut text = format!("CREATE TABLE {name} (\n    {}\n) WITH {};", lines.join(",\n    "), with.join("\n    AND "));
    if internals {
        for (column, timestamp) in &table.dropped {
            let dropped = quote_name(&column.name);
            text.push_str(&format!("\nALTER TABLE {name} DROP {dropped} USING TIMESTAMP {timestamp};"));
        }
    }
    text
}

/// Keys, then static and regular columns; of both, those of many cells come last.
fn columns_in_order(table: &Table) -> Vec<&Column> {
    let mut columns: Vec<&Column> = table.columns.iter().collect();
    columns.sort_by_key(|column| {
        let group = match column.kind {
            ColumnKind::PartitionKey(_) => 0,
            ColumnKind::Clustering(..) => 1,
            ColumnKind::Static => 2,
            ColumnKind::Regular => 3,
        };
        let is_key = group < 2;
        (group, !is_key && column.cql_type.is_multicell())
    });
    columns
}
