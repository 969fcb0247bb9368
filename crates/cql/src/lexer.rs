//! Text to tokens, with their places. Shared by the parser and by the shell (highlighting, completion, splitting).

use logos::Logos;
use quorate_model::request::Place;

pub use crate::keywords::{RESERVED, UNRESERVED, is_keyword, is_reserved};
pub use crate::split::split_statements;

/// A part of the text, in bytes: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The part of the text; empty if the span does not belong to it.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// A token: what it is, where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes.
    pub span: Span,
    /// Its line, column and length for people.
    pub place: Place,
}

/// Kinds of token.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TokenKind {
    #[regex(r"[ \t\r\n\x0c]+")]
    Whitespace,
    #[regex(r"--[^\n\r]*", allow_greedy = true)]
    #[regex(r"//[^\n\r]*", allow_greedy = true)]
    #[regex(r"/\*([^*]|\*+[^*/])*\*+/")]
    Comment,
    /// A keyword or an unquoted name.
    #[regex(r"[a-zA-Z][a-zA-Z0-9_]*")]
    Word,
    /// `"Name"`; a quote inside is doubled.
    #[regex(r#""([^"]|"")+""#)]
    QuotedName,
    /// `'text'`; a quote inside is doubled.
    #[regex(r"'([^']|'')*'")]
    String,
    /// `$$text$$`.
    #[regex(r"\$\$([^$]|\$[^$])*\$\$")]
    DollarString,
    #[regex(r"[0-9]+", priority = 4)]
    Integer,
    #[regex(r"[0-9]+\.[0-9]+([eE][+-]?[0-9]+)?")]
    #[regex(r"[0-9]+[eE][+-]?[0-9]+", priority = 5)]
    Float,
    /// `1h30m`, `P1Y2M`, `P1Y2M3DT4H`.
    #[regex(r"([0-9]+([yY]|[mM][oO]|[wW]|[dD]|[hH]|[mM]|[sS]|[mM][sS]|[uU][sS]|µ[sS]|[nN][sS]))+", priority = 6)]
    #[regex(r"P([0-9]+[YMD])+(T([0-9]+[HMS])+)?", priority = 7)]
    #[regex(r"PT([0-9]+[HMS])+", priority = 7)]
    #[regex(r"P[0-9]+W", priority = 7)]
    #[regex(r"P[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]", priority = 9)]
    Duration,
    #[regex(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", priority = 20)]
    Uuid,
    #[regex(r"0[xX][0-9a-fA-F]*", priority = 8)]
    Blob,
    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("?")]
    QuestionMark,
    #[token("=")]
    Equal,
    #[token("!=")]
    NotEqual,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEqual,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEqual,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("+=")]
    PlusEqual,
    #[token("-=")]
    MinusEqual,
    /// A string, name or comment that never ends: reaches to the end of the text.
    Unterminated,
    /// A character that begins no token.
    Unknown,
    /// The end of the text.
    End,
}

impl TokenKind {
    /// Whether it is white space or a comment.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Whitespace | Self::Comment)
    }

    /// How a message shows the expected token: `')'`.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::LeftParen => "'('",
            Self::RightParen => "')'",
            Self::LeftBracket => "'['",
            Self::RightBracket => "']'",
            Self::LeftBrace => "'{'",
            Self::RightBrace => "'}'",
            Self::Comma => "','",
            Self::Semicolon => "';'",
            Self::Colon => "':'",
            Self::Dot => "'.'",
            Self::Equal => "'='",
            Self::Greater => "'>'",
            Self::Less => "'<'",
            Self::End => "EOF",
            Self::Integer => "INTEGER",
            Self::String => "STRING_LITERAL",
            _ => "a token",
        }
    }
}

/// All tokens of the text in order, white space and comments too, ended by one of kind [`TokenKind::End`]. Together
/// they cover the text without a gap, so nothing is lost: what is no token comes as `Unknown` or `Unterminated`.
pub fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    let mut places = Places { line: 1, column: 0 };
    let mut start = 0;
    // Each turn lexes up to the next character that begins no token, and then goes on behind it.
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let lexer = TokenKind::lexer(rest).spanned();
        let from = start;
        start = text.len();
        for (found, range) in lexer {
            let mut span = Span { start: from + range.start, end: from + range.end };
            let kind = match found {
                Ok(kind) => kind,
                Err(()) => {
                    let (kind, length) = broken(text.get(span.start..).unwrap_or_default());
                    span.end = span.start + length;
                    kind
                }
            };
            tokens.push(places.token(text, kind, span));
            if found.is_err() {
                start = span.end;
                break;
            }
        }
    }
    tokens.push(places.token(text, TokenKind::End, Span { start: text.len(), end: text.len() }));
    tokens
}

/// What stands where no token begins, and its length.
fn broken(rest: &str) -> (TokenKind, usize) {
    if rest.starts_with(['\'', '"']) || rest.starts_with("/*") || rest.starts_with("$$") {
        // An empty quoted name ends, but is none.
        if rest.starts_with("\"\"") {
            return (TokenKind::Unknown, 2);
        }
        return (TokenKind::Unterminated, rest.len());
    }
    (TokenKind::Unknown, rest.chars().next().map_or(1, char::len_utf8))
}

/// Follows lines and columns while tokens are made, each of which begins where the one before ended.
struct Places {
    line: u32,
    column: u32,
}

impl Places {
    fn token(&mut self, text: &str, kind: TokenKind, span: Span) -> Token {
        let content = span.of(text);
        let length = characters(content);
        let place = Place { line: self.line, column: self.column, length };
        match content.rsplit_once('\n') {
            Some((before, last)) => {
                let lines = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
                self.column = characters(last);
            }
            None => self.column = self.column.saturating_add(length),
        }
        Token { kind, span, place }
    }
}

fn characters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// The name that a token stands for: unquoted ones in lower case, quoted ones as they are.
pub fn name_of(kind: TokenKind, text: &str) -> String {
    match kind {
        TokenKind::QuotedName => text.trim_start_matches('"').trim_end_matches('"').replace("\"\"", "\""),
        _ => text.to_ascii_lowercase(),
    }
}

/// The name as it must be written in CQL: quoted unless it is lower case and not reserved.
pub fn quote_name(name: &str) -> String {
    let plain = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
