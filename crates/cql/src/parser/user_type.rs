//! `CREATE TYPE`, `ALTER TYPE`.

use super::{Parsed, Parser};
use crate::ast::{Statement, TypeChange};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn create_type(&mut self) -> Parsed<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.table_name()?;
        self.expect(TokenKind::LeftParen)?;
        let mut fields = Vec::new();
        loop {
            if !fields.is_empty() && matches!(self.current().kind, TokenKind::Comma | TokenKind::RightParen) {
                // A comma too many is no harm.
            } else {
                fields.push((self.name()?, self.type_name()?));
            }
            if !self.accept(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen)?;
        Ok(Statement::CreateType { name, if_not_exists, fields })
    }

    pub(super) fn alter_type(&mut self) -> Parsed<Statement> {
        let if_exists = self.if_exists()?;
        let name = self.table_name()?;
        let change = self.type_change()?;
        Ok(Statement::AlterType { name, if_exists, change })
    }

    fn type_change(&mut self) -> Parsed<TypeChange> {
        if self.accept_word("ADD") {
            let if_not_exists = self.if_not_exists()?;
            return Ok(TypeChange::Add { name: self.name()?, type_name: self.type_name()?, if_not_exists });
        }
        if self.accept_word("RENAME") {
            let if_exists = self.if_exists()?;
            let mut fields = Vec::new();
            loop {
                let from = self.name()?;
                self.expect_word("TO")?;
                fields.push((from, self.name()?));
                if !self.accept_word("AND") {
                    return Ok(TypeChange::Rename { fields, if_exists });
                }
            }
        }
        if self.accept_word("ALTER") {
            self.name()?;
            self.expect_word("TYPE")?;
            self.type_name()?;
            return Ok(TypeChange::FieldType);
        }
        Err(self.no_alternative())
    }
}
