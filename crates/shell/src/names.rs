//! The names in the schema, for completion and for `COPY`'s columns.

use std::collections::BTreeMap;

use quorate_model::request::{Answer, QueryOptions};
use quorate_model::{Consistency, Value};

use crate::codec::decode_rows;
use crate::errors::ShellError;
use crate::front::Front;

/// Keyspaces, their tables and those tables' columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaNames {
    /// Columns by keyspace and table.
    pub keyspaces: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl SchemaNames {
    /// Asks the node for all names.
    pub async fn load(front: &dyn Front) -> Result<Self, ShellError> {
        let mut names = Self::default();
        for row in texts(front, "SELECT keyspace_name FROM system_schema.keyspaces").await? {
            if let [keyspace] = row.as_slice() {
                names.keyspaces.entry(keyspace.clone()).or_default();
            }
        }
        let query = "SELECT keyspace_name, table_name, column_name FROM system_schema.columns";
        for row in texts(front, query).await? {
            if let [keyspace, table, column] = row.as_slice() {
                let tables = names.keyspaces.entry(keyspace.clone()).or_default();
                tables.entry(table.clone()).or_default().push(column.clone());
            }
        }
        Ok(names)
    }
}

/// A table's columns in `COPY`'s order: partition key, clustering, the rest alphabetically.
pub async fn table_columns(front: &dyn Front, keyspace: &str, table: &str) -> Result<Vec<String>, ShellError> {
    let text = |value: &str| format!("'{}'", value.replace('\'', "''"));
    let query = format!(
        "SELECT kind, position, column_name FROM system_schema.columns WHERE keyspace_name = {} AND table_name = {}",
        text(keyspace),
        text(table)
    );
    let mut columns: Vec<(u8, i32, String)> = Vec::new();
    for row in rows(front, &query).await? {
        if let [Value::Text(kind), position, Value::Text(name)] = row.as_slice() {
            let position = if let Value::Int(position) = position { *position } else { -1 };
            match kind.as_str() {
                "partition_key" => columns.push((0, position, name.clone())),
                "clustering" => columns.push((1, position, name.clone())),
                _ => columns.push((2, 0, name.clone())),
            }
        }
    }
    if columns.is_empty() {
        return Err(ShellError::Other(format!("Table {keyspace}.{table} not found")));
    }
    columns.sort();
    Ok(columns.into_iter().map(|(_, _, name)| name).collect())
}

async fn texts(front: &dyn Front, query: &str) -> Result<Vec<Vec<String>>, ShellError> {
    let text = |value| if let Value::Text(text) = value { text } else { String::new() };
    Ok(rows(front, query).await?.into_iter().map(|row| row.into_iter().map(text).collect()).collect())
}

/// All rows of a query, page by page.
pub async fn rows(front: &dyn Front, query: &str) -> Result<Vec<Vec<Value>>, ShellError> {
    let mut all = Vec::new();
    let mut paging_state = None;
    loop {
        let options = QueryOptions {
            consistency: Consistency::One,
            page_size: Some(crate::limits::PAGE_ROWS_UNATTENDED),
            paging_state,
            ..QueryOptions::default()
        };
        let Answer::Rows(rows) = front.query(query, None, options).await?.result? else { return Ok(all) };
        all.extend(decode_rows(&rows)?);
        paging_state = rows.paging_state;
        if paging_state.is_none() {
            return Ok(all);
        }
    }
}
