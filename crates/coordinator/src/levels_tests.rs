use std::sync::Arc;

use quorate_model::{Epoch, NodeId};

use super::*;
use crate::plan::{PlanInput, ReplicaView, ReplicationFactors};

fn node(index: usize) -> NodeId {
    NodeId::from_u128(index as u128)
}

/// Nodes 0 to 3 are in `a` (the local one), 4 to 7 in `b`.
fn plan(factors: ReplicationFactors, current: &[usize], next: Option<&[usize]>, dead: &[usize]) -> ReplicaPlan {
    let current: Vec<NodeId> = current.iter().map(|index| node(*index)).collect();
    let next: Option<Vec<NodeId>> = next.map(|next| next.iter().map(|index| node(*index)).collect());
    let input = PlanInput {
        epoch: Epoch(1),
        factors: Arc::new(factors),
        local_datacenter: "a".into(),
        current: &current,
        next: next.as_deref(),
        read_from_next: false,
    };
    ReplicaPlan::new(input, |id| {
        let index = (0..8).find(|index| node(*index) == id).unwrap();
        ReplicaView {
            node: id,
            datacenter: if index < 4 { "a".into() } else { "b".into() },
            rack: "r".into(),
            alive: !dead.contains(&index),
            is_local: index == 0,
            latency_us: 0,
        }
    })
    .unwrap()
}

fn network(a: u32, b: u32) -> ReplicationFactors {
    ReplicationFactors::network(vec![("a".into(), a), ("b".into(), b)])
}

/// What a write finds: enough alive, or `(required, alive)` of the refusal.
fn verdict(plan: &ReplicaPlan, level: Consistency) -> Result<u32, (u32, u32)> {
    let requirement = Requirement::for_write(level, plan).unwrap();
    match requirement.check_alive(plan.alive()) {
        Ok(()) => Ok(requirement.required()),
        Err(RequestError::Unavailable { consistency, required, alive }) => {
            assert_eq!(consistency, level);
            Err((required, alive))
        }
        Err(other) => panic!("{other}"),
    }
}

type Case<'a> = (ReplicationFactors, &'a [usize], &'a [usize], Consistency, Result<u32, (u32, u32)>);

#[test]
fn levels_count_as_cassandra_counts() {
    use Consistency::*;
    let simple = ReplicationFactors::simple;
    let both = [0, 1, 2, 4, 5, 6];
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        // factors, replicas, dead, level, required or (required, alive)
        (simple(3), &[0, 1, 2], &[], One, Ok(1)),
        (simple(3), &[0, 1, 2], &[0, 1, 2], One, Err((1, 0))),
        (simple(3), &[0, 1, 2], &[0, 1, 2], Any, Ok(1)),
        (simple(3), &[0, 1, 2], &[2], Two, Ok(2)),
        (simple(3), &[0, 1, 2], &[2], Three, Err((3, 2))),
        (simple(3), &[0, 1, 2], &[2], Quorum, Ok(2)),
        (simple(3), &[0, 1, 2], &[1, 2], Quorum, Err((2, 1))),
        (simple(3), &[0, 1, 2], &[2], All, Err((3, 2))),
        (simple(3), &[0, 1, 2], &[], All, Ok(3)),
        // A quorum is one of the replication factor, not of the nodes that there are.
        (simple(3), &[0], &[], Quorum, Err((2, 1))),
        (simple(3), &[0], &[], All, Err((3, 1))),
        (simple(4), &[0, 1, 2, 3], &[2, 3], Quorum, Err((3, 2))),
        (simple(5), &[0, 1, 2, 3, 4], &[3, 4], Quorum, Ok(3)),
        // Without a strategy that knows data centres, the local levels count local replicas against the whole factor.
        (simple(3), &[0, 1, 4], &[], LocalQuorum, Ok(2)),
        (simple(3), &[0, 4, 5], &[], LocalQuorum, Err((2, 1))),
        (simple(3), &[0, 4, 5], &[5], EachQuorum, Ok(2)),
        (simple(3), &[4, 5, 6], &[], LocalOne, Err((1, 0))),
        (network(3, 3), &both, &[], LocalQuorum, Ok(2)),
        (network(3, 3), &both, &[1, 2], LocalQuorum, Err((2, 1))),
        (network(3, 3), &both, &[4, 5, 6], LocalQuorum, Ok(2)),
        (network(3, 3), &both, &[0, 1, 2], LocalOne, Err((1, 0))),
        (network(3, 3), &both, &[0, 1, 2], One, Ok(1)),
        (network(3, 3), &both, &[], EachQuorum, Ok(4)),
        (network(3, 3), &both, &[6], EachQuorum, Ok(4)),
        (network(3, 3), &both, &[5, 6], EachQuorum, Err((2, 1))),
        (network(3, 3), &both, &[4, 5, 6], Quorum, Err((4, 3))),
        (network(3, 3), &both, &[5, 6], Quorum, Ok(4)),
        (network(0, 3), &[4, 5, 6], &[], LocalQuorum, Err((1, 0))),
    ];
    for (factors, replicas, dead, level, expected) in cases {
        let plan = plan(factors.clone(), replicas, None, dead);
        assert_eq!(verdict(&plan, level), expected, "{factors:?} {replicas:?} dead {dead:?} {level}");
    }
}

#[test]
fn a_moving_range_meets_the_level_in_both_sets() {
    let plan = plan(ReplicationFactors::simple(3), &[0, 1, 2], Some(&[1, 2, 3]), &[]);
    let requirement = Requirement::for_write(Consistency::Quorum, &plan).unwrap();
    for (acked, satisfied) in [
        (&[0usize, 1] as &[usize], false),
        (&[1, 2], true),
        (&[0, 1, 3], true),
        (&[2, 3], false),
        (&[0, 3], false),
        (&[0, 1, 2], true),
    ] {
        let acked = acked.iter().map(|index| plan.index_of(node(*index)).unwrap()).collect();
        assert_eq!(requirement.is_satisfied(acked), satisfied, "{acked:?}");
        assert!(satisfied || requirement.received(acked) < requirement.required());
    }
    let read = |plan: &ReplicaPlan, repair| Requirement::for_read(Consistency::Quorum, plan, repair).unwrap();
    assert_eq!(read(&plan, ReadRepair::Blocking).quotas(), requirement.quotas(), "what was read is mended in both");
    assert_eq!(read(&plan, ReadRepair::None).quotas().len(), 1, "where nothing is mended, the old owners are enough");
    let plan = plan.reading_from_next(true);
    assert_eq!(read(&plan, ReadRepair::Blocking).quotas().len(), 1, "the new owners are enough by then");
}

#[test]
fn levels_that_make_no_sense_are_refused() {
    let plan = plan(ReplicationFactors::simple(3), &[0, 1, 2], None, &[]);
    assert!(Requirement::for_read(Consistency::Any, &plan, ReadRepair::Blocking).is_err());
    for level in [Consistency::Serial, Consistency::LocalSerial] {
        assert!(Requirement::for_read(level, &plan, ReadRepair::Blocking).is_err());
        assert!(Requirement::for_write(level, &plan).is_err());
    }
}

#[test]
fn whatever_satisfies_a_write_meets_whatever_satisfies_a_read() {
    use Consistency::*;
    let all_masks =
        |count: usize| (0u32..1 << count).map(move |bits| (0..count).filter(|i| bits >> i & 1 == 1).collect());
    for (writes, reads) in
        [(Quorum, Quorum), (All, One), (One, All), (Two, Two), (LocalQuorum, Quorum), (EachQuorum, Quorum)]
    {
        for next in [&[1usize, 2, 3] as &[usize], &[0, 1, 3], &[2, 3, 4], &[3, 4, 5]] {
            let mut plan = plan(ReplicationFactors::simple(3), &[0, 1, 2], Some(next), &[]);
            // All in one data centre, so that the local levels count everybody.
            if writes == LocalQuorum && next.iter().any(|index| *index > 3) {
                continue;
            }
            for (read_from_next, repair) in
                [(false, ReadRepair::None), (false, ReadRepair::Blocking), (true, ReadRepair::Blocking)]
            {
                plan = plan.reading_from_next(read_from_next);
                let write = Requirement::for_write(writes, &plan).unwrap();
                let read = Requirement::for_read(reads, &plan, repair).unwrap();
                let count = plan.replicas().len();
                for acked in all_masks(count).filter(|acked: &ReplicaMask| write.is_satisfied(*acked)) {
                    for answered in all_masks(count).filter(|mask: &ReplicaMask| read.is_satisfied(*mask)) {
                        let meet = acked.and(answered).and(plan.read_set());
                        assert!(!meet.is_empty(), "{writes} {acked:?} misses {reads} {answered:?}");
                    }
                }
            }
        }
    }
}

/// Where one replica is said to be enough, it is: for reads and for writes, of the usual strategies.
#[test]
fn one_is_enough_only_where_the_level_says_so() {
    for factors in [ReplicationFactors::simple(1), ReplicationFactors::simple(3), network(1, 0), network(3, 1)] {
        let plan = plan(factors.clone(), &[0], None, &[]);
        for level in Consistency::ALL_LEVELS {
            if !Requirement::is_one(level, &factors) {
                continue;
            }
            let read = Requirement::for_read(level, &plan, ReadRepair::Blocking);
            for requirement in [read, Requirement::for_write(level, &plan)] {
                let requirement = requirement.expect("never said of a level that is refused");
                assert!(requirement.is_satisfied(ReplicaMask::one(0)), "{level} with {factors:?}");
            }
        }
        assert!(Requirement::is_one(Consistency::LocalOne, &factors));
        assert_eq!(Requirement::is_one(Consistency::Quorum, &factors), factors.total == 1);
    }
}
