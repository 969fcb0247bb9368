//! Q1, Q4: while nobody writes, pages joined are the unpaged answer, row for row in the same order.

use super::Violation;

const NAME: &str = "paging";

/// Compares the rows of two answers to one question.
pub fn check(paged: &[(u16, Option<u8>)], unpaged: &[(u16, Option<u8>)]) -> Option<Violation> {
    if paged == unpaged {
        return None;
    }
    let at = paged.iter().zip(unpaged).take_while(|(left, right)| left == right).count();
    let text = format!(
        "{} rows in pages, {} in one answer; the first difference is row {at}: {:?} and {:?}",
        paged.len(),
        unpaged.len(),
        paged.get(at),
        unpaged.get(at)
    );
    Some(Violation::new(NAME, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_repeated_and_moved_rows_are_caught() {
        let rows = [(1, Some(1)), (1, Some(2)), (2, None)];
        assert_eq!(check(&rows, &rows), None);
        assert!(check(&rows[..2], &rows).is_some());
        assert!(check(&[rows[0], rows[0], rows[1], rows[2]], &rows).is_some());
        assert!(check(&[rows[1], rows[0], rows[2]], &rows).is_some());
    }
}
