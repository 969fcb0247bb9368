//! CQL types.

use std::fmt;

/// A CQL type. `Frozen` is a flag of collections and user types at the level where it matters (a whole value in one
/// cell); everything nested inside a frozen type is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CqlType {
    Ascii,
    BigInt,
    Blob,
    Boolean,
    Counter,
    Decimal,
    Double,
    Float,
    Int,
    Text,
    Timestamp,
    Uuid,
    Varint,
    TimeUuid,
    Inet,
    Date,
    Time,
    SmallInt,
    TinyInt,
    Duration,
    /// Element type, frozen.
    List(Box<CqlType>, bool),
    /// Element type, frozen.
    Set(Box<CqlType>, bool),
    /// Key type, value type, frozen.
    Map(Box<CqlType>, Box<CqlType>, bool),
    /// Always frozen.
    Tuple(Vec<CqlType>),
    /// Element type and dimension.
    Vector(Box<CqlType>, u16),
    /// A user type: keyspace, name, fields, frozen.
    UserDefined {
        keyspace: String,
        name: String,
        fields: Vec<(String, CqlType)>,
        frozen: bool,
    },
}

/// Native types with the names Cassandra prints.
const NATIVE_NAMES: [(&str, CqlType); 20] = [
    ("ascii", CqlType::Ascii),
    ("bigint", CqlType::BigInt),
    ("blob", CqlType::Blob),
    ("boolean", CqlType::Boolean),
    ("counter", CqlType::Counter),
    ("date", CqlType::Date),
    ("decimal", CqlType::Decimal),
    ("double", CqlType::Double),
    ("duration", CqlType::Duration),
    ("float", CqlType::Float),
    ("inet", CqlType::Inet),
    ("int", CqlType::Int),
    ("smallint", CqlType::SmallInt),
    ("text", CqlType::Text),
    ("time", CqlType::Time),
    ("timestamp", CqlType::Timestamp),
    ("timeuuid", CqlType::TimeUuid),
    ("tinyint", CqlType::TinyInt),
    ("uuid", CqlType::Uuid),
    ("varint", CqlType::Varint),
];

impl CqlType {
    /// The native type with this name, in any case; `varchar` is `text`.
    pub fn parse_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("varchar") {
            return Some(Self::Text);
        }
        NATIVE_NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, native)| native.clone())
    }

    /// Whether it is a list, set or map, frozen or not.
    pub fn is_collection(&self) -> bool {
        matches!(self, Self::List(..) | Self::Set(..) | Self::Map(..))
    }

    /// Whether a value is one whole that is only ever replaced. True of everything but collections and user types that
    /// are not frozen.
    pub fn is_frozen(&self) -> bool {
        !self.is_multicell()
    }

    /// Whether each element or field has a cell of its own.
    pub fn is_multicell(&self) -> bool {
        match self {
            Self::List(_, frozen) | Self::Set(_, frozen) | Self::Map(_, _, frozen) => !frozen,
            Self::UserDefined { frozen, .. } => !frozen,
            _ => false,
        }
    }

    /// The frozen form of the type; what is nested in it is frozen too.
    pub fn freeze(&self) -> Self {
        match self {
            Self::List(element, _) => Self::List(element.freeze().into(), true),
            Self::Set(element, _) => Self::Set(element.freeze().into(), true),
            Self::Map(key, value, _) => Self::Map(key.freeze().into(), value.freeze().into(), true),
            Self::Tuple(fields) => Self::Tuple(fields.iter().map(Self::freeze).collect()),
            Self::Vector(element, dimension) => Self::Vector(element.freeze().into(), *dimension),
            Self::UserDefined { keyspace, name, fields, .. } => Self::UserDefined {
                keyspace: keyspace.clone(),
                name: name.clone(),
                fields: fields.iter().map(|(name, field)| (name.clone(), field.freeze())).collect(),
                frozen: true,
            },
            native => native.clone(),
        }
    }

    /// Whether values can be a key's component: not counters, durations (they have no order) or what has cells of its own.
    pub fn is_comparable_as_key(&self) -> bool {
        !self.is_multicell() && !self.mentions(&|part| matches!(part, Self::Counter | Self::Duration))
    }

    /// Whether the type, or any type within it, passes the test.
    pub fn mentions(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::List(element, _) | Self::Set(element, _) | Self::Vector(element, _) => element.mentions(test),
                Self::Map(key, value, _) => key.mentions(test) || value.mentions(test),
                Self::Tuple(fields) => fields.iter().any(|field| field.mentions(test)),
                Self::UserDefined { fields, .. } => fields.iter().any(|(_, field)| field.mentions(test)),
                _ => false,
            }
    }

    /// Levels of nesting: 1 for a native type.
    pub fn depth(&self) -> usize {
        1 + match self {
            Self::List(element, _) | Self::Set(element, _) | Self::Vector(element, _) => element.depth(),
            Self::Map(key, value, _) => key.depth().max(value.depth()),
            Self::Tuple(fields) => fields.iter().map(Self::depth).max().unwrap_or(0),
            Self::UserDefined { fields, .. } => fields.iter().map(|(_, field)| field.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Writes the type without saying that it is frozen.
    fn write_inner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element, _) => write!(f, "list<{element}>"),
            Self::Set(element, _) => write!(f, "set<{element}>"),
            Self::Map(key, value, _) => write!(f, "map<{key}, {value}>"),
            Self::Tuple(fields) => {
                f.write_str("tuple<")?;
                for (index, field) in fields.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{field}")?;
                }
                f.write_str(">")
            }
            Self::Vector(element, dimension) => write!(f, "vector<{element}, {dimension}>"),
            Self::UserDefined { name, .. } => f.write_str(&quote_identifier(name)),
            native => {
                let name = NATIVE_NAMES.iter().find(|(_, known)| known == native).map_or("unknown", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

/// An identifier as CQL must have it: in double quotes unless it is plain lower case. Reserved words are the caller's care.
fn quote_identifier(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl fmt::Display for CqlType {
    /// As Cassandra prints types. Tuples and vectors are always frozen: Cassandra prints `frozen<tuple<..>>` for tuples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frozen = match self {
            Self::List(_, frozen) | Self::Set(_, frozen) | Self::Map(_, _, frozen) => *frozen,
            Self::UserDefined { frozen, .. } => *frozen,
            Self::Tuple(_) => true,
            _ => false,
        };
        if frozen {
            f.write_str("frozen<")?;
            self.write_inner(f)?;
            f.write_str(">")
        } else {
            self.write_inner(f)
        }
    }
}
