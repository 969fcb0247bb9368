//! `EVENT`: something happened that the client has registered for. Its stream is -1.

use std::net::SocketAddr;

use quorate_model::request::SchemaChangeKind;

use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The stream of events.
pub const EVENT_STREAM: i16 = -1;

/// Kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Nodes come and go for good.
    TopologyChange,
    /// Nodes go down and come up.
    StatusChange,
    /// The schema changes.
    SchemaChange,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::TopologyChange, Self::StatusChange, Self::SchemaChange];

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopologyChange => "TOPOLOGY_CHANGE",
            Self::StatusChange => "STATUS_CHANGE",
            Self::SchemaChange => "SCHEMA_CHANGE",
        }
    }

    /// The kind with this name, in any case.
    pub fn parse(name: &str) -> Result<Self, WireError> {
        let known = Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| WireError::UnknownName { field: "event", found: name.to_owned() })
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node at this address (where clients reach it) joined, left or moved.
    TopologyChange(TopologyChange, SocketAddr),
    /// The node at this address came up or went down.
    StatusChange(StatusChange, SocketAddr),
    /// The schema changed.
    SchemaChange(SchemaChanged),
}

/// How the topology changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopologyChange {
    /// A node joined.
    NewNode,
    /// A node left.
    RemovedNode,
    /// A node moved to another token.
    MovedNode,
}

/// How a node's status changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// It can be asked.
    Up,
    /// It cannot.
    Down,
}

/// What was done to what; also a kind of `RESULT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChanged {
    /// What was done.
    pub kind: SchemaChangeKind,
    /// The keyspace.
    pub keyspace: String,
    /// What in it.
    pub target: SchemaTarget,
}

/// A part of the schema, within its keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The keyspace itself.
    Keyspace,
    /// A table or view.
    Table(String),
    /// A user type.
    Type(String),
    /// A function with its arguments' types (v4 and later).
    Function(String, Vec<String>),
    /// An aggregate with its arguments' types (v4 and later).
    Aggregate(String, Vec<String>),
}

fn find<T: Copy>(names: &[(T, &str)], found: String, field: &'static str) -> Result<T, WireError> {
    let known = names.iter().find(|(_, name)| *name == found).map(|(value, _)| *value);
    known.ok_or(WireError::UnknownName { field, found })
}

fn name<T: Copy + PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| name)
}

const TOPOLOGY: [(TopologyChange, &str); 3] = [
    (TopologyChange::NewNode, "NEW_NODE"),
    (TopologyChange::RemovedNode, "REMOVED_NODE"),
    (TopologyChange::MovedNode, "MOVED_NODE"),
];
const STATUS: [(StatusChange, &str); 2] = [(StatusChange::Up, "UP"), (StatusChange::Down, "DOWN")];
const SCHEMA: [(SchemaChangeKind, &str); 3] = [
    (SchemaChangeKind::Created, "CREATED"),
    (SchemaChangeKind::Updated, "UPDATED"),
    (SchemaChangeKind::Dropped, "DROPPED"),
];

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::TopologyChange(..) => EventKind::TopologyChange,
            Self::StatusChange(..) => EventKind::StatusChange,
            Self::SchemaChange(_) => EventKind::SchemaChange,
        }
    }

    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(match EventKind::parse(&reader.string("event")?)? {
            EventKind::TopologyChange => {
                let change = find(&TOPOLOGY, reader.string("change")?, "change of topology")?;
                Self::TopologyChange(change, reader.inet("address")?)
            }
            EventKind::StatusChange => {
                let change = find(&STATUS, reader.string("change")?, "change of status")?;
                Self::StatusChange(change, reader.inet("address")?)
            }
            EventKind::SchemaChange => Self::SchemaChange(SchemaChanged::read(reader)?),
        })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.string(self.kind().name());
        match self {
            Self::TopologyChange(change, address) => {
                writer.string(name(&TOPOLOGY, *change));
                writer.inet(*address);
            }
            Self::StatusChange(change, address) => {
                writer.string(name(&STATUS, *change));
                writer.inet(*address);
            }
            Self::SchemaChange(change) => change.write(writer, version),
        }
    }
}

impl SchemaChanged {
    /// Reads it.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let kind = find(&SCHEMA, reader.string("change")?, "change of the schema")?;
        let target = reader.string("target")?;
        let keyspace = reader.string("keyspace")?;
        let target = match target.as_str() {
            "KEYSPACE" => SchemaTarget::Keyspace,
            "TABLE" => SchemaTarget::Table(reader.string("table")?),
            "TYPE" => SchemaTarget::Type(reader.string("type")?),
            "FUNCTION" => SchemaTarget::Function(reader.string("function")?, reader.string_list("argument type")?),
            "AGGREGATE" => SchemaTarget::Aggregate(reader.string("aggregate")?, reader.string_list("argument type")?),
            _ => return Err(WireError::UnknownName { field: "target of a schema change", found: target }),
        };
        Ok(Self { kind, keyspace, target })
    }

    /// Writes it. Version 3 has no word for functions and aggregates: it hears that their keyspace was updated.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        let function = matches!(self.target, SchemaTarget::Function(..) | SchemaTarget::Aggregate(..));
        let (kind, target) = if function && version < ProtocolVersion::V4 {
            (SchemaChangeKind::Updated, &SchemaTarget::Keyspace)
        } else {
            (self.kind, &self.target)
        };
        writer.string(name(&SCHEMA, kind));
        let (word, object, arguments) = match target {
            SchemaTarget::Keyspace => ("KEYSPACE", None, None),
            SchemaTarget::Table(table) => ("TABLE", Some(table), None),
            SchemaTarget::Type(name) => ("TYPE", Some(name), None),
            SchemaTarget::Function(name, arguments) => ("FUNCTION", Some(name), Some(arguments)),
            SchemaTarget::Aggregate(name, arguments) => ("AGGREGATE", Some(name), Some(arguments)),
        };
        writer.string(word);
        writer.string(&self.keyspace);
        if let Some(object) = object {
            writer.string(object);
        }
        if let Some(arguments) = arguments {
            writer.string_list(arguments);
        }
    }
}
