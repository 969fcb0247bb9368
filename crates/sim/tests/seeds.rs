//! Whole runs: sound ones, the same ones again, and ones with planted bugs.

use quorate_sim::{Options, Plant, run_seed};

const STEPS: Option<u64> = Some(300);

#[test]
fn sound_clusters_pass() {
    for seed in 0..6 {
        let report = run_seed(seed, Options { steps: STEPS, ..Options::default() });
        assert_eq!(report.violations, vec![], "{}", report.line());
        assert!(report.operations.get("acked").is_some_and(|acked| *acked > 20), "{}", report.line());
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 7] {
        let run = || run_seed(seed, Options { steps: STEPS, ..Options::default() });
        let (first, second) = (run(), run());
        assert_eq!((first.trace_hash, first.events), (second.trace_hash, second.events), "seed {seed}");
        let other = run_seed(seed + 1, Options { steps: STEPS, ..Options::default() });
        assert_ne!(first.trace_hash, other.trace_hash);
    }
}

#[test]
fn a_planted_lie_about_syncs_is_caught() {
    let caught = (0..100).find(|seed| {
        let options = Options { plant: Some(Plant::AckBeforeFsync), ..Options::default() };
        !run_seed(*seed, options).violations.is_empty()
    });
    assert!(caught.is_some(), "100 seeds did not find it");
}
