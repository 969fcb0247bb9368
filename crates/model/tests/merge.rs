//! Properties of merging: commutative, associative, idempotent, canonical; truncation and restriction commute with it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{partition, position};
use proptest::prelude::*;
use quorate_model::wire::Wire;
use quorate_model::{ColumnData, Partition, Timestamp};

fn merged(parts: &[&Partition]) -> Partition {
    let mut all = Partition::default();
    parts.iter().for_each(|part| all.merge(part));
    all
}

fn canonical(part: &Partition) -> Partition {
    let mut part = part.clone();
    part.canonicalize();
    part
}

fn nothing_covered(data: &ColumnData, above: Option<Timestamp>) -> bool {
    match data {
        ColumnData::Simple(cell) => Some(cell.timestamp) > above,
        ColumnData::Complex { deletion, cells } => {
            let own = deletion.map(|deletion| deletion.timestamp);
            (own.is_none() || own > above)
                && (own.is_some() || !cells.is_empty())
                && cells.values().all(|cell| Some(cell.timestamp) > own.max(above))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_a_semilattice(a in partition(), b in partition(), c in partition()) {
        let ab = merged(&[&a, &b]);
        prop_assert_eq!(&ab, &merged(&[&b, &a]), "commutative");
        let ab_c = merged(&[&ab, &c]);
        prop_assert_eq!(&ab_c, &merged(&[&a, &merged(&[&b, &c])]), "associative");
        prop_assert_eq!(&ab_c, &merged(&[&c, &a, &b]), "any order");
        prop_assert_eq!(&ab, &merged(&[&ab, &a]), "idempotent");
        prop_assert_eq!(&ab, &merged(&[&ab, &ab]), "idempotent");
        prop_assert_eq!(&ab, &merged(&[&canonical(&a), &canonical(&b)]), "canonical form loses nothing");
        let mut onto = canonical(&a);
        onto.merge_owned(b.clone());
        prop_assert_eq!(&ab, &onto, "the same onto a canonical one");
        prop_assert_eq!(ab.digest(), onto.digest());
    }

    #[test]
    fn results_are_canonical_and_survive_the_codec(a in partition(), b in partition()) {
        let ab = merged(&[&a, &b]);
        prop_assert_eq!(&ab, &canonical(&ab));
        let bytes = ab.to_bytes();
        let back = Partition::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&back, &ab);
        prop_assert_eq!(back.to_bytes(), bytes);
        // Also what was not merged yet survives, but for what is empty.
        prop_assert_eq!(canonical(&Partition::from_bytes(&a.to_bytes()).unwrap()), canonical(&a));
    }

    #[test]
    fn truncation_commutes_with_merging(a in partition(), b in partition(), at in 0i64..6) {
        let cut = |part: &Partition| {
            let mut part = canonical(part);
            part.drop_up_to(Timestamp(at));
            part
        };
        prop_assert_eq!(cut(&merged(&[&a, &b])), merged(&[&cut(&a), &cut(&b)]));
        prop_assert!(cut(&a).min_timestamp().is_none_or(|min| min > Timestamp(at)));
    }

    #[test]
    fn restriction_commutes_with_merging(a in partition(), b in partition(), bounds in prop::collection::btree_set(position(), 4)) {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let slices: Vec<_> = bounds.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let restricted = |part: &Partition| {
            let mut part = canonical(part);
            part.restrict(&slices);
            part
        };
        prop_assert_eq!(restricted(&merged(&[&a, &b])), merged(&[&restricted(&a), &restricted(&b)]));
    }

    #[test]
    fn nothing_covered_shows(a in partition(), b in partition()) {
        // The meaning of the form, told independently: nothing in it has a timestamp that something above it covers.
        let ab = merged(&[&a, &b]);
        let from_partition = ab.deletion.map(|deletion| deletion.timestamp);
        for (key, row) in &ab.rows {
            prop_assert!(!row.is_empty());
            let range = ab.range_tombstones.iter().find(|range| range.start.0 <= key.0 && key.0 < range.end.0);
            prop_assert_eq!(range.map(|range| range.deletion), ab.range_tombstones.covering(key));
            let above = range.map(|range| range.deletion.timestamp).max(from_partition);
            prop_assert!(row.deletion.is_none_or(|deletion| Some(deletion.timestamp) > above));
            let above = row.deletion.map(|deletion| deletion.timestamp).max(above);
            prop_assert!(row.liveness.is_none_or(|liveness| Some(liveness.timestamp) > above));
            prop_assert!(row.columns.iter().all(|(_, data)| nothing_covered(data, above)));
        }
        prop_assert!(ab.static_row.columns.iter().all(|(_, data)| nothing_covered(data, from_partition)));
        for range in ab.range_tombstones.iter() {
            prop_assert!(Some(range.deletion.timestamp) > from_partition);
        }
    }
}
