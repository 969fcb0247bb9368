//! Splits a script into statements.

use crate::lexer::{Span, Token, TokenKind, tokenize};

/// The statements of a script, each with its semicolon if it has one, without the white space and comments around it.
/// Semicolons inside strings, names, `$$…$$`, comments and `BEGIN BATCH … APPLY BATCH` do not split. The last statement
/// may lack its semicolon: a shell sees by that whether more is to come ([`is_complete`]).
pub fn split_statements(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut current: Option<Span> = None;
    let mut words = Vec::new();
    for token in tokenize(text) {
        match token.kind {
            TokenKind::End => break,
            kind if kind.is_trivia() => continue,
            TokenKind::Semicolon if !in_batch(&words) => {
                let start = current.map_or(token.span.start, |span| span.start);
                spans.push(Span { start, end: token.span.end });
                current = None;
                words.clear();
            }
            _ => {
                note_word(&mut words, &token, text);
                let start = current.map_or(token.span.start, |span| span.start);
                current = Some(Span { start, end: token.span.end });
            }
        }
    }
    spans.extend(current);
    spans
}

/// Whether a statement from [`split_statements`] has ended: with a semicolon that is not inside anything.
pub fn is_complete(statement: &str) -> bool {
    let significant: Vec<Token> = tokenize(statement).into_iter().filter(|token| !token.kind.is_trivia()).collect();
    let ends = significant.iter().rev().find(|token| token.kind != TokenKind::End);
    let whole = split_statements(statement);
    ends.is_some_and(|token| token.kind == TokenKind::Semicolon)
        && whole.last().is_some_and(|span| span.of(statement).ends_with(';') && !open_batch(statement))
}

fn open_batch(statement: &str) -> bool {
    let mut words = Vec::new();
    for token in tokenize(statement) {
        note_word(&mut words, &token, statement);
    }
    in_batch(&words)
}

/// Keeps what tells whether a batch is open: its first words and whether `APPLY BATCH` has come.
fn note_word(words: &mut Vec<&'static str>, token: &Token, text: &str) {
    if token.kind.is_trivia() || token.kind == TokenKind::End {
        return;
    }
    let word = token.span.of(text);
    let known = ["BEGIN", "BATCH", "UNLOGGED", "COUNTER", "LOGGED", "APPLY"]
        .into_iter()
        .find(|known| token.kind == TokenKind::Word && known.eq_ignore_ascii_case(word))
        .unwrap_or("");
    if words.len() < 3 {
        words.push(known);
    } else if let Some(last) = words.get_mut(3) {
        if *last != "APPLY BATCH" {
            *last = if *last == "APPLY" && known == "BATCH" { "APPLY BATCH" } else { known };
        }
    } else {
        words.push(known);
    }
    if let [.., "APPLY", "BATCH"] = words.as_slice()
        && words.len() == 4
    {
        words.truncate(3);
        words.push("APPLY BATCH");
    }
}

fn in_batch(words: &[&'static str]) -> bool {
    let opened = matches!(words, ["BEGIN", "BATCH", ..] | ["BEGIN", "UNLOGGED" | "COUNTER" | "LOGGED", "BATCH", ..]);
    opened && words.get(3) != Some(&"APPLY BATCH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        split_statements(text).into_iter().map(|span| span.of(text)).collect()
    }

    #[test]
    fn splits_outside_strings_comments_and_batches_only() {
        assert_eq!(split("a; b 'x;''y' ; -- no; \n c \"q;\" $$d;$$ /* ; */"), ["a;", "b 'x;''y' ;", "c \"q;\" $$d;$$"]);
        let batch = "BEGIN UNLOGGED BATCH INSERT 1; INSERT 2; APPLY BATCH;";
        assert_eq!(split(&format!("{batch} SELECT 1;")), [batch, "SELECT 1;"]);
        assert_eq!(split("BEGIN BATCH APPLY BATCH; x"), ["BEGIN BATCH APPLY BATCH;", "x"]);
        assert_eq!(split(" ;; "), [";", ";"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn knows_whether_more_is_to_come() {
        assert!(is_complete("SELECT 1;"));
        assert!(!is_complete("SELECT 1"));
        assert!(!is_complete("SELECT ';"));
        assert!(!is_complete("BEGIN BATCH INSERT 1;"));
        assert!(is_complete("BEGIN BATCH INSERT 1; APPLY BATCH;"));
    }
}
