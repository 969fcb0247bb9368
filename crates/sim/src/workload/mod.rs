//! What simulated clients ask: intents are drawn from the seed, and become requests when they are sent.

mod asides;
mod request;
mod rows;

use quorate_env::Random;

pub use asides::share as asides_share;
pub use request::{Prepared, build};
pub use rows::{Expected, read_rows};

use crate::history::Level;
use crate::limits::{PARTITIONS, ROWS};

/// Statements that make the schema, in order.
pub fn schema(factor: u32, with_asides: bool) -> Vec<String> {
    let mut statements = vec![
        format!(
            "CREATE KEYSPACE IF NOT EXISTS sim WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"
        ),
        "CREATE TABLE IF NOT EXISTS sim.main (pk int, ck int, s text static, a text, b text, PRIMARY KEY (pk, ck))"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS sim.short (pk int PRIMARY KEY, a text)".to_owned(),
    ];
    if with_asides {
        statements.extend(asides::schema());
    }
    statements
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A write of the main table.
    Write {
        /// What.
        shape: WriteShape,
        /// At which level.
        level: Level,
    },
    /// A read of the main table.
    Read {
        /// What.
        shape: ReadShape,
        /// At which level.
        level: Level,
        /// Rows a page, if it is paged.
        page_size: Option<u32>,
    },
    /// A read at ONE through a given node, which answers by itself if it is a replica.
    ReadAt {
        /// The node.
        node: usize,
        /// What.
        shape: ReadShape,
    },
    /// A write of the table that is truncated.
    WriteShort {
        /// Its partition, without [`crate::history::TRUNCATED`].
        pk: u16,
    },
    /// A read of the whole table that is truncated.
    ReadShort {
        /// At which level.
        level: Level,
    },
    /// TRUNCATE of that table.
    Truncate,
    /// A write whose timestamp others have too.
    WriteTied {
        /// Its partition, without [`crate::history::TIED`].
        pk: u16,
        /// Which of the timestamps.
        timestamp: u64,
        /// Whether it deletes.
        delete: bool,
        /// At which level.
        level: Level,
    },
    /// A write that brings no timestamp.
    WriteStamped {
        /// Its partition, without [`crate::history::STAMPED`]. It says whom to ask, too.
        pk: u16,
    },
    /// A read of one partition of these two tables.
    ReadSide {
        /// Of which.
        tied: bool,
        /// Its partition.
        pk: u16,
        /// At which level.
        level: Level,
    },
    /// Makes the operation's number the comment of the main table.
    Comment,
    /// A change of the schema.
    Ddl(String),
}

/// Kinds of write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteShape {
    /// INSERT of a row, with column `b` too or without, with a TTL or without.
    #[allow(missing_docs, reason = "the names say it")]
    Insert { pk: u16, ck: u8, with_b: bool, ttl: Option<u32> },
    /// UPDATE of column `a`.
    #[allow(missing_docs, reason = "the names say it")]
    Update { pk: u16, ck: u8 },
    /// UPDATE of the static column.
    #[allow(missing_docs, reason = "the names say it")]
    Static { pk: u16 },
    /// DELETE of column `b`.
    #[allow(missing_docs, reason = "the names say it")]
    DeleteCell { pk: u16, ck: u8 },
    /// DELETE of a row.
    #[allow(missing_docs, reason = "the names say it")]
    DeleteRow { pk: u16, ck: u8 },
    /// DELETE of all rows from `low` on, below `high`.
    #[allow(missing_docs, reason = "the names say it")]
    DeleteRange { pk: u16, low: u8, high: u8 },
    /// DELETE of a partition.
    #[allow(missing_docs, reason = "the names say it")]
    DeletePartition { pk: u16 },
    /// A batch of INSERTs into one partition.
    #[allow(missing_docs, reason = "the names say it")]
    Batch { pk: u16, cks: Vec<u8> },
    /// A batch of INSERTs into some partitions.
    #[allow(missing_docs, reason = "the names say it")]
    Spread { rows: Vec<(u16, u8)> },
}

/// Kinds of read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadShape {
    /// One row.
    #[allow(missing_docs, reason = "the names say it")]
    Row { pk: u16, ck: u8 },
    /// The rows from `low` on, below `high`.
    #[allow(missing_docs, reason = "the names say it")]
    Slice { pk: u16, low: u8, high: u8, reversed: bool },
    /// A partition; at most so many rows of it.
    #[allow(missing_docs, reason = "the names say it")]
    Partition { pk: u16, limit: Option<u32>, reversed: bool },
    /// Some partitions (`IN`).
    #[allow(missing_docs, reason = "the names say it")]
    Some { pks: Vec<u16> },
    /// The whole table.
    Scan,
}

/// Shares of what clients do, drawn once a run.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Of 100 operations, so many are writes.
    pub writes: u64,
    /// Of 100 writes, so many delete.
    pub deletes: u64,
    /// Of 100 operations, so many are at ONE, and so many at ALL; the rest is at QUORUM.
    pub one: u64,
    /// See `one`.
    pub all: u64,
    /// Of 1000 operations, so many change the schema.
    pub ddl: u64,
    /// Of 100 operations, so many are about the table that is truncated.
    pub short: u64,
    /// Partitions that are used.
    pub partitions: u16,
    /// Of 100 operations, so many are beside the main tables.
    pub asides: u64,
    /// Whether servers stamp some of these. Not where clocks stand further apart than is allowed: the hints of such a write
    /// are refused until they do not.
    pub stamps: bool,
}

impl Mix {
    /// Draws one.
    pub fn draw(random: &mut Random) -> Self {
        Self {
            writes: random.between(30, 75),
            deletes: random.below(45),
            one: random.below(20),
            all: random.below(15),
            ddl: if random.chance(2, 3) { random.between(1, 15) } else { 0 },
            short: if random.chance(1, 2) { random.below(25) } else { 0 },
            partitions: random.between(2, u64::from(PARTITIONS)) as u16,
            asides: 0,
            stamps: false,
        }
    }

    /// Draws what a client does next.
    pub fn intent(&self, random: &mut Random) -> Intent {
        if random.chance(self.ddl, 1_000) {
            return ddl(random);
        }
        if self.asides > 0 && random.chance(self.asides, 100) {
            return self.aside(random);
        }
        if random.chance(self.short, 100) {
            return match random.below(12) {
                0 => Intent::Truncate,
                1..5 => Intent::ReadShort { level: Level::Quorum },
                _ => Intent::WriteShort { pk: random.below(8) as u16 },
            };
        }
        let level = match random.below(100) {
            drawn if drawn < self.one => Level::One,
            drawn if drawn < self.one + self.all => Level::All,
            _ => Level::Quorum,
        };
        if random.chance(self.writes, 100) {
            return Intent::Write { shape: self.write(random), level };
        }
        let shape = self.read(random);
        let page_size = random.chance(2, 5).then(|| random.between(1, 12) as u32);
        Intent::Read { shape, level, page_size }
    }

    fn write(&self, random: &mut Random) -> WriteShape {
        let pk = random.below(u64::from(self.partitions)) as u16;
        let ck = random.below(u64::from(ROWS)) as u8;
        if random.chance(self.deletes, 100) {
            return match random.below(10) {
                0..4 => WriteShape::DeleteRow { pk, ck },
                4..6 => WriteShape::DeleteCell { pk, ck },
                6..9 => {
                    let low = random.below(u64::from(ROWS)) as u8;
                    WriteShape::DeleteRange { pk, low, high: random.between(u64::from(low) + 1, u64::from(ROWS)) as u8 }
                }
                _ => WriteShape::DeletePartition { pk },
            };
        }
        match random.below(10) {
            0..5 => {
                let ttl = random.chance(1, 12).then(|| random.between(1, 30) as u32);
                WriteShape::Insert { pk, ck, with_b: random.chance(2, 3), ttl }
            }
            5..7 => WriteShape::Update { pk, ck },
            7 => WriteShape::Static { pk },
            _ => {
                let mut cks: Vec<u8> = (0..ROWS).collect();
                random.shuffle(&mut cks);
                cks.truncate(random.between(2, 4) as usize);
                WriteShape::Batch { pk, cks }
            }
        }
    }

    fn read(&self, random: &mut Random) -> ReadShape {
        let pk = random.below(u64::from(self.partitions)) as u16;
        match random.below(12) {
            0..4 => ReadShape::Row { pk, ck: random.below(u64::from(ROWS)) as u8 },
            4..6 => {
                let low = random.below(u64::from(ROWS)) as u8;
                let high = random.between(u64::from(low) + 1, u64::from(ROWS)) as u8;
                ReadShape::Slice { pk, low, high, reversed: random.chance(1, 3) }
            }
            6..10 => {
                let limit = random.chance(1, 4).then(|| random.between(1, 4) as u32);
                ReadShape::Partition { pk, limit, reversed: random.chance(1, 3) }
            }
            10 => {
                let mut pks: Vec<u16> = (0..self.partitions).collect();
                random.shuffle(&mut pks);
                pks.truncate(3);
                ReadShape::Some { pks }
            }
            _ => ReadShape::Scan,
        }
    }
}

fn ddl(random: &mut Random) -> Intent {
    let number = random.below(3);
    Intent::Ddl(match random.below(4) {
        0 => format!("CREATE TABLE IF NOT EXISTS sim.extra{number} (k int PRIMARY KEY, v text)"),
        1 => format!("DROP TABLE IF EXISTS sim.extra{number}"),
        2 => return Intent::Comment,
        _ => format!("CREATE TABLE IF NOT EXISTS sim.extra{number} (k int, c int, v text, PRIMARY KEY (k, c))"),
    })
}
