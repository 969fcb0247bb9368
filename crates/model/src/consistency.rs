//! Consistency levels.

use std::fmt;

/// How many replicas must answer. The numbers are those of the CQL native protocol (spec v5, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Consistency {
    /// A write counts also when only a hint was stored.
    Any = 0,
    /// One replica.
    One = 1,
    /// Two replicas.
    Two = 2,
    /// Three replicas.
    Three = 3,
    /// A majority of all replicas.
    Quorum = 4,
    /// Every replica.
    All = 5,
    /// A majority of the replicas in the coordinator's data centre.
    LocalQuorum = 6,
    /// A majority of the replicas in each data centre.
    EachQuorum = 7,
    /// Linearizable over all data centres.
    Serial = 8,
    /// Linearizable within the coordinator's data centre.
    LocalSerial = 9,
    /// One replica in the coordinator's data centre.
    LocalOne = 10,
}

impl Consistency {
    /// All levels, in protocol order.
    pub const ALL_LEVELS: [Self; 11] = [
        Self::Any,
        Self::One,
        Self::Two,
        Self::Three,
        Self::Quorum,
        Self::All,
        Self::LocalQuorum,
        Self::EachQuorum,
        Self::Serial,
        Self::LocalSerial,
        Self::LocalOne,
    ];

    /// The level with this protocol number.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL_LEVELS.into_iter().find(|level| *level as u16 == code)
    }

    /// The protocol number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Cassandra's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "ANY",
            Self::One => "ONE",
            Self::Two => "TWO",
            Self::Three => "THREE",
            Self::Quorum => "QUORUM",
            Self::All => "ALL",
            Self::LocalQuorum => "LOCAL_QUORUM",
            Self::EachQuorum => "EACH_QUORUM",
            Self::Serial => "SERIAL",
            Self::LocalSerial => "LOCAL_SERIAL",
            Self::LocalOne => "LOCAL_ONE",
        }
    }

    /// Reads a name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL_LEVELS.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Whether it is `SERIAL` or `LOCAL_SERIAL`.
    pub fn is_serial(self) -> bool {
        matches!(self, Self::Serial | Self::LocalSerial)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
