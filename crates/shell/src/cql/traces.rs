//! A traced request's session, as `system_traces` keeps it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use quorate_model::request::{Trace, TraceEvent};
use quorate_model::{NodeId, Value};

use super::{CqlFront, cluster};
use crate::limits;

/// Waits until the session is whole and reads it; `None` if it does not become so in time, or cannot be read: a request
/// that was answered does not fail for its trace.
pub(super) async fn read(front: &CqlFront, session: [u8; 16]) -> Option<Trace> {
    let id = || vec![Bytes::copy_from_slice(&session)];
    let mut duration = None;
    for _ in 0..limits::CQL_TRACE_LOOKS_MAX {
        let rows = front.rows("SELECT duration FROM system_traces.sessions WHERE session_id = ?", id()).await.ok()?;
        if let Some(Value::Int(found)) = rows.first().and_then(|row| row.get("duration")) {
            duration = Some(*found);
            break;
        }
        tokio::time::sleep(Duration::from_millis(limits::CQL_TRACE_PAUSE_MS)).await;
    }
    let duration_us = u64::try_from(duration?).unwrap_or(0);
    let addresses = nodes(front).await;
    let events = front.rows("SELECT * FROM system_traces.events WHERE session_id = ?", id()).await.ok()?;
    Some(Trace { session, duration_us, events: events.iter().map(|row| event(row, &addresses)).collect() })
}

/// Nodes by the addresses that events name.
async fn nodes(front: &CqlFront) -> BTreeMap<IpAddr, NodeId> {
    let nodes = cluster::read(front).await.map(|cluster| cluster.nodes).unwrap_or_default();
    nodes.into_iter().filter_map(|node| Some((node.address.parse().ok()?, node.id))).collect()
}

fn event(row: &BTreeMap<String, Value>, nodes: &BTreeMap<IpAddr, NodeId>) -> TraceEvent {
    let node = match row.get("source") {
        Some(Value::Inet(address)) => nodes.get(address).copied().unwrap_or_default(),
        _ => NodeId::default(),
    };
    let elapsed_us = match row.get("source_elapsed") {
        Some(Value::Int(elapsed)) => u64::try_from(*elapsed).unwrap_or(0),
        _ => 0,
    };
    let activity = match row.get("activity") {
        Some(Value::Text(activity)) => activity.clone(),
        _ => String::new(),
    };
    TraceEvent { node, elapsed_us, activity }
}
