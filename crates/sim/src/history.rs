//! What clients did and were told: the one thing that the checkers judge.

use std::collections::BTreeMap;
use std::fmt;

use quorate_model::Consistency;

/// The columns of the simulated tables. The marker is a row's own liveness, which INSERT writes and UPDATE does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Whether the row is there although all its cells are null.
    Marker,
    /// Column `s`, one a partition.
    Static,
    /// Column `a`.
    A,
    /// Column `b`.
    B,
}

/// One cell. Partitions from [`TRUNCATED`] on are of the table that is truncated now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellId {
    /// Partition key.
    pub pk: u16,
    /// Clustering key; `None` for static ones.
    pub ck: Option<u8>,
    /// The column.
    pub column: Column,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ck {
            Some(ck) => write!(f, "{}/{ck}/{:?}", self.pk, self.column),
            None => write!(f, "{}/{:?}", self.pk, self.column),
        }
    }
}

/// What a write does to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives it the operation's value.
    Put,
    /// The same, but it may be gone at any time: it has a TTL, of so many seconds.
    PutForAWhile(u32),
    /// Deletes it.
    Delete,
}

impl Effect {
    /// Whether a cell whose newest write this is may read as null.
    pub fn may_be_null(self) -> bool {
        self != Self::Put
    }
}

/// Consistency levels that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// One replica.
    One,
    /// A majority.
    Quorum,
    /// All.
    All,
}

impl Level {
    /// How many replicas it is, of so many.
    pub fn required(self, factor: u32) -> u32 {
        match self {
            Self::One => 1,
            Self::Quorum => factor / 2 + 1,
            Self::All => factor,
        }
    }

    /// Whether what was written at `self` must be seen by who reads at `read`.
    pub fn meets(self, read: Self, factor: u32) -> bool {
        self.required(factor) + read.required(factor) > factor
    }

    /// As requests have it.
    pub fn consistency(self) -> Consistency {
        match self {
            Self::One => Consistency::One,
            Self::Quorum => Consistency::Quorum,
            Self::All => Consistency::All,
        }
    }
}

/// What a read found in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This text.
    Value(String),
    /// A row without a value of its own: its marker is live.
    Present,
    /// Nothing.
    Null,
}

/// What an operation was.
#[derive(Clone, Debug)]
pub enum Body {
    /// A write of one partition.
    Write {
        /// Its timestamp: unique, and greater than those of all operations invoked before.
        timestamp: i64,
        /// Its level.
        level: Level,
        /// What it does.
        effects: BTreeMap<CellId, Effect>,
    },
    /// A read, of one page or of many.
    Read {
        /// Its level.
        level: Level,
        /// Every cell that it says something about; in order of the answer.
        seen: Vec<(CellId, Seen)>,
        /// Rows in order of the answer.
        rows: Vec<(u16, Option<u8>)>,
        /// Whether all pages came in one piece from one replica's view (one partition, one page).
        single: bool,
    },
    /// Removes everything in the table that is truncated; times are virtual microseconds.
    Truncate {
        /// When it was invoked.
        from_us: i64,
        /// When it was answered.
        until_us: Option<i64>,
    },
    /// A write at QUORUM that the server stamps.
    Stamped {
        /// Its cell.
        cell: CellId,
    },
    /// Makes this operation's number the comment of the main table.
    Comment,
    /// A change of the schema, or whatever else says nothing about cells.
    Other,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not.
    InFlight,
    /// It was acknowledged.
    Acked,
    /// It was refused: it must never have had an effect.
    Refused,
    /// It may or may not have had one, or may still.
    Unknown,
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Record {
    /// What.
    pub body: Body,
    /// When it was invoked: moments are numbered through the run.
    pub invoked: u64,
    /// When it ended.
    pub returned: Option<u64>,
    /// How.
    pub fate: Fate,
    /// What the client was told, if it was an error.
    pub error: Option<String>,
    /// The process that coordinated it last: a node, and which of its lives.
    pub through: Option<(usize, u64)>,
    /// True time at which it was invoked, in microseconds.
    pub invoked_us: i64,
    /// And at which it ended.
    pub returned_us: Option<i64>,
}

/// All operations, by number.
#[derive(Clone, Debug)]
pub struct History {
    /// In order of invocation.
    pub records: Vec<Record>,
    /// Copies of each partition.
    pub factor: u32,
    /// How far the clocks of nodes stood from true at most, in microseconds.
    pub skew_us_max: i64,
    /// Whether what one replica held may have been lost with its disk: what was read or acknowledged at ONE proves nothing.
    pub distrusts_one: bool,
}

/// First partition of the truncated table.
pub const TRUNCATED: u16 = 1_000;
/// First partition of the table whose writes have equal timestamps: the only cells of which versions may be tied.
pub const TIED: u16 = 2_000;
/// First partition of the table that the server stamps.
pub const STAMPED: u16 = 3_000;

/// The value that an operation writes into a cell: it tells both, so that a value out of place shows.
pub fn value_of(operation: usize, cell: CellId) -> String {
    let ck = cell.ck.map_or(-1, i32::from);
    let padding = "~".repeat(operation % 61);
    format!("{operation}:{}:{ck}:{:?}:{padding}", cell.pk, cell.column)
}

/// The operation that a value claims to be from.
pub fn operation_of(value: &str) -> Option<usize> {
    value.split(':').next()?.parse().ok()
}

impl History {
    /// The write that a value claims to be from, with its number.
    pub fn writer(&self, value: &str) -> Option<(usize, &Record)> {
        let operation = operation_of(value)?;
        Some((operation, self.records.get(operation)?))
    }

    /// The timestamp of the write that a value claims to be from.
    pub fn timestamp_of(&self, value: &str) -> Option<i64> {
        match &self.writer(value)?.1.body {
            Body::Write { timestamp, .. } => Some(*timestamp),
            _ => None,
        }
    }

    /// What a medium lost for good may have been all that there was of a write acknowledged at ONE, or read at ONE: such
    /// writes and reads prove nothing then.
    pub fn distrust_one(&mut self) {
        self.distrusts_one = true;
        for record in &mut self.records {
            if matches!(record.body, Body::Write { level: Level::One, .. }) && record.fate == Fate::Acked {
                record.fate = Fate::Unknown;
            }
        }
    }

    /// All writes of all cells, each cell's in order of their timestamps: (timestamp, operation, effect).
    pub fn effects_by_cell(&self) -> BTreeMap<CellId, Vec<(i64, usize, Effect)>> {
        let mut cells: BTreeMap<CellId, Vec<(i64, usize, Effect)>> = BTreeMap::new();
        for (operation, record) in self.records.iter().enumerate() {
            if let Body::Write { timestamp, effects, .. } = &record.body {
                for (cell, effect) in effects {
                    cells.entry(*cell).or_default().push((*timestamp, operation, *effect));
                }
            }
        }
        for writes in cells.values_mut() {
            writes.sort_unstable_by_key(|write| write.0);
        }
        cells
    }
}
