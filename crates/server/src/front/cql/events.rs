//! Events for those who have registered: differences between one view of the cluster and the next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use quorate_cql_wire::message::event::{Event, SchemaChanged, SchemaTarget, StatusChange, TopologyChange};
use quorate_model::NodeId;
use quorate_model::request::SchemaChangeKind;
use quorate_model::schema::Schema;
use quorate_node::{ClientFact, Snapshot, is_system_keyspace};

use super::connection::Connection;
use super::{LOOK_INTERVAL, Thread};
use crate::driver::NodeView;

/// The connections of one thread.
#[derive(Default)]
pub(crate) struct Registry {
    connections: Mutex<(u64, BTreeMap<u64, Weak<Connection>>)>,
}

impl Registry {
    /// A connection is there; what it returns names it.
    pub(super) fn add(&self, connection: &Arc<Connection>) -> u64 {
        let mut inner = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        let number = inner.0;
        inner.1.insert(number, Arc::downgrade(connection));
        number
    }

    /// A connection is gone.
    pub(super) fn remove(&self, number: u64) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        let inner = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1.values().filter_map(Weak::upgrade).collect()
    }

    /// What there is to say of each connection.
    pub(crate) fn clients(&self) -> Vec<ClientFact> {
        self.all().iter().filter_map(|connection| connection.fact()).collect()
    }

    fn tell(&self, events: &[Event]) {
        for connection in self.all() {
            for event in events {
                connection.tell(event);
            }
        }
    }
}

/// Looks at the cluster from time to time, and tells what has changed.
pub(super) async fn watch(thread: Arc<Thread>) {
    let mut seen: Option<Arc<Snapshot>> = None;
    let mut version = 0;
    loop {
        let now = thread.shared.view.snapshot_version();
        if now != version
            && let Some(snapshot) = thread.shared.view.snapshot()
        {
            version = now;
            if let Some(before) = &seen {
                let events = changes(&*thread.shared.view, before, &snapshot);
                if !events.is_empty() {
                    thread.registry.tell(&events);
                }
            }
            seen = Some(snapshot);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn changes(view: &dyn NodeView, before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    let (old, new) = (&before.metadata, &after.metadata);
    if !Arc::ptr_eq(&old.schema, &new.schema) {
        schema_changes(&old.schema, &new.schema, &mut events);
    }
    let addresses = |snapshot: &Snapshot| -> BTreeMap<NodeId, SocketAddr> {
        let nodes = snapshot.metadata.topology.nodes.values();
        nodes.filter_map(|node| Some((node.id, SocketAddr::new(view.ip_of(&node.address)?, node.cql_port)))).collect()
    };
    let (old_nodes, new_nodes) = (addresses(before), addresses(after));
    for (node, address) in &new_nodes {
        if !old_nodes.contains_key(node) {
            events.push(Event::TopologyChange(TopologyChange::NewNode, *address));
        }
        match (before.reachable.contains(node), after.reachable.contains(node)) {
            (false, true) => events.push(Event::StatusChange(StatusChange::Up, *address)),
            (true, false) => events.push(Event::StatusChange(StatusChange::Down, *address)),
            _ => {}
        }
    }
    let gone = old_nodes.iter().filter(|(node, _)| !new_nodes.contains_key(node));
    events.extend(gone.map(|(_, address)| Event::TopologyChange(TopologyChange::RemovedNode, *address)));
    events
}

/// What differs between two schemas. Tables come before their keyspace where both are dropped, and after it otherwise.
fn schema_changes(old: &Schema, new: &Schema, events: &mut Vec<Event>) {
    let mut push = |kind, keyspace: &str, target| {
        events.push(Event::SchemaChange(SchemaChanged { kind, keyspace: keyspace.to_owned(), target }));
    };
    for (name, keyspace) in &old.keyspaces {
        if !new.keyspaces.contains_key(name) {
            for table in keyspace.tables.keys() {
                push(SchemaChangeKind::Dropped, name, SchemaTarget::Table(table.clone()));
            }
            for user_type in keyspace.types.keys() {
                push(SchemaChangeKind::Dropped, name, SchemaTarget::Type(user_type.clone()));
            }
            push(SchemaChangeKind::Dropped, name, SchemaTarget::Keyspace);
        }
    }
    for (name, keyspace) in &new.keyspaces {
        let before = match old.keyspaces.get(name) {
            Some(before) if Arc::ptr_eq(before, keyspace) => continue,
            Some(before) => {
                if before.replication != keyspace.replication {
                    push(SchemaChangeKind::Updated, name, SchemaTarget::Keyspace);
                }
                Some(before)
            }
            // Clients have seen the system's own keyspaces from the first.
            None if is_system_keyspace(name) => continue,
            None => {
                push(SchemaChangeKind::Created, name, SchemaTarget::Keyspace);
                None
            }
        };
        if is_system_keyspace(name) {
            continue;
        }
        // Types first: tables are made of them.
        let (old_types, old_tables) = match before {
            Some(before) => (Some(&before.types), Some(&before.tables)),
            None => (None, None),
        };
        for (kind, user_type) in differences(old_types, &keyspace.types, |_, _| false) {
            push(kind, name, SchemaTarget::Type(user_type));
        }
        for (kind, table) in differences(old_tables, &keyspace.tables, |old, new| old.id != new.id) {
            push(kind, name, SchemaTarget::Table(table));
        }
    }
}

/// What was created, altered and dropped. Of the same name and yet another thing: dropped and created.
fn differences<T: PartialEq>(
    old: Option<&BTreeMap<String, Arc<T>>>,
    new: &BTreeMap<String, Arc<T>>,
    is_another: impl Fn(&T, &T) -> bool,
) -> Vec<(SchemaChangeKind, String)> {
    let mut found = Vec::new();
    let mut push = |kind, name: &String| found.push((kind, name.clone()));
    for (name, thing) in new {
        match old.and_then(|old| old.get(name)) {
            None => push(SchemaChangeKind::Created, name),
            Some(before) if is_another(before, thing) => {
                push(SchemaChangeKind::Dropped, name);
                push(SchemaChangeKind::Created, name);
            }
            Some(before) if before != thing => push(SchemaChangeKind::Updated, name),
            Some(_) => {}
        }
    }
    let gone = old.iter().flat_map(|old| old.keys()).filter(|name| !new.contains_key(*name));
    gone.for_each(|name| push(SchemaChangeKind::Dropped, name));
    found
}
