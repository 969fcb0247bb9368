//! `WHERE` and `IF`.

use super::{Parsed, Parser};
use crate::ast::{Operator, Relation, RelationTarget, RelationValue, Term, TermKind};
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// `WHERE relation AND relation …`, required.
    pub(super) fn required_where(&mut self) -> Parsed<Vec<Relation>> {
        self.expect_word("WHERE")?;
        self.relations()
    }

    /// Relations joined by `AND`.
    pub(super) fn relations(&mut self) -> Parsed<Vec<Relation>> {
        let mut relations: Vec<Relation> = Vec::new();
        loop {
            self.relation(&mut relations)?;
            let is_value =
                relations.last().is_some_and(|last| !matches!(last.operator, Operator::In | Operator::IsNotNull));
            self.value_ended = is_value.then_some(self.position);
            if !self.accept_word("AND") {
                return Ok(relations);
            }
        }
    }

    fn relation(&mut self, relations: &mut Vec<Relation>) -> Parsed<()> {
        if self.at_word("TOKEN") {
            self.advance();
            let columns = self.parenthesised(Self::name)?;
            let operator = self.comparison()?;
            let value = RelationValue::Term(self.term()?);
            relations.push(Relation { target: RelationTarget::Token(columns), operator, value });
            return Ok(());
        }
        if self.at(TokenKind::LeftParen) {
            return self.nested(|parser| parser.parenthesised_relation(relations));
        }
        let column = self.name()?;
        let target = if self.accept(TokenKind::LeftBracket) {
            let key = self.term()?;
            self.expect(TokenKind::RightBracket)?;
            RelationTarget::Element(column, key)
        } else {
            RelationTarget::Column(column)
        };
        let (operator, value) = self.operator_and_value()?;
        relations.push(Relation { target, operator, value });
        Ok(())
    }

    /// `(a, b) > (1, 2)`, or relations in parentheses.
    fn parenthesised_relation(&mut self, relations: &mut Vec<Relation>) -> Parsed<()> {
        let is_tuple = self.is_name(1) && matches!(self.peek(2).kind, TokenKind::Comma | TokenKind::RightParen);
        if !is_tuple {
            self.advance();
            self.nested(|parser| parser.relation(relations))?;
            self.expect(TokenKind::RightParen)?;
            return Ok(());
        }
        let columns = self.parenthesised(Self::name)?;
        let (operator, value) = self.operator_and_value()?;
        relations.push(Relation { target: RelationTarget::Columns(columns), operator, value });
        Ok(())
    }

    fn comparison(&mut self) -> Parsed<Operator> {
        let operator = match self.current().kind {
            TokenKind::Equal => Operator::Equal,
            TokenKind::Less => Operator::Less,
            TokenKind::LessEqual => Operator::LessEqual,
            TokenKind::Greater => Operator::Greater,
            TokenKind::GreaterEqual => Operator::GreaterEqual,
            TokenKind::NotEqual => Operator::NotEqual,
            _ => return Err(self.no_alternative()),
        };
        self.advance();
        Ok(operator)
    }

    fn operator_and_value(&mut self) -> Parsed<(Operator, RelationValue)> {
        if self.accept_word("IN") {
            return Ok((Operator::In, self.in_values()?));
        }
        if self.accept_words(&["CONTAINS", "KEY"]) {
            return Ok((Operator::ContainsKey, RelationValue::Term(self.term()?)));
        }
        if self.accept_word("CONTAINS") {
            return Ok((Operator::Contains, RelationValue::Term(self.term()?)));
        }
        if self.accept_word("LIKE") {
            return Ok((Operator::Like, RelationValue::Term(self.term()?)));
        }
        if self.at_word("IS") {
            let place = self.place();
            self.advance();
            self.expect_word("NOT")?;
            self.expect_word("NULL")?;
            return Ok((Operator::IsNotNull, RelationValue::Term(Term { kind: TermKind::Null, place })));
        }
        let operator = self.comparison()?;
        Ok((operator, RelationValue::Term(self.term()?)))
    }

    /// `?`, `(a, b)` or `()`.
    fn in_values(&mut self) -> Parsed<RelationValue> {
        if let Some((marker, place)) = self.marker()? {
            return Ok(RelationValue::Term(Term { kind: TermKind::Marker(marker), place }));
        }
        self.expect(TokenKind::LeftParen)?;
        if self.accept(TokenKind::RightParen) {
            return Ok(RelationValue::List(Vec::new()));
        }
        let items = self.comma_list(Self::term)?;
        self.expect(TokenKind::RightParen)?;
        Ok(RelationValue::List(items))
    }

    /// `IF EXISTS` or `IF conditions`, if present: taken, and only noted.
    pub(super) fn condition(&mut self) -> Parsed<bool> {
        if !self.accept_word("IF") {
            return Ok(false);
        }
        if self.accept_word("EXISTS") {
            if self.at_word("AND") {
                return Err(self.no_alternative_since(1));
            }
            return Ok(true);
        }
        loop {
            self.column_condition()?;
            self.value_ended = Some(self.position);
            if !self.accept_word("AND") {
                return Ok(true);
            }
        }
    }

    /// A condition on a column, on an element or on a field of it.
    fn column_condition(&mut self) -> Parsed<()> {
        self.name()?;
        let is_whole = if self.accept(TokenKind::Dot) {
            self.name()?;
            false
        } else if self.accept(TokenKind::LeftBracket) {
            self.term()?;
            if !self.accept(TokenKind::RightBracket) {
                return Err(self.no_alternative());
            }
            false
        } else {
            true
        };
        if self.accept_word("IN") {
            if !matches!(self.current().kind, TokenKind::LeftParen | TokenKind::QuestionMark | TokenKind::Colon) {
                return Err(self.no_alternative());
            }
            return self.in_values().map(drop);
        }
        if is_whole && self.accept_word("CONTAINS") {
            self.accept_word("KEY");
        } else {
            self.comparison()?;
        }
        self.term().map(drop)
    }
}
