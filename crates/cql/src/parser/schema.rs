//! `CREATE`, `ALTER`, `DROP`.

use quorate_model::request::RequestError;

use super::{Parsed, Parser, unsupported};
use crate::ast::{
    AlterKeyspace, AlterTable, ColumnDefinition, CreateKeyspace, CreateTable, Name, Property, Statement, TableChange,
    Term, TermKind,
};
use crate::lexer::TokenKind;

const DATA_MASKING: &str = "Dynamic data masking (MASKED WITH)";

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.accept_word("KEYSPACE") {
            let if_not_exists = self.if_not_exists()?;
            let name = self.name()?;
            self.expect_word("WITH")?;
            let properties = self.properties()?;
            return Ok(Statement::CreateKeyspace(CreateKeyspace { name, if_not_exists, properties }));
        }
        if self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY") {
            return self.create_table();
        }
        if self.accept_word("TYPE") {
            return self.create_type();
        }
        if self.accept_word("CUSTOM") {
            self.expect_word("INDEX")?;
            return self.create_index(true);
        }
        if self.accept_word("INDEX") {
            return self.create_index(false);
        }
        self.create_other()
    }

    /// What can be created, but not yet.
    fn create_other(&mut self) -> Parsed<Statement> {
        if self.accept_word("MATERIALIZED") {
            return self.create_view();
        }
        let before = self.position;
        let replaces = self.accept_words(&["OR", "REPLACE"]);
        if self.accept_word("FUNCTION") {
            return self.create_function(replaces);
        }
        if self.accept_word("AGGREGATE") {
            return self.create_aggregate(replaces);
        }
        // A lone `OR` is no beginning either.
        if replaces || self.accept_word("OR") {
            return Err(self.no_alternative_since(self.position - before + 1));
        }
        if self.accept_word("TRIGGER") {
            return self.create_trigger();
        }
        if self.accept_word("ROLE") {
            return self.create_role();
        }
        if self.accept_word("USER") {
            return self.create_user();
        }
        Err(self.no_alternative_since(1))
    }

    pub(super) fn alter(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.accept_word("KEYSPACE") {
            let if_exists = self.if_exists()?;
            let name = self.name()?;
            self.expect_word("WITH")?;
            let properties = self.properties()?;
            return Ok(Statement::AlterKeyspace(AlterKeyspace { name, if_exists, properties }));
        }
        if self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY") {
            let if_exists = self.if_exists()?;
            let table = self.table_name()?;
            let change = self.table_change()?;
            return Ok(Statement::AlterTable(AlterTable { table, if_exists, change }));
        }
        if self.accept_word("TYPE") {
            return self.alter_type();
        }
        if self.accept_word("MATERIALIZED") {
            return self.alter_view();
        }
        if self.accept_word("ROLE") {
            return self.alter_role();
        }
        if self.accept_word("USER") {
            return self.alter_user();
        }
        Err(self.no_alternative_since(1))
    }

    pub(super) fn drop(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.accept_word("KEYSPACE") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropKeyspace { name: self.name()?, if_exists });
        }
        if self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropTable { table: self.table_name()?, if_exists });
        }
        if self.accept_word("TYPE") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropType { name: self.table_name()?, if_exists });
        }
        if self.accept_word("INDEX") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropIndex { name: self.table_name()?, if_exists });
        }
        self.drop_other()
    }

    /// What can be dropped, but not yet.
    fn drop_other(&mut self) -> Parsed<Statement> {
        if self.accept_word("MATERIALIZED") {
            return self.drop_view();
        }
        if self.accept_word("FUNCTION") {
            return self.drop_function("DROP FUNCTION");
        }
        if self.accept_word("AGGREGATE") {
            return self.drop_function("DROP AGGREGATE");
        }
        if self.accept_word("TRIGGER") {
            return self.drop_trigger();
        }
        if self.accept_word("ROLE") {
            self.if_exists()?;
            self.role_name()?;
            return unsupported("DROP ROLE");
        }
        if self.accept_word("USER") {
            self.if_exists()?;
            self.user_name()?;
            return unsupported("DROP USER");
        }
        if self.accept_word("IDENTITY") {
            return self.drop_identity();
        }
        Err(self.no_alternative_since(1))
    }

    pub(super) fn if_not_exists(&mut self) -> Parsed<bool> {
        if !self.accept_word("IF") {
            return Ok(false);
        }
        self.expect_word("NOT")?;
        self.expect_word("EXISTS")?;
        Ok(true)
    }

    pub(super) fn if_exists(&mut self) -> Parsed<bool> {
        if !self.accept_word("IF") {
            return Ok(false);
        }
        self.expect_word("EXISTS")?;
        Ok(true)
    }

    fn create_table(&mut self) -> Parsed<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let table = self.table_name()?;
        let mut create = CreateTable {
            table,
            if_not_exists,
            columns: Vec::new(),
            primary_keys: Vec::new(),
            clustering_order: Vec::new(),
            compact_storage: false,
            properties: Vec::new(),
        };
        self.expect(TokenKind::LeftParen)?;
        loop {
            if !create.columns.is_empty() && matches!(self.current().kind, TokenKind::Comma | TokenKind::RightParen) {
                // A comma too many is no harm.
            } else if self.accept_words(&["PRIMARY", "KEY"]) {
                let key = self.primary_key()?;
                create.primary_keys.push(key);
            } else {
                let definition = self.column_definition()?;
                if self.accept_word("PRIMARY") {
                    self.expect_word("KEY")?;
                    create.primary_keys.push((vec![definition.name.clone()], Vec::new()));
                }
                create.columns.push(definition);
            }
            if !self.accept(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::RightParen)?;
        if self.accept_word("WITH") {
            loop {
                self.table_option(&mut create)?;
                if !self.accept_word("AND") {
                    break;
                }
            }
        }
        Ok(Statement::CreateTable(Box::new(create)))
    }

    fn table_option(&mut self, create: &mut CreateTable) -> Parsed<()> {
        if self.accept_words(&["COMPACT", "STORAGE"]) {
            create.compact_storage = true;
            return Ok(());
        }
        if self.accept_words(&["CLUSTERING", "ORDER"]) {
            create.clustering_order = self.clustering_order()?;
            return Ok(());
        }
        let property = self.property()?;
        create.properties.push(property);
        Ok(())
    }

    /// Behind `CLUSTERING ORDER`: columns, and whether they descend.
    pub(super) fn clustering_order(&mut self) -> Parsed<Vec<(Name, bool)>> {
        self.expect_word("BY")?;
        self.parenthesised(|parser| {
            let column = parser.name()?;
            if parser.accept_word("ASC") {
                return Ok((column, false));
            }
            if parser.accept_word("DESC") {
                return Ok((column, true));
            }
            Err(parser.no_alternative())
        })
    }

    /// `((a, b), c)`, `(a, b)`.
    pub(super) fn primary_key(&mut self) -> Parsed<(Vec<Name>, Vec<Name>)> {
        self.expect(TokenKind::LeftParen)?;
        let partition =
            if self.at(TokenKind::LeftParen) { self.parenthesised(Self::name)? } else { vec![self.name()?] };
        let mut clustering = Vec::new();
        while self.accept(TokenKind::Comma) {
            clustering.push(self.name()?);
        }
        self.expect(TokenKind::RightParen)?;
        Ok((partition, clustering))
    }

    fn column_definition(&mut self) -> Parsed<ColumnDefinition> {
        let name = self.name()?;
        let type_name = self.type_name()?;
        let is_static = self.accept_word("STATIC");
        let before = self.position;
        self.mask()?;
        if self.position > before && self.at_word("STATIC") {
            return Err(self.no_alternative_since(self.position - before));
        }
        Ok(ColumnDefinition { name, type_name, is_static })
    }

    /// `MASKED WITH function(…)` or `MASKED WITH DEFAULT`, if present: taken, and noted for the refusal.
    fn mask(&mut self) -> Parsed<()> {
        if !self.accept_word("MASKED") {
            return Ok(());
        }
        if !self.accept_word("WITH") {
            return Err(self.no_alternative_since(1));
        }
        if self.accept_word("DEFAULT") {
            if self.accept(TokenKind::LeftParen) {
                self.expect(TokenKind::RightParen)?;
            }
        } else if self.is_name(0) {
            self.function_name()?;
            if !self.accept(TokenKind::LeftParen) {
                return Err(self.no_alternative_since(1));
            }
            self.items_until(TokenKind::RightParen)?;
        } else {
            return Err(self.no_alternative_since(2));
        }
        self.unsupported_part = Some(DATA_MASKING);
        Ok(())
    }

    fn table_change(&mut self) -> Parsed<TableChange> {
        if self.accept_word("ADD") {
            let if_not_exists = self.if_not_exists()?;
            let columns = if self.at(TokenKind::LeftParen) {
                self.parenthesised(Self::column_definition)?
            } else {
                vec![self.column_definition()?]
            };
            return Ok(TableChange::Add { columns, if_not_exists });
        }
        if self.accept_word("DROP") {
            let if_exists = self.if_exists()?;
            let columns =
                if self.at(TokenKind::LeftParen) { self.parenthesised(Self::name)? } else { vec![self.name()?] };
            let mut timestamp = None;
            if self.accept_word("USING") {
                self.expect_word("TIMESTAMP")?;
                timestamp = Some(self.timestamp_literal()?);
            }
            return Ok(TableChange::Drop { columns, if_exists, timestamp });
        }
        if self.accept_word("RENAME") {
            let if_exists = self.if_exists()?;
            let mut columns = Vec::new();
            loop {
                let from = self.name()?;
                self.expect_word("TO")?;
                columns.push((from, self.name()?));
                if !self.accept_word("AND") {
                    return Ok(TableChange::Rename { columns, if_exists });
                }
            }
        }
        if self.accept_word("WITH") {
            return Ok(TableChange::With(self.properties()?));
        }
        if self.accept_word("ALTER") {
            return self.column_change();
        }
        Err(self.no_alternative())
    }

    /// Behind `ALTER TABLE t ALTER`.
    fn column_change(&mut self) -> Parsed<TableChange> {
        let conditional = self.if_exists()?;
        self.name()?;
        if self.accept_word("DROP") {
            self.expect_word("MASKED")?;
            self.unsupported_part = Some(DATA_MASKING);
        } else if self.at_word("MASKED") {
            self.mask()?;
        } else if !conditional && self.accept_word("TYPE") {
            self.type_name()?;
        } else {
            return Err(self.no_alternative());
        }
        Ok(TableChange::ColumnType)
    }

    fn timestamp_literal(&mut self) -> Parsed<i64> {
        let place = self.place();
        let Term { kind: TermKind::Constant(_, text), .. } = self.number_or_marker()? else {
            return Err(RequestError::Syntax {
                message: "a timestamp literal is expected here".to_owned(),
                place: Some(place),
            });
        };
        text.parse().map_err(|_| RequestError::Invalid {
            message: format!("Unable to make long from '{text}'"),
            place: Some(place),
        })
    }

    pub(super) fn properties(&mut self) -> Parsed<Vec<(Name, Property)>> {
        let mut properties = vec![self.property()?];
        while self.accept_word("AND") {
            properties.push(self.property()?);
        }
        Ok(properties)
    }

    pub(super) fn property(&mut self) -> Parsed<(Name, Property)> {
        if self.at_word("CLUSTERING") && self.is_word(1, "ORDER") {
            self.advance();
            return Err(self.no_alternative_since(1));
        }
        let name = self.name()?;
        self.expect(TokenKind::Equal)?;
        let place = self.place();
        let value = match self.simple_term()?.kind {
            TermKind::Constant(_, text) => Property::Text(text),
            TermKind::Set(items) if items.is_empty() => Property::Map(Vec::new()),
            TermKind::Map(entries) => {
                let literal = |term: Term| match term.kind {
                    TermKind::Constant(_, text) => Ok(text),
                    _ => Err(RequestError::Syntax {
                        message: format!("Invalid value for property '{}': {term}", name.text),
                        place: Some(term.place),
                    }),
                };
                let pairs = entries.into_iter().map(|(key, value)| Ok((literal(key)?, literal(value)?)));
                Property::Map(pairs.collect::<Parsed<Vec<_>>>()?)
            }
            _ => {
                let message = format!("Invalid value for property '{}'", name.text);
                return Err(RequestError::Syntax { message, place: Some(place) });
            }
        };
        Ok((name, value))
    }
}
