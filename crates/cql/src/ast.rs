//! Statements as they are written: names not yet resolved, values not yet typed.

mod schema;

use std::fmt;

use quorate_model::request::{BatchKind, Place};

pub use schema::*;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Statement {
    Select(Box<Select>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Batch(Box<Batch>),
    CreateKeyspace(CreateKeyspace),
    AlterKeyspace(AlterKeyspace),
    DropKeyspace {
        name: Name,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    AlterTable(AlterTable),
    DropTable {
        table: TableName,
        if_exists: bool,
    },
    CreateIndex(Box<CreateIndex>),
    DropIndex {
        name: TableName,
        if_exists: bool,
    },
    CreateType {
        name: TableName,
        if_not_exists: bool,
        fields: Vec<(Name, TypeName)>,
    },
    AlterType {
        name: TableName,
        if_exists: bool,
        change: TypeChange,
    },
    DropType {
        name: TableName,
        if_exists: bool,
    },
    Truncate(TableName),
    Use(Name),
    Describe(Describe),
    /// Well begun, but of a feature that does not exist yet: its name.
    Unsupported(String),
}

/// A name with its place. Unquoted names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A table's name, perhaps with its keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The keyspace, if given.
    pub keyspace: Option<Name>,
    /// The table.
    pub name: Name,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Where it stands.
    pub place: Place,
}

/// Kinds of value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TermKind {
    Null,
    /// A literal without its quotes.
    Constant(Constant, String),
    Marker(Marker),
    /// `[a, b]`
    List(Vec<Term>),
    /// `{a, b}`; `{}` is an empty set or map.
    Set(Vec<Term>),
    /// `{a: b}`
    Map(Vec<(Term, Term)>),
    /// `(a, b)`
    Tuple(Vec<Term>),
    /// `{field: value}`, a user type's value.
    Fields(Vec<(Name, Term)>),
    /// `f(a)`
    Function(String, Vec<Term>),
    /// `(type)value`
    Hint(TypeName, Box<Term>),
    /// Arithmetic: operator and operands (one for a sign).
    Operation(char, Vec<Term>),
}

/// Kinds of literal, named as in Cassandra's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Constant {
    String,
    Integer,
    Uuid,
    Float,
    Boolean,
    Hex,
    Duration,
}

impl Constant {
    /// The word for it in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Integer => "INTEGER",
            Self::Uuid => "UUID",
            Self::Float => "FLOAT",
            Self::Boolean => "BOOLEAN",
            Self::Hex => "HEX",
            Self::Duration => "DURATION",
        }
    }
}

/// A bind marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its number in the statement, from 0.
    pub index: u16,
    /// The name of `:name`.
    pub name: Option<String>,
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Null => f.write_str("NULL"),
            TermKind::Constant(Constant::String, text) => write!(f, "'{}'", text.replace('\'', "''")),
            TermKind::Constant(_, text) => f.write_str(text),
            TermKind::Marker(marker) => match &marker.name {
                Some(name) => write!(f, ":{name}"),
                None => f.write_str("?"),
            },
            TermKind::List(items) => {
                f.write_str("[")?;
                list(f, items)?;
                f.write_str("]")
            }
            TermKind::Set(items) => {
                f.write_str("{")?;
                list(f, items)?;
                f.write_str("}")
            }
            TermKind::Tuple(items) => {
                f.write_str("(")?;
                list(f, items)?;
                f.write_str(")")
            }
            TermKind::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
            TermKind::Fields(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
            TermKind::Function(name, arguments) => {
                write!(f, "{name}(")?;
                list(f, arguments)?;
                f.write_str(")")
            }
            TermKind::Hint(type_name, term) => write!(f, "({type_name}){term}"),
            TermKind::Operation(operator, operands) => match operands.as_slice() {
                [left, right] => write!(f, "{left} {operator} {right}"),
                [operand] => write!(f, "{operator}{operand}"),
                _ => Ok(()),
            },
        }
    }
}

/// A type as written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TypeName {
    /// A native type or a user type: keyspace and name.
    Plain(Option<String>, String),
    List(Box<TypeName>),
    Set(Box<TypeName>),
    Map(Box<TypeName>, Box<TypeName>),
    Tuple(Vec<TypeName>),
    Vector(Box<TypeName>, u16),
    Frozen(Box<TypeName>),
    /// A Java class, in quotes.
    Custom(String),
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(Some(keyspace), name) => write!(f, "{keyspace}.{name}"),
            Self::Plain(None, name) => f.write_str(name),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Tuple(items) => {
                f.write_str("tuple<")?;
                list(f, items)?;
                f.write_str(">")
            }
            Self::Vector(element, dimension) => write!(f, "vector<{element}, {dimension}>"),
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
            Self::Custom(class) => write!(f, "'{class}'"),
        }
    }
}

/// `SELECT`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Select {
    pub json: bool,
    pub distinct: bool,
    /// Empty for `*`.
    pub columns: Vec<SelectedColumn>,
    pub table: TableName,
    pub relations: Vec<Relation>,
    pub group_by: Vec<Selector>,
    /// Column and whether descending.
    pub order_by: Vec<(Name, bool)>,
    pub per_partition_limit: Option<Term>,
    pub limit: Option<Term>,
    pub allow_filtering: bool,
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SelectedColumn {
    pub selector: Selector,
    pub alias: Option<Name>,
}

/// What is made of selected values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectionKind {
    /// `[a, b]`
    List,
    /// `{a, b}`
    Set,
    /// `(a, b)`
    Tuple,
}

/// What an answer's column shows.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Selector {
    Column(Name),
    /// `COUNT(*)`, `COUNT(1)`.
    CountRows,
    /// `writetime(c)` and the like, of a column, an element, a field or a slice.
    Attribute(Attribute, Box<Selector>),
    Function(Name, Vec<Selector>),
    Cast(Box<Selector>, TypeName),
    Field(Box<Selector>, Name),
    Element(Box<Selector>, Term),
    /// `m[a..b]`, both included.
    Slice(Box<Selector>, Option<Term>, Option<Term>),
    /// `[a, b]`, `{a, b}`, `(a, b)` with something selected in it.
    Collection(CollectionKind, Vec<Selector>),
    /// Arithmetic: operator and operands (one for a sign).
    Operation(char, Vec<Selector>),
    Term(Term),
}

/// What is told of cells, rather than their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Attribute {
    WriteTime,
    MaxWriteTime,
    Ttl,
}

/// One condition of a `WHERE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Relation {
    pub target: RelationTarget,
    pub operator: Operator,
    pub value: RelationValue,
}

/// What is restricted.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RelationTarget {
    Column(Name),
    /// `(a, b)`
    Columns(Vec<Name>),
    /// `token(a, b)`
    Token(Vec<Name>),
    /// `m[key]`
    Element(Name, Term),
}

/// What it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum RelationValue {
    /// One value (a list for `IN ?`).
    Term(Term),
    /// `IN (a, b)`.
    List(Vec<Term>),
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    NotEqual,
    In,
    Contains,
    ContainsKey,
    Like,
    IsNotNull,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::NotEqual => "!=",
            Self::In => "IN",
            Self::Contains => "CONTAINS",
            Self::ContainsKey => "CONTAINS KEY",
            Self::Like => "LIKE",
            Self::IsNotNull => "IS NOT",
        })
    }
}

/// `USING TIMESTAMP … AND TTL …`.
#[derive(Clone, Debug, PartialEq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Using {
    pub timestamp: Option<Term>,
    pub ttl: Option<Term>,
}

/// `INSERT`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Insert {
    pub table: TableName,
    pub columns: Vec<Name>,
    pub values: Vec<Term>,
    /// `INSERT INTO t JSON …`: whether columns that it leaves out stay as they are.
    pub json: Option<bool>,
    pub if_not_exists: bool,
    pub using: Using,
}

/// `UPDATE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Update {
    pub table: TableName,
    pub using: Using,
    pub assignments: Vec<Assignment>,
    pub relations: Vec<Relation>,
    /// Whether there is an `IF`.
    pub conditional: bool,
}

/// One change of an `UPDATE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Assignment {
    pub column: Name,
    pub change: Change,
}

/// How a column is changed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Change {
    /// `c = v`
    Set(Term),
    /// `c = c + v`, `c += v`
    Append(Term),
    /// `c = v + c`
    Prepend(Term),
    /// `c = c - v`, `c -= v`
    Remove(Term),
    /// `c[k] = v`
    Element(Term, Term),
    /// `c.f = v`
    Field(Name, Term),
}

/// `DELETE`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Delete {
    pub table: TableName,
    /// Empty for whole rows.
    pub targets: Vec<DeleteTarget>,
    pub using: Using,
    pub relations: Vec<Relation>,
    /// Whether there is an `IF`.
    pub conditional: bool,
}

/// What a `DELETE` deletes of a row.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DeleteTarget {
    Column(Name),
    Element(Name, Term),
    Field(Name, Name),
}

/// `BEGIN … BATCH`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Batch {
    pub kind: BatchKind,
    pub using: Using,
    /// Inserts, updates and deletes.
    pub statements: Vec<Statement>,
}
