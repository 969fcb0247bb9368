//! `SELECT`.

use super::term::PRODUCT_OPERATORS;
use super::{Parsed, Parser};
use crate::ast::{Attribute, CollectionKind, Select, SelectedColumn, Selector, Statement, Term};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn select(&mut self) -> Parsed<Statement> {
        self.expect_word("SELECT")?;
        let json = self.at_word("JSON") && !matches!(self.peek(1).kind, TokenKind::Comma) && !self.is_word(1, "FROM");
        if json {
            self.advance();
        }
        let distinct =
            self.at_word("DISTINCT") && !matches!(self.peek(1).kind, TokenKind::Comma) && !self.is_word(1, "FROM");
        if distinct {
            self.advance();
        }
        let columns = self.selected_columns()?;
        self.expect_word("FROM")?;
        let table = self.table_name()?;
        let relations = if self.accept_word("WHERE") { self.relations()? } else { Vec::new() };
        let group_by = if self.accept_word("GROUP") {
            self.expect_word("BY")?;
            let selectors = self.comma_list(Self::selector)?;
            self.value_ended = Some(self.position);
            selectors
        } else {
            Vec::new()
        };
        let order_by = if self.accept_word("ORDER") {
            self.expect_word("BY")?;
            self.comma_list(Self::ordering)?
        } else {
            Vec::new()
        };
        let per_partition_limit = if self.accept_word("PER") {
            self.expect_word("PARTITION")?;
            self.expect_word("LIMIT")?;
            Some(self.number_or_marker()?)
        } else {
            None
        };
        let limit = if self.accept_word("LIMIT") { Some(self.number_or_marker()?) } else { None };
        let allow_filtering = self.accept_word("ALLOW");
        if allow_filtering {
            self.expect_word("FILTERING")?;
        }
        Ok(Statement::Select(Box::new(Select {
            json,
            distinct,
            columns,
            table,
            relations,
            group_by,
            order_by,
            per_partition_limit,
            limit,
            allow_filtering,
        })))
    }

    fn ordering(&mut self) -> Parsed<(crate::ast::Name, bool)> {
        let column = self.name()?;
        let descending = self.accept_word("DESC");
        if !descending {
            self.accept_word("ASC");
        }
        Ok((column, descending))
    }

    /// What is selected; nothing stands for `*`.
    pub(super) fn selected_columns(&mut self) -> Parsed<Vec<SelectedColumn>> {
        if self.accept(TokenKind::Star) {
            return Ok(Vec::new());
        }
        let mut began = self.position;
        let columns = self.comma_list(|parser| {
            began = parser.position;
            parser.selected_column()
        })?;
        let is_bare = columns.last().is_some_and(|last| {
            last.alias.is_none() && matches!(last.selector, Selector::Column(_) | Selector::Field(..))
        });
        if is_bare && !self.at_word("FROM") {
            return Err(self.no_alternative_since(self.position - began));
        }
        Ok(columns)
    }

    fn selected_column(&mut self) -> Parsed<SelectedColumn> {
        let selector = self.selector()?;
        let alias = if self.accept_word("AS") { Some(self.name()?) } else { None };
        Ok(SelectedColumn { selector, alias })
    }

    fn selector(&mut self) -> Parsed<Selector> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(&[(TokenKind::Plus, '+'), (TokenKind::Minus, '-')]) {
            left = Selector::Operation(operator, vec![left, self.product()?]);
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<Selector> {
        let mut left = self.signed()?;
        while let Some(operator) = self.operator(&PRODUCT_OPERATORS) {
            left = Selector::Operation(operator, vec![left, self.signed()?]);
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed<Selector> {
        let is_literal = matches!(self.peek(1).kind, TokenKind::Integer | TokenKind::Float | TokenKind::Duration)
            || ["NAN", "INFINITY"].iter().any(|word| self.is_word(1, word));
        if self.at(TokenKind::Minus) && !is_literal {
            self.advance();
            return Ok(Selector::Operation('-', vec![self.nested(Self::signed)?]));
        }
        self.accessed()
    }

    /// A selector with fields, elements and slices of it.
    fn accessed(&mut self) -> Parsed<Selector> {
        let mut selector = self.nested(Self::selector_inner)?;
        loop {
            if self.accept(TokenKind::Dot) {
                selector = Selector::Field(Box::new(selector), self.name()?);
            } else if self.accept(TokenKind::LeftBracket) {
                selector = self.element(selector)?;
            } else {
                return Ok(selector);
            }
        }
    }

    /// What follows the opening bracket.
    fn element(&mut self, of: Selector) -> Parsed<Selector> {
        let from = if self.at(TokenKind::Dot) { None } else { Some(self.term()?) };
        if let Some(key) = &from
            && self.accept(TokenKind::RightBracket)
        {
            return Ok(Selector::Element(Box::new(of), key.clone()));
        }
        self.expect(TokenKind::Dot)?;
        self.expect(TokenKind::Dot)?;
        let to = if self.at(TokenKind::RightBracket) { None } else { Some(self.term()?) };
        self.expect(TokenKind::RightBracket)?;
        Ok(Selector::Slice(Box::new(of), from, to))
    }

    /// `(a + b)`; a tuple or a value with its type is a term.
    fn in_parentheses(&mut self) -> Parsed<Selector> {
        let (position, markers, depth) = (self.position, self.markers, self.depth);
        match self.simple_term() {
            Ok(term) => Ok(Selector::Term(term)),
            Err(error) => {
                (self.position, self.markers, self.depth) = (position, markers, depth);
                self.advance();
                let mut inner = self.comma_list(|parser| parser.nested(Self::selector)).map_err(|_| error.clone())?;
                if !self.accept(TokenKind::RightParen) {
                    return Err(error);
                }
                Ok(match inner.pop() {
                    Some(single) if inner.is_empty() => single,
                    last => Selector::Collection(CollectionKind::Tuple, inner.into_iter().chain(last).collect()),
                })
            }
        }
    }

    /// `[a, 1]` or `{a, 1}`; without anything selected in it, it is a term.
    fn in_brackets(&mut self) -> Parsed<Selector> {
        let (position, markers, depth) = (self.position, self.markers, self.depth);
        let error = match self.simple_term() {
            Ok(term) => return Ok(Selector::Term(term)),
            Err(error) => error,
        };
        (self.position, self.markers, self.depth) = (position, markers, depth);
        let (kind, close) = match self.advance().kind {
            TokenKind::LeftBracket => (CollectionKind::List, TokenKind::RightBracket),
            _ => (CollectionKind::Set, TokenKind::RightBrace),
        };
        let parts = self.comma_list(|parser| parser.nested(Self::selector)).map_err(|_| error.clone())?;
        if self.accept(close) { Ok(Selector::Collection(kind, parts)) } else { Err(error) }
    }

    fn selector_inner(&mut self) -> Parsed<Selector> {
        let is_call = self.peek(1).kind == TokenKind::LeftParen;
        if is_call && self.at(TokenKind::Word) {
            let word = self.current_text().to_ascii_uppercase();
            match word.as_str() {
                "COUNT" => {
                    if let Some(selector) = self.count_rows() {
                        return Ok(selector);
                    }
                }
                "WRITETIME" | "MAXWRITETIME" | "TTL" => {
                    self.position += 2;
                    let of = self.accessed()?;
                    self.expect(TokenKind::RightParen)?;
                    let attribute = match word.as_str() {
                        "WRITETIME" => Attribute::WriteTime,
                        "TTL" => Attribute::Ttl,
                        _ => Attribute::MaxWriteTime,
                    };
                    return Ok(Selector::Attribute(attribute, Box::new(of)));
                }
                "CAST" => {
                    self.position += 2;
                    let inner = self.selector()?;
                    self.expect_word("AS")?;
                    let type_name = self.type_name()?;
                    self.expect(TokenKind::RightParen)?;
                    return Ok(Selector::Cast(Box::new(inner), type_name));
                }
                "TOKEN" => {
                    let name = crate::ast::Name { text: "token".to_owned(), place: self.advance().place };
                    return Ok(Selector::Function(name, self.parenthesised(Self::selector)?));
                }
                _ => {}
            }
        }
        if self.at(TokenKind::LeftParen) {
            return self.in_parentheses();
        }
        if matches!(self.current().kind, TokenKind::LeftBracket | TokenKind::LeftBrace) {
            return self.in_brackets();
        }
        let is_literal = ["NULL", "TRUE", "FALSE", "NAN", "INFINITY"].iter().any(|word| self.at_word(word));
        if !self.is_name(0) || is_literal {
            let term = self.select_term()?;
            return Ok(Selector::Term(term));
        }
        let mut name = self.name()?;
        if self.at(TokenKind::Dot) && self.is_name(1) && self.peek(2).kind == TokenKind::LeftParen {
            self.advance();
            name.text = format!("{}.{}", name.text, self.name()?);
        }
        if !self.accept(TokenKind::LeftParen) {
            return Ok(Selector::Column(name));
        }
        let mut arguments = Vec::new();
        if !self.accept(TokenKind::RightParen) {
            arguments = self.comma_list(Self::selector)?;
            self.expect(TokenKind::RightParen)?;
        }
        Ok(Selector::Function(name, arguments))
    }

    fn select_term(&mut self) -> Parsed<Term> {
        if self.at_word("FROM") || self.at(TokenKind::End) {
            return Err(self.no_alternative());
        }
        self.simple_term()
    }

    /// `COUNT(*)` and `COUNT(1)`.
    fn count_rows(&mut self) -> Option<Selector> {
        let counts_rows = matches!(self.peek(2).kind, TokenKind::Star)
            || (self.peek(2).kind == TokenKind::Integer && self.peek(2).span.of(self.text) == "1");
        if !counts_rows || self.peek(3).kind != TokenKind::RightParen {
            return None;
        }
        self.position += 4;
        Some(Selector::CountRows)
    }
}
