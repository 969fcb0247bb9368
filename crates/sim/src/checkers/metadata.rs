//! T3: all nodes that have applied an epoch hold the same metadata at it; and no node goes back.

use std::collections::BTreeMap;

use super::Violation;

const NAME: &str = "metadata";

/// Takes down what each node holds at each epoch.
#[derive(Debug, Default)]
pub struct MetadataChecker {
    by_epoch: BTreeMap<u64, (u64, usize)>,
    by_node: BTreeMap<usize, u64>,
}

impl MetadataChecker {
    /// A node has published this epoch, with metadata of this hash.
    pub fn note(&mut self, node: usize, epoch: u64, hash: u64) -> Option<Violation> {
        let last = self.by_node.insert(node, epoch).unwrap_or(0);
        if epoch < last {
            return Some(Violation::new(NAME, format!("node {node} went back from epoch {last} to {epoch}")));
        }
        let (first, by) = *self.by_epoch.entry(epoch).or_insert((hash, node));
        (first != hash && epoch > 0)
            .then(|| Violation::new(NAME, format!("nodes {by} and {node} hold different metadata at epoch {epoch}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_and_a_step_back_are_caught() {
        let mut checker = MetadataChecker::default();
        assert_eq!(checker.note(1, 1, 10), None);
        assert_eq!(checker.note(2, 1, 10), None);
        assert_eq!(checker.note(1, 2, 20), None);
        assert!(checker.note(2, 2, 21).is_some());
        assert!(checker.note(1, 1, 10).is_some());
    }
}
