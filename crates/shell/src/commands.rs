//! The shell's own commands.

use quorate_cql::lexer::{Token, TokenKind, tokenize};
use quorate_model::Consistency;
use quorate_model::request::Place;

use crate::copy::options::{CopyCommand, parse_copy};

/// A command of the shell, as opposed to a statement for the server.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Command {
    Consistency(Option<Consistency>),
    SerialConsistency(Option<Consistency>),
    Tracing(Option<bool>),
    Expand(Option<bool>),
    Paging(Option<Paging>),
    Source(String),
    Capture(Capture),
    ShowVersion,
    ShowHost,
    Help(Vec<String>),
    History,
    Clear,
    Exit,
    Copy(Box<CopyCommand>),
}

/// What `PAGING` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Paging {
    On,
    Off,
    Rows(u32),
}

/// What `CAPTURE` does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Capture {
    Show,
    To(String),
    Off,
}

/// Why a command is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
}

impl CommandError {
    /// An error at a token.
    pub fn at(token: &Token, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Some(token.place) }
    }
}

/// The words of a command: its tokens without white space, comments and the closing semicolon.
pub struct Words<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
}

impl<'a> Words<'a> {
    /// Reads a command's text.
    pub fn new(text: &'a str) -> Self {
        let mut tokens: Vec<Token> = tokenize(text).into_iter().filter(|token| !token.kind.is_trivia()).collect();
        let end = tokens.pop();
        while tokens.last().is_some_and(|token| token.kind == TokenKind::Semicolon) {
            tokens.pop();
        }
        tokens.extend(end);
        Self { text, tokens, next: 0 }
    }

    /// The next token, which stays; the end's token forever at the end.
    pub fn peek(&self) -> Token {
        let last = self.tokens.len().saturating_sub(1);
        match self.tokens.get(self.next.min(last)) {
            Some(token) => *token,
            None => {
                Token { kind: TokenKind::End, span: Default::default(), place: Place { line: 1, column: 0, length: 0 } }
            }
        }
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// A token's text.
    pub fn text(&self, token: &Token) -> &'a str {
        token.span.of(self.text)
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    /// Takes the word if it comes next, in any case.
    pub fn accept(&mut self, word: &str) -> bool {
        let token = self.peek();
        let found = token.kind == TokenKind::Word && self.text(&token).eq_ignore_ascii_case(word);
        self.next += usize::from(found);
        found
    }

    /// Takes a token of this kind if it comes next.
    pub fn accept_kind(&mut self, kind: TokenKind) -> Option<Token> {
        let token = self.peek();
        if token.kind != kind {
            return None;
        }
        self.next += 1;
        Some(token)
    }

    /// Refuses what is left over.
    pub fn expect_end(&self) -> Result<(), CommandError> {
        let token = self.peek();
        if token.kind == TokenKind::End {
            return Ok(());
        }
        Err(CommandError::at(&token, format!("'{}' was not expected here", self.text(&token))))
    }

    /// A quoted string.
    pub fn string(&mut self) -> Result<String, CommandError> {
        let token = self.take();
        let text = self.text(&token);
        match token.kind {
            TokenKind::String => Ok(unquote(text)),
            TokenKind::Unterminated => Err(CommandError::at(&token, "this string never ends: a quote is missing")),
            _ => Err(CommandError::at(&token, "expected a string in quotes, as 'file.csv'")),
        }
    }
}

/// The content of a quoted string.
pub fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text);
    inner.replace("''", "'")
}

/// Reads a command of the shell; `None` if the text is for the server.
pub fn parse(text: &str) -> Option<Result<Command, CommandError>> {
    if text.starts_with('?') {
        let topics = text.trim_start_matches('?').trim_end_matches(';');
        return Some(Ok(Command::Help(topics.split_whitespace().map(str::to_uppercase).collect())));
    }
    let mut words = Words::new(text);
    let first = words.take();
    if first.kind != TokenKind::Word {
        return None;
    }
    let command = match words.text(&first).to_ascii_uppercase().as_str() {
        "CONSISTENCY" => level(&mut words, |level| !level.is_serial()).map(Command::Consistency),
        "SERIAL" => {
            if !words.accept("CONSISTENCY") {
                let token = words.peek();
                return Some(Err(CommandError::at(&token, "expected SERIAL CONSISTENCY [level]")));
            }
            level(&mut words, Consistency::is_serial).map(Command::SerialConsistency)
        }
        "TRACING" => switch(&mut words).map(Command::Tracing),
        "EXPAND" => switch(&mut words).map(Command::Expand),
        "PAGING" => paging(&mut words).map(Command::Paging),
        "SOURCE" => words.string().map(Command::Source),
        "CAPTURE" => capture(&mut words).map(Command::Capture),
        "SHOW" => show(&mut words),
        "HELP" => Ok(help(&mut words)),
        "HISTORY" => Ok(Command::History),
        "CLEAR" | "CLS" => Ok(Command::Clear),
        "EXIT" | "QUIT" => Ok(Command::Exit),
        "COPY" => parse_copy(&mut words).map(|copy| Command::Copy(Box::new(copy))),
        unsupported @ ("LOGIN" | "DEBUG") => {
            Err(CommandError::at(&first, format!("{unsupported} is not supported by this shell")))
        }
        _ => return None,
    };
    Some(command.and_then(|command| words.expect_end().map(|()| command)))
}

fn level(words: &mut Words<'_>, fits: impl Fn(Consistency) -> bool) -> Result<Option<Consistency>, CommandError> {
    if words.at_end() {
        return Ok(None);
    }
    let token = words.take();
    let name = words.text(&token);
    let known = Consistency::parse(name).filter(|level| fits(*level));
    known.map(Some).ok_or_else(|| {
        let names: Vec<_> =
            Consistency::ALL_LEVELS.into_iter().filter(|level| fits(*level)).map(Consistency::name).collect();
        CommandError::at(&token, format!("'{name}' is no consistency level here; choose one of {}", names.join(", ")))
    })
}

fn switch(words: &mut Words<'_>) -> Result<Option<bool>, CommandError> {
    if words.at_end() {
        Ok(None)
    } else if words.accept("ON") {
        Ok(Some(true))
    } else if words.accept("OFF") {
        Ok(Some(false))
    } else {
        let token = words.peek();
        Err(CommandError::at(&token, format!("expected ON or OFF, not '{}'", words.text(&token))))
    }
}

fn paging(words: &mut Words<'_>) -> Result<Option<Paging>, CommandError> {
    if let Some(token) = words.accept_kind(TokenKind::Integer) {
        let rows = words.text(&token).parse::<u32>().ok();
        let fits = rows.filter(|rows| (1..=crate::limits::PAGE_ROWS_MAX).contains(rows));
        return fits
            .map(|rows| Some(Paging::Rows(rows)))
            .ok_or_else(|| CommandError::at(&token, format!("a page has 1 to {} rows", crate::limits::PAGE_ROWS_MAX)));
    }
    Ok(switch(words)?.map(|on| if on { Paging::On } else { Paging::Off }))
}

fn capture(words: &mut Words<'_>) -> Result<Capture, CommandError> {
    if words.at_end() {
        Ok(Capture::Show)
    } else if words.accept("OFF") {
        Ok(Capture::Off)
    } else {
        words.string().map(Capture::To)
    }
}

fn show(words: &mut Words<'_>) -> Result<Command, CommandError> {
    if words.accept("VERSION") {
        Ok(Command::ShowVersion)
    } else if words.accept("HOST") {
        Ok(Command::ShowHost)
    } else {
        let token = words.peek();
        Err(CommandError::at(&token, "expected SHOW VERSION or SHOW HOST"))
    }
}

fn help(words: &mut Words<'_>) -> Command {
    let mut topics = Vec::new();
    while !words.at_end() {
        let token = words.take();
        topics.push(words.text(&token).to_uppercase());
    }
    Command::Help(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements() {
        assert_eq!(parse("consistency quorum;"), Some(Ok(Command::Consistency(Some(Consistency::Quorum)))));
        assert_eq!(parse("CONSISTENCY"), Some(Ok(Command::Consistency(None))));
        assert_eq!(
            parse("SERIAL CONSISTENCY LOCAL_SERIAL"),
            Some(Ok(Command::SerialConsistency(Some(Consistency::LocalSerial))))
        );
        assert_eq!(parse("PAGING 50"), Some(Ok(Command::Paging(Some(Paging::Rows(50))))));
        assert_eq!(parse("SOURCE 'it''s.cql';"), Some(Ok(Command::Source("it's.cql".into()))));
        assert_eq!(parse("CAPTURE OFF"), Some(Ok(Command::Capture(Capture::Off))));
        assert_eq!(parse("? copy"), Some(Ok(Command::Help(vec!["COPY".into()]))));
        assert_eq!(parse("SELECT 1;"), None);
        assert_eq!(parse("DESCRIBE TABLES"), None);
    }

    #[test]
    fn wrong_commands_say_where() {
        let error = |text: &str| parse(text).unwrap().unwrap_err();
        assert_eq!(error("TRACING maybe").place.unwrap().column, 8);
        assert!(error("CONSISTENCY SERIAL").message.contains("choose one of ANY, ONE"));
        assert!(error("EXPAND ON now").message.contains("'now'"));
        assert!(error("SOURCE 'x").message.contains("never ends"));
        assert!(error("PAGING 0").message.contains("1 to"));
    }
}
