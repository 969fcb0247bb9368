//! CQL types.

/// A CQL type. `Frozen` is a flag of collections and user types at the level where it matters (a whole value in one
/// cell); everything nested inside a frozen type is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
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
