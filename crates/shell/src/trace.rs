//! A traced request's steps as a table.

use std::collections::BTreeMap;

use quorate_model::request::Trace;
use quorate_model::{CqlType, NodeId, Value};

use crate::table::text_table;

/// What each node did and when, in the order of the trace.
pub fn render(trace: &Trace, addresses: &BTreeMap<NodeId, String>) -> String {
    let address = |node: &NodeId| addresses.get(node).cloned().unwrap_or_else(|| node.to_string());
    let mut rows: Vec<Vec<String>> = trace
        .events
        .iter()
        .map(|event| vec![event.activity.clone(), address(&event.node), event.elapsed_us.to_string()])
        .collect();
    rows.push(vec!["Request complete".to_owned(), String::new(), trace.duration_us.to_string()]);
    let table = text_table(&["activity", "source", "source_elapsed"], &rows);
    format!("\nTracing session: {}\n{table}\n", Value::Uuid(trace.session).to_display(&CqlType::TimeUuid))
}
