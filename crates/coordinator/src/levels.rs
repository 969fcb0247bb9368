//! Consistency levels as arithmetic: what a level requires of a plan, and whether a set of replicas meets it.

use quorate_model::Consistency;
use quorate_model::request::RequestError;

use crate::plan::{ReplicaMask, ReplicaPlan, ReplicationFactors};
use crate::request::ReadRepair;

/// So many replicas of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Among which.
    pub among: ReplicaMask,
    /// How many.
    pub count: u32,
}

impl Quota {
    fn is_met(&self, replicas: ReplicaMask) -> bool {
        replicas.and(self.among).count() >= self.count
    }
}

/// A majority.
pub fn quorum_of(replication_factor: u32) -> u32 {
    replication_factor / 2 + 1
}

/// What a level requires for one plan: all of its quotas. While a range moves, a write has quotas among the old owners
/// and among the new ones, and so has a read that mends what it finds until the new ones are read alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    consistency: Consistency,
    required: u32,
    quotas: Vec<Quota>,
}

impl Requirement {
    /// For a write. The serial levels are refused: they belong to conditional statements.
    pub fn for_write(consistency: Consistency, plan: &ReplicaPlan) -> Result<Self, RequestError> {
        if consistency.is_serial() {
            return Err(RequestError::invalid("You must use conditional updates for serializable writes"));
        }
        let mut requirement = Self::among(consistency, plan, plan.current());
        if let Some(next) = plan.next() {
            let mut quotas = Self::among(consistency, plan, next).quotas;
            requirement.quotas.append(&mut quotas);
        }
        Ok(requirement)
    }

    /// For a read. While a range moves and its old owners are still read, a read that mends what it finds meets its level
    /// among the new owners too: what it has shown, they can show again when they are read alone. `ANY` is refused as
    /// Cassandra refuses it, the serial levels because they are not there yet.
    pub fn for_read(consistency: Consistency, plan: &ReplicaPlan, repair: ReadRepair) -> Result<Self, RequestError> {
        if consistency == Consistency::Any {
            return Err(RequestError::invalid("ANY ConsistencyLevel is only supported for writes"));
        }
        if consistency.is_serial() {
            return Err(RequestError::invalid(format!("reads at {consistency} are not supported yet")));
        }
        let mut requirement = Self::among(consistency, plan, plan.read_set());
        if repair == ReadRepair::Blocking
            && let Some(next) = plan.next().filter(|next| *next != plan.read_set())
        {
            let mut quotas = Self::among(consistency, plan, next).quotas;
            requirement.quotas.append(&mut quotas);
        }
        Ok(requirement)
    }

    /// Whether one replica is enough for a request at this level, wherever it is in the coordinating node's data centre.
    /// Never said of a level that [`Self::for_read`] or [`Self::for_write`] would refuse.
    pub fn is_one(consistency: Consistency, factors: &ReplicationFactors) -> bool {
        match consistency {
            Consistency::One | Consistency::LocalOne => true,
            Consistency::Quorum | Consistency::LocalQuorum | Consistency::All => factors.total == 1,
            _ => false,
        }
    }

    fn among(consistency: Consistency, plan: &ReplicaPlan, set: ReplicaMask) -> Self {
        let factors = plan.factors();
        let total = factors.total;
        let local = || set.and(plan.in_datacenter(plan.local_datacenter()));
        let one = |count| vec![Quota { among: set, count }];
        let quotas = match consistency {
            Consistency::Any | Consistency::One => one(1),
            Consistency::Two => one(2),
            Consistency::Three => one(3),
            Consistency::Quorum => one(quorum_of(total)),
            Consistency::All => one(total),
            Consistency::LocalOne => vec![Quota { among: local(), count: 1 }],
            Consistency::LocalQuorum => {
                let factor = factors.of(plan.local_datacenter()).unwrap_or(total);
                vec![Quota { among: local(), count: quorum_of(factor) }]
            }
            Consistency::EachQuorum if factors.by_datacenter.is_empty() => one(quorum_of(total)),
            Consistency::EachQuorum => factors
                .by_datacenter
                .iter()
                .filter(|(_, factor)| *factor > 0)
                .map(|(name, factor)| Quota { among: set.and(plan.in_datacenter(name)), count: quorum_of(*factor) })
                .collect(),
            Consistency::Serial | Consistency::LocalSerial => unreachable!("refused by the callers"),
        };
        Self { consistency, required: quotas.iter().map(|quota| quota.count).sum(), quotas }
    }

    /// Requires nothing: the place-holder of a request that was refused before it began.
    pub(crate) fn none(consistency: Consistency) -> Self {
        Self { consistency, required: 0, quotas: Vec::new() }
    }

    /// The level.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// How many replicas must answer, as errors report it.
    pub fn required(&self) -> u32 {
        self.required
    }

    /// The quotas.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// Whether answers of these replicas meet the level; equally whether they could, if all of these answered.
    pub fn is_satisfied(&self, replicas: ReplicaMask) -> bool {
        self.quotas.iter().all(|quota| quota.is_met(replicas))
    }

    /// Whether an answer of this replica, beyond these, would bring the level nearer.
    pub fn is_helped_by(&self, index: usize, replicas: ReplicaMask) -> bool {
        !replicas.contains(index)
            && self.quotas.iter().any(|quota| !quota.is_met(replicas) && quota.among.contains(index))
    }

    /// Whether the replica counts at all: at the local levels remote ones do not.
    pub fn counts(&self, index: usize) -> bool {
        self.quotas.iter().any(|quota| quota.among.contains(index))
    }

    /// Live replicas that count, in the order in which to ask them: the nearest first. While a range moves, first those that
    /// stay, of which the fewest are enough, and last those that enter, who lack the most.
    pub fn candidates(&self, plan: &ReplicaPlan) -> Vec<usize> {
        let mut candidates = plan.by_proximity(plan.write_set().and(plan.alive()));
        candidates.retain(|index| self.counts(*index));
        let stays = |index: usize| self.quotas.iter().all(|quota| quota.among.contains(index));
        candidates.sort_by_key(|index| (!stays(*index), !plan.current().contains(*index)));
        candidates
    }

    /// Refuses if the level cannot be met by those alive, with the numbers of the first quota that cannot be met. `ANY`
    /// is never refused: a hint will do.
    pub fn check_alive(&self, alive: ReplicaMask) -> Result<(), RequestError> {
        if self.consistency == Consistency::Any {
            return Ok(());
        }
        match self.quotas.iter().find(|quota| !quota.is_met(alive)) {
            None => Ok(()),
            Some(quota) => Err(RequestError::Unavailable {
                consistency: self.consistency,
                required: quota.count,
                alive: alive.and(quota.among).count(),
            }),
        }
    }

    /// How many counted answers these are, as errors report it: never as many as required while the level is not met.
    pub fn received(&self, replicas: ReplicaMask) -> u32 {
        let counted = replicas.iter().filter(|index| self.counts(*index)).count();
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        if self.is_satisfied(replicas) { counted } else { counted.min(self.required.saturating_sub(1)) }
    }
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
