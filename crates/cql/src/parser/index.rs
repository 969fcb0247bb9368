//! `CREATE INDEX`.

use quorate_model::IndexPart;

use super::{Parsed, Parser};
use crate::ast::{CreateIndex, Name, Statement};
use crate::lexer::TokenKind;

const MODIFIERS: [(&str, IndexPart); 4] = [
    ("VALUES", IndexPart::Values),
    ("KEYS", IndexPart::Keys),
    ("ENTRIES", IndexPart::Entries),
    ("FULL", IndexPart::Full),
];

impl Parser<'_> {
    /// Behind `CREATE [CUSTOM] INDEX`.
    pub(super) fn create_index(&mut self, is_custom: bool) -> Parsed<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let name = if self.at_word("ON") { None } else { Some(self.name()?) };
        self.expect_word("ON")?;
        let table = self.table_name()?;
        self.expect(TokenKind::LeftParen)?;
        let targets = if self.at(TokenKind::RightParen) { Vec::new() } else { self.comma_list(Self::index_target)? };
        self.expect(TokenKind::RightParen)?;
        let mut class = None;
        if self.accept_word("USING") {
            if !self.at(TokenKind::String) {
                return Err(self.mismatched("STRING_LITERAL"));
            }
            let text = self.current_text();
            class = Some(text.get(1..text.len() - 1).unwrap_or_default().replace("''", "'"));
            self.advance();
        }
        let properties = if self.accept_word("WITH") { self.properties()? } else { Vec::new() };
        let create = CreateIndex { name, if_not_exists, is_custom, table, targets, class, properties };
        Ok(Statement::CreateIndex(Box::new(create)))
    }

    fn index_target(&mut self) -> Parsed<(Option<IndexPart>, Name)> {
        let is_call = self.peek(1).kind == TokenKind::LeftParen;
        let modifier = MODIFIERS.iter().find(|(word, _)| is_call && self.at_word(word));
        let Some((_, part)) = modifier else { return Ok((None, self.name()?)) };
        self.advance();
        self.expect(TokenKind::LeftParen)?;
        let name = self.name()?;
        self.expect(TokenKind::RightParen)?;
        Ok((Some(*part), name))
    }
}
