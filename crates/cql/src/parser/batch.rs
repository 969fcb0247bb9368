//! `BEGIN … BATCH … APPLY BATCH`.

use quorate_model::request::BatchKind;

use super::{Parsed, Parser};
use crate::ast::{Batch, Statement};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn batch(&mut self) -> Parsed<Statement> {
        self.expect_word("BEGIN")?;
        let kind = if self.accept_word("UNLOGGED") {
            BatchKind::Unlogged
        } else if self.accept_word("COUNTER") {
            BatchKind::Counter
        } else {
            BatchKind::Logged
        };
        self.expect_word("BATCH")?;
        let using = self.using(true)?;
        let mut statements = Vec::new();
        loop {
            let statement = if self.at_word("INSERT") {
                self.insert()?
            } else if self.at_word("UPDATE") {
                self.update()?
            } else if self.at_word("DELETE") {
                self.delete()?
            } else {
                break;
            };
            self.accept(TokenKind::Semicolon);
            statements.push(statement);
        }
        self.expect_word("APPLY")?;
        self.expect_word("BATCH")?;
        Ok(Statement::Batch(Box::new(Batch { kind, using, statements })))
    }
}
