//! Answers to `DESCRIBE` for people: the statements themselves instead of a table around them.

use quorate_model::Value;
use quorate_model::request::{ColumnSpec, Rows};

use crate::table::{Format, Printer};
use crate::value_text::plain;

/// Columns of Cassandra's answers to `DESCRIBE`.
const STATEMENT: &str = "create_statement";
const KEYSPACE: &str = "keyspace_name";

/// Whether the rows answer a `DESCRIBE`: they belong to no table and have its columns.
pub fn is_description(rows: &Rows) -> bool {
    let names: Vec<&str> = rows.metadata.columns.iter().map(|column| column.name.as_str()).collect();
    matches!(names.as_slice(), [KEYSPACE, "type", "name"] | [KEYSPACE, "type", "name", STATEMENT])
        || names.starts_with(&["cluster", "partitioner"])
}

/// The answer as text.
pub fn render(columns: &[ColumnSpec], rows: &[Vec<Value>]) -> String {
    let cell = |row: &[Value], name: &str| -> Option<String> {
        let index = columns.iter().position(|column| column.name == name)?;
        Some(plain(row.get(index)?, &columns[index].cql_type))
    };
    if columns.iter().any(|column| column.name == STATEMENT) {
        let statements: Vec<String> = rows.iter().filter_map(|row| cell(row, STATEMENT)).collect();
        return format!("\n{}\n\n", statements.join("\n\n"));
    }
    if columns.first().is_some_and(|column| column.name == "cluster") {
        let mut text = String::new();
        for (label, name) in [("Cluster", "cluster"), ("Partitioner", "partitioner"), ("Snitch", "snitch")] {
            if let Some(value) = rows.first().and_then(|row| cell(row, name)) {
                text.push_str(&format!("\n{label}: {value}"));
            }
        }
        return format!("{text}\n\n");
    }
    names(columns, rows).unwrap_or_else(|| {
        let mut printer = Printer::new(Format::Table, false, columns.to_vec());
        printer.page(rows) + &printer.end()
    })
}

/// Keyspaces in one list, or each keyspace with its tables.
fn names(columns: &[ColumnSpec], rows: &[Vec<Value>]) -> Option<String> {
    if columns.len() != 3 {
        return None;
    }
    let mut text = String::new();
    let mut current: Option<&str> = None;
    for row in rows {
        let [Value::Text(keyspace), Value::Text(kind), Value::Text(name)] = row.as_slice() else { return None };
        if kind == "keyspace" {
            text.push_str(if text.is_empty() { "\n" } else { "  " });
        } else if current != Some(keyspace.as_str()) {
            let newline = if current.is_some() { "\n" } else { "" };
            text.push_str(&format!("{newline}\nKeyspace {keyspace}\n{}\n", "-".repeat(keyspace.len() + 9)));
            current = Some(keyspace);
        } else {
            text.push_str("  ");
        }
        text.push_str(name);
    }
    Some(format!("{text}\n\n"))
}
