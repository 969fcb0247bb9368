//! What clients do beside the main tables, in some runs: writes whose timestamps are equal, writes that a server stamps,
//! batches over some partitions.

use quorate_env::Random;

use super::{Intent, Mix, WriteShape};
use crate::history::Level;
use crate::limits::{ROWS, SIDE_PARTITIONS, TIED_TIMESTAMPS};

/// Of 100 operations, so many are asides: none in half of the runs. Drawn apart from everything else.
pub fn share(seed: u64) -> u64 {
    let mut random = Random::new(!seed);
    if random.chance(1, 2) { random.between(4, 24) } else { 0 }
}

/// Statements that make their tables.
pub fn schema() -> [String; 2] {
    ["tied", "stamped"].map(|table| format!("CREATE TABLE IF NOT EXISTS sim.{table} (pk int PRIMARY KEY, a text)"))
}

impl Mix {
    /// Draws an aside.
    pub(super) fn aside(&self, random: &mut Random) -> Intent {
        let pk = random.below(u64::from(SIDE_PARTITIONS)) as u16;
        match random.below(10) {
            0..3 => Intent::WriteTied {
                pk,
                timestamp: random.below(TIED_TIMESTAMPS),
                delete: random.chance(1, 4),
                level: if random.chance(1, 3) { Level::All } else { Level::Quorum },
            },
            3..5 => Intent::ReadSide { tied: true, pk, level: Level::Quorum },
            5..7 if self.stamps => Intent::WriteStamped { pk },
            5..8 => Intent::ReadSide { tied: false, pk, level: Level::Quorum },
            _ => {
                let mut rows: Vec<(u16, u8)> = (0..3).map(|_| self.place(random)).collect();
                rows.sort_unstable();
                rows.dedup();
                Intent::Write { shape: WriteShape::Spread { rows }, level: Level::Quorum }
            }
        }
    }

    fn place(&self, random: &mut Random) -> (u16, u8) {
        (random.below(u64::from(self.partitions)) as u16, random.below(u64::from(ROWS)) as u8)
    }
}
