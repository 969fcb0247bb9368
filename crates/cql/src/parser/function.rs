//! Functions and aggregates that users define: read as they are written, and refused.

use quorate_model::request::RequestError;

use super::{Parsed, Parser, unsupported};
use crate::ast::Statement;
use crate::lexer::TokenKind;

/// Keywords that may be names, but not of functions.
const NO_FUNCTION: [&str; 7] = ["TTL", "WRITETIME", "MAXWRITETIME", "KEY", "CAST", "JSON", "DISTINCT"];

impl Parser<'_> {
    /// The name of a function, perhaps with its keyspace.
    pub(super) fn function_name(&mut self) -> Parsed<()> {
        if self.is_name(0) && self.peek(1).kind == TokenKind::Dot {
            self.name()?;
            self.expect(TokenKind::Dot)?;
        }
        self.bare_function_name()
    }

    fn bare_function_name(&mut self) -> Parsed<()> {
        if self.accept_word("TOKEN") {
            return Ok(());
        }
        if NO_FUNCTION.iter().any(|word| self.at_word(word)) {
            return Err(self.no_alternative());
        }
        self.name().map(drop)
    }

    /// `(type, …)`, which may be empty.
    pub(super) fn argument_types(&mut self) -> Parsed<()> {
        self.expect(TokenKind::LeftParen)?;
        if self.accept(TokenKind::RightParen) {
            return Ok(());
        }
        // A keyword that no type begins with ends the list.
        if !self.is_name(0) && self.current().kind == TokenKind::Word && !self.at_word("SET") {
            return Err(self.mismatched(TokenKind::RightParen.symbol()));
        }
        self.comma_list(Self::type_name)?;
        self.expect(TokenKind::RightParen).map(drop)
    }

    /// Behind `CREATE [OR REPLACE] FUNCTION`.
    pub(super) fn create_function(&mut self, replaces: bool) -> Parsed<Statement> {
        let if_not_exists = self.if_not_exists()?;
        self.function_name()?;
        self.expect(TokenKind::LeftParen)?;
        if !self.accept(TokenKind::RightParen) {
            self.comma_list(|parser| {
                parser.name()?;
                parser.type_name()
            })?;
            self.expect(TokenKind::RightParen)?;
        }
        if self.accept_word("RETURNS") {
            self.expect_word("NULL")?;
        } else if !self.accept_word("CALLED") {
            return Err(self.no_alternative());
        }
        for word in ["ON", "NULL", "INPUT", "RETURNS"] {
            self.expect_word(word)?;
        }
        self.type_name()?;
        self.expect_word("LANGUAGE")?;
        if !self.is_identifier(0) {
            return Err(self.mismatched("IDENT"));
        }
        self.advance();
        self.expect_word("AS")?;
        if !matches!(self.current().kind, TokenKind::String | TokenKind::DollarString) {
            return Err(self.mismatched(TokenKind::String.symbol()));
        }
        self.advance();
        refuse_both(replaces, if_not_exists)?;
        unsupported("CREATE FUNCTION")
    }

    /// Behind `CREATE [OR REPLACE] AGGREGATE`.
    pub(super) fn create_aggregate(&mut self, replaces: bool) -> Parsed<Statement> {
        let if_not_exists = self.if_not_exists()?;
        self.function_name()?;
        self.argument_types()?;
        self.expect_word("SFUNC")?;
        self.bare_function_name()?;
        self.expect_word("STYPE")?;
        self.type_name()?;
        if self.accept_word("FINALFUNC") {
            self.bare_function_name()?;
        }
        if self.accept_word("INITCOND") {
            self.term()?;
            self.value_ended = Some(self.position);
        }
        refuse_both(replaces, if_not_exists)?;
        unsupported("CREATE AGGREGATE")
    }

    /// Behind `DROP FUNCTION` or `DROP AGGREGATE`.
    pub(super) fn drop_function(&mut self, feature: &str) -> Parsed<Statement> {
        self.if_exists()?;
        self.function_name()?;
        if self.at(TokenKind::LeftParen) {
            self.argument_types()?;
        }
        unsupported(feature)
    }
}

fn refuse_both(replaces: bool, if_not_exists: bool) -> Parsed<()> {
    if replaces && if_not_exists {
        return Err(RequestError::invalid("Cannot use both 'OR REPLACE' and 'IF NOT EXISTS' directives"));
    }
    Ok(())
}
