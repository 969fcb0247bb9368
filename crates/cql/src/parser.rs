//! Tokens to statements: recursive descent, one token of lookahead as a rule, with ANTLR's wording of mistakes, because
//! that is what people and tools know from Cassandra.

mod batch;
mod describe;
mod function;
mod index;
mod modify;
mod relation;
mod role;
mod schema;
mod select;
mod term;
mod user_type;
mod view;

pub(crate) use modify::show_assignment;
use quorate_model::request::{Place, RequestError};

use crate::ast::{Marker, Name, Statement, TableName};
use crate::lexer::{Token, TokenKind, is_keyword, is_reserved, name_of, tokenize};
use crate::limits::{MARKERS_MAX, NESTING_DEPTH_MAX, STATEMENT_BYTES_MAX};

/// Tokens before the offending one that a message shows, white space counted.
const SNIPPET_TOKENS_BEFORE: usize = 10;

type Parsed<T> = Result<T, RequestError>;

/// Reads one statement, with or without a semicolon at its end.
pub fn parse(text: &str) -> Result<Statement, RequestError> {
    if text.len() > STATEMENT_BYTES_MAX {
        let message = format!("statement of {} bytes is longer than the maximum of {STATEMENT_BYTES_MAX}", text.len());
        return Err(RequestError::invalid(message));
    }
    let mut parser = Parser::new(text)?;
    let statement = parser.statement()?;
    if parser.at(TokenKind::Semicolon) {
        parser.advance();
    }
    if !parser.at(TokenKind::End) {
        // Behind a value the statement might have gone on in many ways, as an expression.
        let is_operator = matches!(
            parser.current().kind,
            TokenKind::Plus | TokenKind::Minus | TokenKind::Star | TokenKind::Slash | TokenKind::Percent
        );
        return Err(match is_operator || parser.value_ended == Some(parser.position) {
            true => parser.no_alternative(),
            false => parser.mismatched(TokenKind::End.symbol()),
        });
    }
    parser.unsupported_part.map_or(Ok(statement), unsupported)
}

/// A whole statement of a feature that does not exist yet.
fn unsupported(feature: &str) -> Parsed<Statement> {
    Ok(Statement::Unsupported(feature.to_owned()))
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    /// All tokens; `significant` holds the indices of those that are not trivia.
    tokens: Vec<Token>,
    significant: Vec<usize>,
    position: usize,
    markers: usize,
    depth: u32,
    /// Where the last value of a `WHERE` or `GROUP BY` ended.
    value_ended: Option<usize>,
    /// A feature that does not exist yet, of which the statement has a part.
    unsupported_part: Option<&'static str>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        let tokens = tokenize(text);
        if let Some(token) =
            tokens.iter().find(|token| matches!(token.kind, TokenKind::Unterminated | TokenKind::Unknown))
        {
            return Err(lexical_error(text, token));
        }
        let significant = (0..tokens.len()).filter(|index| !tokens[*index].kind.is_trivia()).collect();
        Ok(Self {
            text,
            tokens,
            significant,
            position: 0,
            markers: 0,
            depth: 0,
            value_ended: None,
            unsupported_part: None,
        })
    }

    /// The token so many significant ones ahead; the end token beyond the end.
    fn peek(&self, ahead: usize) -> Token {
        let last = self.significant.len().saturating_sub(1);
        let position = self.position.saturating_add(ahead).min(last);
        self.tokens[self.significant[position]]
    }

    fn current(&self) -> Token {
        self.peek(0)
    }

    fn current_text(&self) -> &'a str {
        self.current().span.of(self.text)
    }

    fn place(&self) -> Place {
        self.current().place
    }

    fn advance(&mut self) -> Token {
        let token = self.current();
        if token.kind != TokenKind::End {
            self.position += 1;
        }
        token
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.current().kind == kind
    }

    fn accept(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        if self.at(kind) { Ok(self.advance()) } else { Err(self.mismatched(kind.symbol())) }
    }

    /// Whether the token so far ahead is this keyword.
    fn is_word(&self, ahead: usize, keyword: &str) -> bool {
        let token = self.peek(ahead);
        token.kind == TokenKind::Word && token.span.of(self.text).eq_ignore_ascii_case(keyword)
    }

    fn at_word(&self, keyword: &str) -> bool {
        self.is_word(0, keyword)
    }

    fn accept_word(&mut self, keyword: &str) -> bool {
        let found = self.at_word(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn accept_words(&mut self, keywords: &[&str]) -> bool {
        let found = keywords.iter().enumerate().all(|(ahead, keyword)| self.is_word(ahead, keyword));
        if found {
            self.position += keywords.len();
        }
        found
    }

    fn expect_word(&mut self, keyword: &str) -> Parsed<()> {
        if self.accept_word(keyword) { Ok(()) } else { Err(self.mismatched(&format!("K_{keyword}"))) }
    }

    /// Whether the token so far ahead can be a name.
    fn is_name(&self, ahead: usize) -> bool {
        let token = self.peek(ahead);
        match token.kind {
            TokenKind::QuotedName => true,
            TokenKind::Word => !is_reserved(token.span.of(self.text)),
            _ => false,
        }
    }

    /// Whether the token so far ahead is a word and no keyword at all.
    fn is_identifier(&self, ahead: usize) -> bool {
        let token = self.peek(ahead);
        token.kind == TokenKind::Word && !is_keyword(token.span.of(self.text))
    }

    fn name(&mut self) -> Parsed<Name> {
        if !self.is_name(0) {
            return Err(self.no_alternative());
        }
        let token = self.advance();
        Ok(Name { text: name_of(token.kind, token.span.of(self.text)), place: token.place })
    }

    fn table_name(&mut self) -> Parsed<TableName> {
        let first = self.name()?;
        if self.accept(TokenKind::Dot) {
            let name = self.name()?;
            return Ok(TableName { keyspace: Some(first), name });
        }
        Ok(TableName { keyspace: None, name: first })
    }

    /// `item, item, …`: at least one.
    fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(TokenKind::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(item, item, …)`: at least one.
    fn parenthesised<T>(&mut self, item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(TokenKind::LeftParen)?;
        let items = self.comma_list(item)?;
        self.expect(TokenKind::RightParen)?;
        Ok(items)
    }

    /// A marker if one stands here.
    fn marker(&mut self) -> Parsed<Option<(Marker, Place)>> {
        let place = self.place();
        let name = if self.accept(TokenKind::QuestionMark) {
            None
        } else if self.accept(TokenKind::Colon) {
            Some(self.name()?.text)
        } else {
            return Ok(None);
        };
        if self.markers >= MARKERS_MAX {
            return Err(RequestError::invalid(format!("Too many bind markers: more than {MARKERS_MAX}")));
        }
        let index = self.markers as u16;
        self.markers += 1;
        Ok(Some((Marker { index, name }, place)))
    }

    /// Runs a nested rule, one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_DEPTH_MAX {
            let message = format!("statement is nested deeper than {NESTING_DEPTH_MAX} levels");
            return Err(RequestError::Syntax { message, place: Some(self.place()) });
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let word = if self.at(TokenKind::Word) { self.current_text().to_ascii_uppercase() } else { String::new() };
        match word.as_str() {
            "SELECT" => self.select(),
            "INSERT" => self.insert(),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "BEGIN" => self.batch(),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "TRUNCATE" => {
                self.advance();
                let _ = self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY");
                Ok(Statement::Truncate(self.table_name()?))
            }
            "USE" => {
                self.advance();
                Ok(Statement::Use(self.name()?))
            }
            "DESCRIBE" | "DESC" => self.describe(),
            "GRANT" => self.grant_or_revoke("GRANT", "TO"),
            "REVOKE" => self.grant_or_revoke("REVOKE", "FROM"),
            "LIST" => self.list_roles(),
            "ADD" => self.add_identity(),
            _ => Err(self.no_alternative()),
        }
    }

    fn shown(&self, token: Token) -> String {
        match token.kind {
            TokenKind::End => "<EOF>".to_owned(),
            TokenKind::String => token.span.of(self.text).trim_matches('\'').replace("''", "'"),
            TokenKind::DollarString => token.span.of(self.text).trim_matches('$').to_owned(),
            TokenKind::QuotedName => token.span.of(self.text).trim_matches('"').replace("\"\"", "\""),
            _ => token.span.of(self.text).to_owned(),
        }
    }

    /// 'mismatched input': one token was required and another stands here.
    fn mismatched(&self, expected: &str) -> RequestError {
        let token = self.current();
        self.error(token, self.position, format!("mismatched input '{}' expecting {expected}", self.shown(token)))
    }

    /// 'no viable alternative': none of several possible continuations fits.
    fn no_alternative(&self) -> RequestError {
        let token = self.current();
        self.error(token, self.position, format!("no viable alternative at input '{}'", self.shown(token)))
    }

    /// The same, where the choice was opened by an earlier token: the snippet points at that one.
    fn no_alternative_since(&self, tokens_back: usize) -> RequestError {
        let token = self.current();
        let since = self.position.saturating_sub(tokens_back);
        self.error(token, since, format!("no viable alternative at input '{}'", self.shown(token)))
    }

    /// What is written as it may be, and yet cannot be meant.
    fn refused(&self, message: &str) -> RequestError {
        RequestError::Syntax { message: message.to_owned(), place: Some(self.place()) }
    }

    fn no_markers(&self, statement: &str) -> RequestError {
        RequestError::invalid(format!("Bind variables are not allowed in {statement} statements"))
    }

    /// `line 1:9 …problem… (SELECT * [FRM]...)`.
    fn error(&self, token: Token, highlighted: usize, problem: String) -> RequestError {
        let snippet = if token.kind == TokenKind::End { String::new() } else { self.snippet(highlighted) };
        let message = format!("line {}:{} {problem}{snippet}", token.place.line, token.place.column);
        RequestError::Syntax { message, place: Some(token.place) }
    }

    /// Where a snippet takes a token to stand: it counts what is shown of it, and so loses the end of what was in quotes.
    fn shown_span(&self, token: Token) -> crate::lexer::Span {
        let mut span = token.span;
        if matches!(token.kind, TokenKind::String | TokenKind::DollarString | TokenKind::QuotedName) {
            let shown = self.shown(token).chars().count();
            let end = span.of(self.text).char_indices().nth(shown).map_or(span.end, |(end, _)| span.start + end);
            span.end = end;
        }
        span
    }

    fn snippet(&self, highlighted: usize) -> String {
        let here = self.significant[self.position];
        let marked = self.significant[highlighted.min(self.position)];
        let first = marked.saturating_sub(SNIPPET_TOKENS_BEFORE);
        let last = here.min(marked + 2);
        let part = |from: usize, to: usize| {
            let span = crate::lexer::Span { start: from, end: to };
            // Lines are joined as they are, as in Cassandra.
            span.of(self.text).replace(['\n', '\r'], "")
        };
        let start = self.tokens[first].span.start;
        let mark = self.shown_span(self.tokens[marked]);
        let end = self.shown_span(self.tokens[last]).end;
        let before = if first == 0 { "" } else { "..." };
        let after = if end >= self.text.trim_end().len() { "" } else { "..." };
        format!(
            " ({before}{}[{}]{}{after})",
            part(start, mark.start),
            part(mark.start, mark.end),
            part(mark.end, end.max(mark.end))
        )
    }
}

fn lexical_error(text: &str, token: &Token) -> RequestError {
    let content = token.span.of(text);
    let place = token.place;
    let (place, problem) = if content == "!" {
        let next = text.get(token.span.end..).and_then(|rest| rest.chars().next());
        let shown = next.map_or("<EOF>".to_owned(), String::from);
        let after = Place { column: place.column.saturating_add(1), ..place };
        (after, format!("mismatched character '{shown}' expecting '='"))
    } else if token.kind == TokenKind::Unterminated {
        let close = match content.chars().next() {
            Some('\'') => "'",
            Some('"') => "\"",
            Some('$') => "$",
            _ => "*/",
        };
        let lines = content.bytes().filter(|byte| *byte == b'\n').count() as u32;
        let last = content.rsplit('\n').next().unwrap_or_default().chars().count() as u32;
        let column = if lines == 0 { place.column + last } else { last };
        let end = Place { line: place.line + lines, column, length: 0 };
        (end, format!("mismatched character '<EOF>' expecting '{close}'"))
    } else {
        (place, format!("no viable alternative at character '{content}'"))
    };
    RequestError::Syntax { message: format!("line {}:{} {problem}", place.line, place.column), place: Some(place) }
}
