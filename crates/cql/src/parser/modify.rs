//! `INSERT`, `UPDATE`, `DELETE`.

use quorate_model::request::RequestError;

use super::{Parsed, Parser};
use crate::ast::{Assignment, Change, Delete, DeleteTarget, Insert, Name, Statement, Term, TermKind, Update, Using};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Parsed<Statement> {
        self.expect_word("INSERT")?;
        self.expect_word("INTO")?;
        let table = self.table_name()?;
        let json = self.accept_word("JSON");
        let (mut columns, mut values, mut unset) = (Vec::new(), Vec::new(), false);
        if json {
            values.push(self.simple_term()?);
            if self.accept_word("DEFAULT") && !self.accept_word("NULL") {
                self.expect_word("UNSET")?;
                unset = true;
            }
        } else {
            columns = self.parenthesised(Self::name)?;
            self.expect_word("VALUES")?;
            values = self.parenthesised(Self::term)?;
        }
        let if_not_exists = self.accept_word("IF");
        if if_not_exists {
            self.expect_word("NOT")?;
            self.expect_word("EXISTS")?;
        }
        let using = self.using(true)?;
        let json = json.then_some(unset);
        Ok(Statement::Insert(Box::new(Insert { table, columns, values, json, if_not_exists, using })))
    }

    pub(super) fn update(&mut self) -> Parsed<Statement> {
        self.expect_word("UPDATE")?;
        let table = self.table_name()?;
        let using = self.using(true)?;
        self.expect_word("SET")?;
        let assignments = self.comma_list(Self::assignment)?;
        let relations = self.required_where()?;
        let conditional = self.condition()?;
        Ok(Statement::Update(Box::new(Update { table, using, assignments, relations, conditional })))
    }

    pub(super) fn delete(&mut self) -> Parsed<Statement> {
        self.expect_word("DELETE")?;
        let targets = if self.at_word("FROM") { Vec::new() } else { self.comma_list(Self::delete_target)? };
        self.expect_word("FROM")?;
        let table = self.table_name()?;
        let using = self.using(false)?;
        let relations = self.required_where()?;
        let conditional = self.condition()?;
        Ok(Statement::Delete(Box::new(Delete { table, targets, using, relations, conditional })))
    }

    fn delete_target(&mut self) -> Parsed<DeleteTarget> {
        let column = self.name()?;
        if self.accept(TokenKind::LeftBracket) {
            let key = self.term()?;
            self.expect(TokenKind::RightBracket)?;
            return Ok(DeleteTarget::Element(column, key));
        }
        if self.accept(TokenKind::Dot) {
            return Ok(DeleteTarget::Field(column, self.name()?));
        }
        Ok(DeleteTarget::Column(column))
    }

    /// `USING TIMESTAMP x AND TTL y`, if present.
    pub(super) fn using(&mut self, with_ttl: bool) -> Parsed<Using> {
        let mut using = Using::default();
        if !self.accept_word("USING") {
            return Ok(using);
        }
        loop {
            if !with_ttl {
                self.expect_word("TIMESTAMP")?;
                using.timestamp = Some(self.number_or_marker()?);
                return Ok(using);
            }
            let slot = if self.accept_word("TIMESTAMP") {
                &mut using.timestamp
            } else if self.accept_word("TTL") {
                &mut using.ttl
            } else {
                return Err(self.no_alternative());
            };
            // Of two the last stands, as in Cassandra; but a marker must not be read by nobody.
            if let Some(Term { kind: TermKind::Marker(_), place }) = slot {
                let message = "USING names a value twice, first by a bind marker".to_owned();
                return Err(RequestError::Invalid { message, place: Some(*place) });
            }
            *slot = Some(self.number_or_marker()?);
            if !self.accept_word("AND") {
                return Ok(using);
            }
        }
    }

    fn assignment(&mut self) -> Parsed<Assignment> {
        let column = self.name()?;
        let change = if self.accept(TokenKind::LeftBracket) {
            let key = self.term()?;
            self.expect(TokenKind::RightBracket)?;
            self.expect(TokenKind::Equal)?;
            Change::Element(key, self.term()?)
        } else if self.accept(TokenKind::Dot) {
            let field = self.name()?;
            self.expect(TokenKind::Equal)?;
            Change::Field(field, self.term()?)
        } else if self.accept(TokenKind::PlusEqual) {
            Change::Append(self.term()?)
        } else if self.accept(TokenKind::MinusEqual) {
            Change::Remove(self.term()?)
        } else if self.accept(TokenKind::Equal) {
            self.assigned_value(&column)?
        } else {
            return Err(self.no_alternative());
        };
        Ok(Assignment { column, change })
    }

    /// What follows `column =`: a value, or the column itself plus or minus something.
    fn assigned_value(&mut self, column: &Name) -> Parsed<Change> {
        let next = self.peek(1).kind;
        if self.is_name(0) && matches!(next, TokenKind::Plus | TokenKind::Minus) {
            let same = self.name()?;
            let adds = self.accept(TokenKind::Plus);
            if !adds {
                self.advance();
            }
            if !adds && self.is_name(0) && self.peek(1).kind != TokenKind::LeftParen {
                return Err(self.no_alternative());
            }
            let value = self.term()?;
            self.check_same(column, &same)?;
            return Ok(if adds { Change::Append(value) } else { Change::Remove(value) });
        }
        // `c = c -1` comes as the name and a negative number only in Cassandra; here the sign is a token of its own.
        let first = self.simple_term()?;
        let adds_column = self.at(TokenKind::Plus)
            && self.is_name_after_plus()
            && self.peek(2).kind != TokenKind::LeftParen
            && self.peek(2).kind != TokenKind::Dot;
        if adds_column {
            self.advance();
            let same = self.name()?;
            self.check_same(column, &same)?;
            return Ok(Change::Prepend(first));
        }
        Ok(Change::Set(self.term_after(first)?))
    }

    fn is_name_after_plus(&self) -> bool {
        self.is_name(1) && !["NULL", "TRUE", "FALSE"].iter().any(|word| self.is_word(1, word))
    }

    fn check_same(&self, column: &Name, same: &Name) -> Parsed<()> {
        if column.text == same.text {
            return Ok(());
        }
        Err(RequestError::Syntax {
            message: format!("Only expressions of the form X = X +<value> are supported, not {column} = {same} + …"),
            place: Some(same.place),
        })
    }
}

/// A value for messages that show the whole assignment.
pub(crate) fn show_assignment(column: &Name, change: &Change) -> String {
    let shown = |term: &Term| match &term.kind {
        TermKind::Marker(_) => "?".to_owned(),
        _ => term.to_string(),
    };
    match change {
        Change::Set(value) => format!("{column} = {}", shown(value)),
        Change::Append(value) => format!("{column} = {column} + {}", shown(value)),
        Change::Prepend(value) => format!("{column} = {} + {column}", shown(value)),
        Change::Remove(value) => format!("{column} = {column} - {}", shown(value)),
        Change::Element(key, value) => format!("{column}[{}] = {}", shown(key), shown(value)),
        Change::Field(field, value) => format!("{column}.{field} = {}", shown(value)),
    }
}
