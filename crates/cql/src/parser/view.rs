//! Materialized views: read as they are written, and refused.

use super::{Parsed, Parser, unsupported};
use crate::ast::Statement;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// Behind `CREATE MATERIALIZED`.
    pub(super) fn create_view(&mut self) -> Parsed<Statement> {
        self.expect_word("VIEW")?;
        self.if_not_exists()?;
        self.table_name()?;
        self.expect_word("AS")?;
        self.expect_word("SELECT")?;
        self.selected_columns()?;
        self.expect_word("FROM")?;
        self.table_name()?;
        if self.accept_word("WHERE") {
            self.relations()?;
            self.value_ended = None;
        }
        self.expect_word("PRIMARY")?;
        self.expect_word("KEY")?;
        self.primary_key()?;
        if self.accept_word("WITH") {
            loop {
                self.view_option()?;
                if !self.accept_word("AND") {
                    break;
                }
            }
        }
        if self.markers > 0 {
            return Err(self.no_markers("CREATE MATERIALIZED VIEW"));
        }
        unsupported("CREATE MATERIALIZED VIEW")
    }

    fn view_option(&mut self) -> Parsed<()> {
        if self.accept_words(&["COMPACT", "STORAGE"]) {
            return Err(self.refused("COMPACT STORAGE tables are not allowed starting with version 4.0"));
        }
        if self.accept_words(&["CLUSTERING", "ORDER"]) {
            self.clustering_order()?;
            return Ok(());
        }
        self.property().map(drop)
    }

    /// Behind `ALTER MATERIALIZED`.
    pub(super) fn alter_view(&mut self) -> Parsed<Statement> {
        self.expect_word("VIEW")?;
        self.if_exists()?;
        self.table_name()?;
        self.expect_word("WITH")?;
        self.properties()?;
        unsupported("ALTER MATERIALIZED VIEW")
    }

    /// Behind `DROP MATERIALIZED`.
    pub(super) fn drop_view(&mut self) -> Parsed<Statement> {
        self.expect_word("VIEW")?;
        self.if_exists()?;
        self.table_name()?;
        unsupported("DROP MATERIALIZED VIEW")
    }

    /// Behind `CREATE TRIGGER`.
    pub(super) fn create_trigger(&mut self) -> Parsed<Statement> {
        self.if_not_exists()?;
        self.name()?;
        self.expect_word("ON")?;
        self.table_name()?;
        self.expect_word("USING")?;
        self.expect(TokenKind::String)?;
        unsupported("CREATE TRIGGER")
    }

    /// Behind `DROP TRIGGER`.
    pub(super) fn drop_trigger(&mut self) -> Parsed<Statement> {
        self.if_exists()?;
        self.name()?;
        self.expect_word("ON")?;
        self.table_name()?;
        unsupported("DROP TRIGGER")
    }
}
