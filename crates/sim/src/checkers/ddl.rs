//! T8: no acknowledged change of the schema is lost. Clients give the main table comments that tell which operation made
//! them: in the end its comment is that of a change that did not end before another acknowledged one began.

use super::Violation;
use crate::history::{Body, Fate, History};

const NAME: &str = "ddl";

/// Judges the comment that a table has in the end, empty if it was never given one.
pub fn check(history: &History, comment: &str) -> Option<Violation> {
    let last: Option<usize> = if comment.is_empty() { None } else { Some(comment.parse().ok()?) };
    let ended = match last.and_then(|last| history.records.get(last)) {
        None if last.is_some() => {
            return Some(Violation::new(NAME, format!("the comment '{comment}' is of no operation")));
        }
        None => Some(0),
        Some(record) if record.fate == Fate::Refused => {
            return Some(Violation::new(NAME, format!("the comment is of operation {comment}, which was refused")));
        }
        // One of unknown outcome may be decided at any later time.
        Some(record) => record.returned.filter(|_| record.fate == Fate::Acked),
    };
    let lost = history.records.iter().enumerate().find(|(_, record)| {
        matches!(record.body, Body::Comment)
            && record.fate == Fate::Acked
            && ended.is_some_and(|ended| record.invoked > ended)
    });
    let (operation, _) = lost?;
    Some(Violation::new(
        NAME,
        format!(
            "operation {operation} changed the schema and was acknowledged, but in the end the comment is '{comment}'"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Builder;
    use super::*;

    #[test]
    fn a_lost_change_is_caught() {
        let mut planted = Builder::new();
        let mut change = |fate| {
            let operation = planted.begin(Body::Comment);
            planted.end(operation, fate);
        };
        [Fate::Acked, Fate::Acked, Fate::Unknown, Fate::Refused].into_iter().for_each(&mut change);
        let history = planted.history;
        assert_eq!(check(&history, "1"), None);
        assert_eq!(check(&history, "2"), None, "it may have been made after all");
        for lost in ["", "0", "3", "77"] {
            assert!(check(&history, lost).is_some(), "{lost}");
        }
    }
}
