//! Statements about the schema.

use quorate_model::IndexPart;

use super::{Name, TableName, TypeName};

/// The value of a `WITH` property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// A literal, without its quotes.
    Text(String),
    /// A map of literals, in order.
    Map(Vec<(String, String)>),
}

/// `CREATE KEYSPACE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct CreateKeyspace {
    pub name: Name,
    pub if_not_exists: bool,
    pub properties: Vec<(Name, Property)>,
}

/// `ALTER KEYSPACE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct AlterKeyspace {
    pub name: Name,
    pub if_exists: bool,
    pub properties: Vec<(Name, Property)>,
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct CreateTable {
    pub table: TableName,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDefinition>,
    /// Every `PRIMARY KEY` given: partition key and clustering columns; exactly one is right.
    pub primary_keys: Vec<(Vec<Name>, Vec<Name>)>,
    pub clustering_order: Vec<(Name, bool)>,
    pub compact_storage: bool,
    pub properties: Vec<(Name, Property)>,
}

/// A column as defined.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ColumnDefinition {
    pub name: Name,
    pub type_name: TypeName,
    pub is_static: bool,
}

/// `CREATE INDEX`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct CreateIndex {
    pub name: Option<Name>,
    pub if_not_exists: bool,
    pub is_custom: bool,
    pub table: TableName,
    /// Columns, each perhaps in `keys(…)` and the like; exactly one is right.
    pub targets: Vec<(Option<IndexPart>, Name)>,
    /// `USING`.
    pub class: Option<String>,
    pub properties: Vec<(Name, Property)>,
}

/// `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct AlterTable {
    pub table: TableName,
    pub if_exists: bool,
    pub change: TableChange,
}

/// What is altered.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TableChange {
    Add { columns: Vec<ColumnDefinition>, if_not_exists: bool },
    Drop { columns: Vec<Name>, if_exists: bool, timestamp: Option<i64> },
    Rename { columns: Vec<(Name, Name)>, if_exists: bool },
    With(Vec<(Name, Property)>),
    ColumnType,
}

/// What is altered of a user type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TypeChange {
    Add { name: Name, type_name: TypeName, if_not_exists: bool },
    Rename { fields: Vec<(Name, Name)>, if_exists: bool },
    FieldType,
}

/// `DESCRIBE`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Describe {
    pub what: DescribeWhat,
    pub with_internals: bool,
}

/// What is described.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DescribeWhat {
    Cluster,
    /// `SCHEMA`, or with `FULL` the system keyspaces too.
    Schema {
        full: bool,
    },
    Keyspaces,
    /// A keyspace with all that is in it; the current one if none is named. `only` leaves its tables out.
    Keyspace {
        name: Option<Name>,
        only: bool,
    },
    Tables,
    Table(TableName),
    Types,
    Functions,
    Aggregates,
    /// An index, view, type, function or aggregate: the kind's word, and the name.
    Other(&'static str, TableName),
    /// `DESCRIBE name`: a keyspace, or a table of the current keyspace.
    Generic(TableName),
}
