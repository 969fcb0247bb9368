//! H4: a write that a replica missed while it was down is there once its hints are delivered, without anybody having read
//! it, also if the replica went down again while they were delivered.

use super::Violation;

const NAME: &str = "handoff";

/// Judges what the replica `node` holds of the writes that it missed: each with its value, and what was found.
pub fn check(node: usize, missed: &[(String, Option<String>)]) -> Vec<Violation> {
    let lost = missed.iter().filter(|(written, found)| found.as_ref() != Some(written));
    lost.map(|(written, found)| {
        let text = format!(
            "node {node} was down when '{written}' was written; its hints are delivered, but it holds {found:?}"
        );
        Violation::new(NAME, text)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_handed_off_is_caught() {
        let there = ("a".to_owned(), Some("a".to_owned()));
        assert_eq!(check(1, std::slice::from_ref(&there)), vec![]);
        assert_eq!(check(1, &[there, ("b".to_owned(), None), ("c".to_owned(), Some("b".to_owned()))]).len(), 2);
    }
}
