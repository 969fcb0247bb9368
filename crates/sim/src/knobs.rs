//! Everything that a run draws from its seed at its start.

use std::time::Duration;

use quorate_env::Random;
use quorate_node::Timing;
use quorate_storage::StorageOptions;

use crate::workload::Mix;

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Power loss of one node, or of all at once.
    Crash,
    /// Power loss in the middle of one of the next operations on a node's disk.
    CrashInside,
    /// Power loss within the next step of one kind: a flush, a compaction, a join, a replay of hints, a metadata change.
    CrashAtStep,
    /// Death of the process alone, of one node or of all.
    Kill,
    /// A process that stands still.
    Pause,
    /// A one-way cut.
    CutOneWay,
    /// A cut between two nodes.
    CutPair,
    /// A node cut off from all.
    Isolate,
    /// Two groups that do not hear each other.
    Partition,
    /// A slow link.
    SlowLink,
    /// Connections that are reset.
    Reset,
    /// A wall clock that jumps.
    ClockJump,
    /// A wall clock that stands still.
    ClockStop,
    /// A sync that fails.
    FailedSync,
    /// A disk that fails now and then.
    DiskErrors,
    /// A full disk.
    FullDisk,
    /// A slow disk.
    SlowDisk,
    /// Bits that flip in SSTables and the commit log, and sectors that were written to the wrong place, on one node of the
    /// cluster.
    Rot,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Crash,
        Self::CrashInside,
        Self::CrashAtStep,
        Self::Kill,
        Self::Pause,
        Self::CutOneWay,
        Self::CutPair,
        Self::Isolate,
        Self::Partition,
        Self::SlowLink,
        Self::Reset,
        Self::ClockJump,
        Self::ClockStop,
        Self::FailedSync,
        Self::DiskErrors,
        Self::FullDisk,
        Self::SlowDisk,
        Self::Rot,
    ];

    /// Whether it may cost a disk what was on it.
    pub fn is_of_disk(self) -> bool {
        matches!(self, Self::FailedSync | Self::DiskErrors | Self::FullDisk | Self::Rot)
    }
}

/// Kinds of step in which the power may be lost on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A memtable is written out.
    Flush,
    /// SSTables are merged.
    Compaction,
    /// A newcomer takes over its ranges.
    Join,
    /// Hints are read, or dropped once delivered.
    Hints,
    /// A change of the metadata is agreed on or carried out.
    Metadata,
}

impl StepKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Flush, Self::Compaction, Self::Join, Self::Hints, Self::Metadata];
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Nodes at the start.
    pub nodes: usize,
    /// Nodes that join under load.
    pub joins: usize,
    /// Workers a node.
    pub workers: u16,
    /// Copies of each partition.
    pub factor: u32,
    /// Tokens a node.
    pub vnodes: u32,
    /// Simulated clients.
    pub clients: usize,
    /// Mean pause of a client between two operations.
    pub think_ns: u64,
    /// What clients do.
    pub mix: Mix,
    /// The nodes' own time limits.
    pub timing: Timing,
    /// Storage sizes.
    pub storage: StorageOptions,
    /// Faults that happen in this run.
    pub faults: Vec<FaultKind>,
    /// Mean time between faults.
    pub fault_interval_ns: u64,
    /// How the network behaves when it is whole.
    pub traffic: Traffic,
    /// What clients do when answers are late.
    pub manners: Manners,
    /// Usual time for a disk's job or sync, at least and at most.
    pub disk_ns: (u64, u64),
    /// How wrong clocks are.
    pub clocks: Clocks,
}

/// How the network behaves when it is whole.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Of 1000 frames so many are lost.
    pub lost: u64,
    /// Of 1000 frames that are no requests so many arrive once more, later.
    pub doubled: u64,
    /// Usual time for a frame, at least and at most.
    pub latency_ns: (u64, u64),
}

/// What clients do when answers are late.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Of 100 requests so many are given up early.
    pub impatience: u64,
    /// How often a write of which nothing is known is sent again, with the same timestamp.
    pub retries: u32,
}

/// How wrong clocks are.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// How far they stand from true at most.
    pub skew_us: i64,
    /// How far they jump at most.
    pub jump_us: i64,
    /// How far they drift at most.
    pub drift_ppm: u64,
    /// Timestamps from further ahead are refused.
    pub refused_ahead: Duration,
}

impl Knobs {
    /// Draws them.
    pub fn draw(random: &mut Random) -> Self {
        // One run in eight is calm: what fails there fails for everybody.
        let faults = if random.chance(1, 8) { Vec::new() } else { draw_faults(random) };
        let ms = 1_000_000;
        let latency = random.between(ms / 10, 3 * ms);
        let disk = random.between(ms / 20, 2 * ms);
        Self {
            nodes: if random.chance(1, 5) { random.between(4, 5) as usize } else { 3 },
            joins: if random.chance(1, 3) { random.between(1, 2) as usize } else { 0 },
            workers: random.between(1, 3) as u16,
            factor: if random.chance(1, 12) { random.between(1, 2) as u32 } else { 3 },
            vnodes: random.between(1, 8) as u32,
            clients: random.between(2, 8) as usize,
            think_ns: random.between(2 * ms, 60 * ms),
            mix: Mix::draw(random),
            timing: draw_timing(random),
            storage: draw_storage(random),
            faults,
            fault_interval_ns: random.between(100 * ms, 1_500 * ms),
            traffic: Traffic {
                lost: if random.chance(1, 4) { random.between(1, 20) } else { 0 },
                doubled: if random.chance(1, 4) { random.between(1, 50) } else { 0 },
                latency_ns: (latency, latency + random.between(ms / 10, 4 * ms)),
            },
            manners: Manners {
                impatience: if random.chance(1, 3) { random.between(1, 20) } else { 0 },
                retries: if random.chance(1, 2) { random.between(1, 4) as u32 } else { 0 },
            },
            disk_ns: (disk, disk + random.between(ms / 10, 5 * ms)),
            clocks: Clocks {
                skew_us: if random.chance(1, 2) { random.between(0, 2_000_000) as i64 } else { 1_000 },
                jump_us: if random.chance(1, 4) { 3_600_000_000 } else { 3_000_000 },
                drift_ppm: if random.chance(1, 2) { 500 } else { 10 },
                refused_ahead: Duration::from_secs(random.between(4, 60)),
            },
        }
    }

    /// Whether no two clocks ever stand further apart than timestamps may be ahead.
    pub fn clocks_agree(&self) -> bool {
        // A clock that stands still falls behind by no more than 3 s.
        let Clocks { skew_us, jump_us, refused_ahead, .. } = self.clocks;
        let apart = 2 * skew_us.unsigned_abs() + 2 * jump_us.unsigned_abs() + 4_000_000;
        u128::from(apart) < refused_ahead.as_micros()
    }

    /// A duration around a mean: up to three times as long, often shorter.
    pub fn around(random: &mut Random, mean_ns: u64) -> u64 {
        random.below(mean_ns.saturating_mul(2)).saturating_add(random.below(mean_ns)) / 2 + 1
    }
}

/// A swarm: each kind is there or not, so that runs differ.
fn draw_faults(random: &mut Random) -> Vec<FaultKind> {
    let share = random.between(1, 3);
    FaultKind::ALL.into_iter().filter(|_| random.chance(share, 4)).collect()
}

fn draw_timing(random: &mut Random) -> Timing {
    let mut ms = |low: u64, high: u64| Duration::from_millis(random.between(low, high));
    let heartbeat = ms(50, 300);
    Timing {
        gossip: ms(100, 500),
        heartbeat,
        suspect_after: heartbeat * 4,
        write_timeout: ms(400, 2_000),
        read_timeout: ms(400, 2_000),
        range_timeout: ms(800, 4_000),
        schema_timeout: ms(3_000, 8_000),
        admin_timeout: ms(5_000, 10_000),
        agreement_timeout: ms(500, 2_000),
        upkeep: ms(20, 200),
        founding_wait: ms(300, 1_000),
    }
}

fn draw_storage(random: &mut Random) -> StorageOptions {
    let mut options = StorageOptions::tiny();
    // Some runs flush all the time, others hardly ever.
    options.memtable_flush_bytes = random.between(2, 32) << 10;
    options.log_segment_bytes = random.between(4, 24) << 10;
    options.cache_bytes = random.between(0, 64) << 10;
    options
}
