//! Values and types.

use quorate_model::request::RequestError;

use super::{Parsed, Parser};
use crate::ast::{Constant, Term, TermKind, TypeName};
use crate::lexer::TokenKind;

/// Operators that bind more tightly than sums.
pub(super) const PRODUCT_OPERATORS: [(TokenKind, char); 3] =
    [(TokenKind::Star, '*'), (TokenKind::Slash, '/'), (TokenKind::Percent, '%')];

impl Parser<'_> {
    /// A value, arithmetic included.
    pub(super) fn term(&mut self) -> Parsed<Term> {
        let first = self.simple_term()?;
        self.term_after(first)
    }

    /// Goes on with arithmetic after a first operand.
    pub(super) fn term_after(&mut self, first: Term) -> Parsed<Term> {
        let mut left = self.product_after(first)?;
        while let Some(operator) = self.operator(&[(TokenKind::Plus, '+'), (TokenKind::Minus, '-')]) {
            let first = self.nested(Self::simple_term)?;
            let right = self.product_after(first)?;
            let place = left.place;
            left = Term { kind: TermKind::Operation(operator, vec![left, right]), place };
        }
        Ok(left)
    }

    fn product_after(&mut self, first: Term) -> Parsed<Term> {
        let mut left = first;
        while let Some(operator) = self.operator(&PRODUCT_OPERATORS) {
            let right = self.nested(Self::simple_term)?;
            let place = left.place;
            left = Term { kind: TermKind::Operation(operator, vec![left, right]), place };
        }
        Ok(left)
    }

    /// Takes an operator if one of these stands here.
    pub(super) fn operator(&mut self, operators: &[(TokenKind, char)]) -> Option<char> {
        let (_, operator) = operators.iter().find(|(kind, _)| self.at(*kind))?;
        self.advance();
        Some(*operator)
    }

    /// A value without arithmetic.
    pub(super) fn simple_term(&mut self) -> Parsed<Term> {
        self.nested(Self::simple_term_inner)
    }

    fn simple_term_inner(&mut self) -> Parsed<Term> {
        if let Some((marker, place)) = self.marker()? {
            return Ok(Term { kind: TermKind::Marker(marker), place });
        }
        let token = self.current();
        let place = token.place;
        let text = self.current_text();
        let constant = |kind, text: String| TermKind::Constant(kind, text);
        let kind = match token.kind {
            TokenKind::String => constant(Constant::String, text[1..text.len() - 1].replace("''", "'")),
            TokenKind::DollarString => constant(Constant::String, text[2..text.len() - 2].to_owned()),
            TokenKind::Integer => constant(Constant::Integer, text.to_owned()),
            TokenKind::Float => constant(Constant::Float, text.to_owned()),
            TokenKind::Duration => constant(Constant::Duration, text.to_owned()),
            TokenKind::Uuid => constant(Constant::Uuid, text.to_owned()),
            TokenKind::Blob => constant(Constant::Hex, text.to_owned()),
            TokenKind::Minus => return self.negative(),
            TokenKind::LeftBracket => {
                self.advance();
                let items = self.items_until(TokenKind::RightBracket)?;
                return Ok(Term { kind: TermKind::List(items), place });
            }
            TokenKind::LeftParen => return self.tuple_or_hint(),
            TokenKind::LeftBrace => return self.braces(),
            TokenKind::Word => return self.word_term(),
            TokenKind::QuotedName if self.peek(1).kind == TokenKind::LeftParen => return self.function(),
            _ => return Err(self.no_alternative()),
        };
        self.advance();
        Ok(Term { kind, place })
    }

    fn negative(&mut self) -> Parsed<Term> {
        let place = self.advance().place;
        let text = self.current_text();
        let kind = match self.current().kind {
            TokenKind::Integer => Constant::Integer,
            TokenKind::Float => Constant::Float,
            TokenKind::Duration => Constant::Duration,
            TokenKind::Word if ["NAN", "INFINITY"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
                Constant::Float
            }
            _ => {
                let operand = self.simple_term()?;
                return Ok(Term { kind: TermKind::Operation('-', vec![operand]), place });
            }
        };
        self.advance();
        Ok(Term { kind: TermKind::Constant(kind, format!("-{text}")), place })
    }

    fn word_term(&mut self) -> Parsed<Term> {
        let place = self.place();
        let text = self.current_text();
        let kind = match text.to_ascii_uppercase().as_str() {
            "NULL" => TermKind::Null,
            "TRUE" | "FALSE" => TermKind::Constant(Constant::Boolean, text.to_ascii_lowercase()),
            "NAN" | "INFINITY" => TermKind::Constant(Constant::Float, text.to_owned()),
            _ if self.peek(1).kind == TokenKind::LeftParen
                || (self.peek(1).kind == TokenKind::Dot && self.peek(3).kind == TokenKind::LeftParen) =>
            {
                return self.function();
            }
            _ => return Err(self.no_alternative()),
        };
        self.advance();
        Ok(Term { kind, place })
    }

    fn function(&mut self) -> Parsed<Term> {
        let place = self.place();
        let mut name = if self.accept_word("TOKEN") { "token".to_owned() } else { self.name()?.text };
        if self.accept(TokenKind::Dot) {
            name = format!("{name}.{}", self.name()?);
        }
        self.expect(TokenKind::LeftParen)?;
        let arguments = self.items_until(TokenKind::RightParen)?;
        Ok(Term { kind: TermKind::Function(name, arguments), place })
    }

    /// `a, b, …` up to the closing token, which is taken; may be empty.
    pub(super) fn items_until(&mut self, close: TokenKind) -> Parsed<Vec<Term>> {
        if self.accept(close) {
            return Ok(Vec::new());
        }
        let items = self.comma_list(Self::term)?;
        self.expect(close)?;
        Ok(items)
    }

    /// `(a, b)` or `(type)value`.
    fn tuple_or_hint(&mut self) -> Parsed<Term> {
        let start = self.position;
        let place = self.advance().place;
        let looks_like_type = matches!(self.current().kind, TokenKind::Word | TokenKind::QuotedName)
            && self.peek(1).kind != TokenKind::LeftParen;
        let is_literal = ["NULL", "TRUE", "FALSE", "NAN", "INFINITY"].iter().any(|word| self.at_word(word));
        if looks_like_type && !is_literal {
            let type_name = self.type_name()?;
            if self.accept(TokenKind::RightParen) {
                let value = self.simple_term()?;
                return Ok(Term { kind: TermKind::Hint(type_name, Box::new(value)), place });
            }
            self.position = start + 1;
        }
        let items = self.comma_list(Self::term)?;
        self.expect(TokenKind::RightParen)?;
        Ok(Term { kind: TermKind::Tuple(items), place })
    }

    /// A set, a map or a user type's value.
    fn braces(&mut self) -> Parsed<Term> {
        let place = self.advance().place;
        if self.accept(TokenKind::RightBrace) {
            return Ok(Term { kind: TermKind::Set(Vec::new()), place });
        }
        // `true` and `false` are no keywords, and yet no names.
        let is_boolean = ["TRUE", "FALSE"].iter().any(|word| self.at_word(word));
        if self.is_name(0) && !is_boolean && self.peek(1).kind == TokenKind::Colon {
            let fields = self.comma_list(|parser| {
                let name = parser.name()?;
                parser.expect(TokenKind::Colon)?;
                Ok((name, parser.term()?))
            })?;
            self.expect(TokenKind::RightBrace)?;
            return Ok(Term { kind: TermKind::Fields(fields), place });
        }
        let first = self.term()?;
        if !self.accept(TokenKind::Colon) {
            let mut items = vec![first];
            while self.accept(TokenKind::Comma) {
                items.push(self.term()?);
            }
            self.expect(TokenKind::RightBrace)?;
            return Ok(Term { kind: TermKind::Set(items), place });
        }
        let mut entries = vec![(first, self.term()?)];
        while self.accept(TokenKind::Comma) {
            let key = self.term()?;
            self.expect(TokenKind::Colon)?;
            entries.push((key, self.term()?));
        }
        self.expect(TokenKind::RightBrace)?;
        Ok(Term { kind: TermKind::Map(entries), place })
    }

    /// A type.
    pub(super) fn type_name(&mut self) -> Parsed<TypeName> {
        self.nested(Self::type_name_inner)
    }

    fn type_name_inner(&mut self) -> Parsed<TypeName> {
        if self.at(TokenKind::String) {
            let text = self.current_text();
            self.advance();
            return Ok(TypeName::Custom(text[1..text.len() - 1].to_owned()));
        }
        // `set` is reserved, but begins a type.
        let is_set = self.at_word("SET") && self.peek(1).kind == TokenKind::Less;
        let name = if is_set {
            self.advance();
            "set".to_owned()
        } else {
            self.name()?.text
        };
        if self.accept(TokenKind::Dot) {
            return Ok(TypeName::Plain(Some(name), self.name()?.text));
        }
        if !self.at(TokenKind::Less) {
            // A native type's keyword is told from a user type's name by what follows.
            if crate::types::is_native(&name) && self.is_identifier(0) {
                return Err(self.no_alternative_since(1));
            }
            return Ok(TypeName::Plain(None, name));
        }
        self.advance();
        let first = Box::new(self.type_name()?);
        let type_name = match name.as_str() {
            "list" => TypeName::List(first),
            "set" => TypeName::Set(first),
            "frozen" => TypeName::Frozen(first),
            "map" => {
                self.expect(TokenKind::Comma)?;
                TypeName::Map(first, Box::new(self.type_name()?))
            }
            "vector" => {
                self.expect(TokenKind::Comma)?;
                TypeName::Vector(first, self.dimension()?)
            }
            "tuple" => {
                let mut items = vec![*first];
                while self.accept(TokenKind::Comma) {
                    items.push(self.type_name()?);
                }
                TypeName::Tuple(items)
            }
            _ => return Err(self.no_alternative()),
        };
        self.expect(TokenKind::Greater)?;
        Ok(type_name)
    }

    fn dimension(&mut self) -> Parsed<u16> {
        let place = self.place();
        let text = self.current_text();
        self.expect(TokenKind::Integer)?;
        let wrong = || RequestError::Invalid {
            message: format!("vectors may only have between 1 and 8192 dimensions (got {text})"),
            place: Some(place),
        };
        text.parse::<u16>().ok().filter(|dimension| (1..=8192).contains(dimension)).ok_or_else(wrong)
    }

    /// A whole number or a marker: `LIMIT`, `TTL`, `TIMESTAMP`.
    pub(super) fn number_or_marker(&mut self) -> Parsed<Term> {
        let sign = usize::from(self.at(TokenKind::Minus));
        match self.peek(sign).kind {
            TokenKind::Integer => self.simple_term(),
            TokenKind::QuestionMark | TokenKind::Colon if sign == 0 => self.simple_term(),
            _ => {
                self.position += sign;
                Err(self.no_alternative())
            }
        }
    }
}
