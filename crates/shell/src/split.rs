//! Cuts a script into statements and shell commands: CQL by its own lexer, commands of one line at the line's end.

use quorate_cql::lexer::{TokenKind, split_statements, tokenize};

/// Commands that need no semicolon: the line's end ends them, as in cqlsh.
const LINE_COMMANDS: [&str; 18] = [
    "HELP",
    "CONSISTENCY",
    "SERIAL",
    "EXPAND",
    "TRACING",
    "PAGING",
    "CAPTURE",
    "SOURCE",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "CLEAR",
    "CLS",
    "EXIT",
    "QUIT",
    "HISTORY",
    "LOGIN",
    "DEBUG",
];

/// A statement or command of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text, with its semicolon if it has one.
    pub text: &'a str,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Whether it has ended; otherwise more may follow.
    pub complete: bool,
}

/// All pieces of a script in order. Only the last may be incomplete.
pub fn split(script: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut counted = (0, 1);
    let mut piece = |start: usize, end: usize, complete: bool| {
        let between = script.get(counted.0..start).unwrap_or_default();
        counted = (start, counted.1 + between.bytes().filter(|byte| *byte == b'\n').count());
        pieces.push(Piece { text: script.get(start..end).unwrap_or_default().trim_end(), line: counted.1, complete });
    };
    let mut from = 0;
    'rest: while let Some(rest) = script.get(from..).filter(|rest| !rest.trim().is_empty()) {
        let spans = split_statements(rest);
        for (index, span) in spans.iter().enumerate() {
            let text = span.of(rest);
            let newline = rest.get(span.start..).and_then(|tail| tail.find('\n'));
            if is_line_command(text) && newline.is_none_or(|length| length < text.len() || !text.ends_with(';')) {
                let end = newline.map_or(rest.len(), |length| span.start + length);
                let line = rest.get(span.start..end).unwrap_or_default();
                let first_end = split_statements(line).first().map_or(end, |first| span.start + first.end);
                let end = if line_ends_with_semicolon(line) { first_end } else { end };
                piece(from + span.start, from + end, true);
                from += end;
                continue 'rest;
            }
            let is_last = index + 1 == spans.len();
            let complete = !is_last || quorate_cql::is_complete(text);
            piece(from + span.start, from + span.end, complete);
        }
        break;
    }
    pieces
}

/// Whether there is a semicolon outside of strings on the line.
fn line_ends_with_semicolon(line: &str) -> bool {
    tokenize(line).iter().any(|token| token.kind == TokenKind::Semicolon)
}

fn is_line_command(text: &str) -> bool {
    if text.starts_with('?') {
        return true;
    }
    let word = first_word(text);
    LINE_COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(word))
}

/// The first word of a statement.
pub fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        split(script).iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn commands_end_with_their_line_and_statements_with_a_semicolon() {
        let script = "CONSISTENCY QUORUM\n-- a comment;\nSELECT 'a;b'\n FROM t;\nexpand on; SELECT 1;\nHELP copy";
        assert_eq!(
            texts(script),
            ["CONSISTENCY QUORUM", "SELECT 'a;b'\n FROM t;", "expand on;", "SELECT 1;", "HELP copy"]
        );
        let pieces = split(script);
        assert_eq!(pieces.iter().map(|piece| piece.line).collect::<Vec<_>>(), [1, 3, 5, 5, 6]);
        assert!(pieces.iter().all(|piece| piece.complete));
    }

    #[test]
    fn an_open_statement_waits_for_more() {
        for open in ["SELECT * FROM t", "SELECT 'x", "BEGIN BATCH INSERT INTO t (a) VALUES (1);", "COPY t FROM 'x'"] {
            assert!(!split(open).last().unwrap().complete, "{open}");
        }
        assert_eq!(texts("SELECT\nDESC\n;"), ["SELECT\nDESC\n;"]);
        assert_eq!(texts("SOURCE 'a;b.cql'\nUSE x;"), ["SOURCE 'a;b.cql'", "USE x;"]);
        assert_eq!(texts("?\nuse x;"), ["?", "use x;"]);
        assert!(split(" \n-- nothing\n").is_empty());
    }
}
