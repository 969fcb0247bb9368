//! P3, H1: when faults and writes have ended, hints are delivered and everything was read at ALL, every replica of a
//! partition holds the same.

use super::Violation;

const NAME: &str = "convergence";

/// What one replica holds of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The node.
    pub node: usize,
    /// Its content's digest, or why it cannot be read.
    pub content: Result<u128, String>,
    /// The content in words.
    pub shown: String,
}

/// Compares the replicas of one partition.
pub fn check(partition: &str, replicas: &[Replica]) -> Option<Violation> {
    let first = replicas.first()?;
    let other = replicas.iter().find(|replica| replica.content.is_err() || replica.content != first.content)?;
    let text = format!(
        "{partition} differs: node {} holds {:?} {}, node {} holds {:?} {}",
        first.node, first.content, first.shown, other.node, other.content, other.shown
    );
    Some(Violation::new(NAME, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_caught() {
        let replica = |node, content| Replica { node, content, shown: String::new() };
        assert_eq!(check("p", &[]), None);
        assert_eq!(check("p", &[replica(1, Ok(5)), replica(2, Ok(5)), replica(3, Ok(5))]), None);
        assert!(check("p", &[replica(1, Ok(5)), replica(2, Ok(5)), replica(3, Ok(6))]).is_some());
        assert!(check("p", &[replica(1, Err("damaged".to_owned()))]).is_some());
    }
}
