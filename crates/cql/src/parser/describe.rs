//! `DESCRIBE`.

use super::{Parsed, Parser};
use crate::ast::{Describe, DescribeWhat, Statement, TableName};

impl Parser<'_> {
    pub(super) fn describe(&mut self) -> Parsed<Statement> {
        self.advance();
        let what = self.described()?;
        let with_internals = self.accept_word("WITH");
        if with_internals {
            self.expect_word("INTERNALS")?;
        }
        Ok(Statement::Describe(Describe { what, with_internals }))
    }

    fn described(&mut self) -> Parsed<DescribeWhat> {
        for (word, what) in [
            ("CLUSTER", DescribeWhat::Cluster),
            ("KEYSPACES", DescribeWhat::Keyspaces),
            ("TABLES", DescribeWhat::Tables),
            ("TYPES", DescribeWhat::Types),
            ("FUNCTIONS", DescribeWhat::Functions),
            ("AGGREGATES", DescribeWhat::Aggregates),
        ] {
            if self.accept_word(word) {
                return Ok(what);
            }
        }
        if self.accept_word("FULL") {
            self.expect_word("SCHEMA")?;
            return Ok(DescribeWhat::Schema { full: true });
        }
        if self.accept_word("SCHEMA") {
            return Ok(DescribeWhat::Schema { full: false });
        }
        let only = self.at_word("ONLY") && self.is_word(1, "KEYSPACE");
        if only {
            self.advance();
        }
        if self.accept_word("KEYSPACE") {
            let name = if self.is_name(0) { Some(self.name()?) } else { None };
            return Ok(DescribeWhat::Keyspace { name, only });
        }
        if self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY") {
            return Ok(DescribeWhat::Table(self.table_name()?));
        }
        if self.accept_word("INDEX") {
            return Ok(DescribeWhat::Other("Index", self.table_name()?));
        }
        if self.accept_word("MATERIALIZED") {
            self.expect_word("VIEW")?;
            return Ok(DescribeWhat::Other("Materialized view", self.table_name()?));
        }
        for (word, kind) in [("TYPE", "User defined type"), ("FUNCTION", "User defined function")] {
            if self.at_word(word) && self.is_name(1) {
                self.advance();
                return Ok(DescribeWhat::Other(kind, self.table_name()?));
            }
        }
        if self.at_word("AGGREGATE") && self.is_name(1) {
            self.advance();
            return Ok(DescribeWhat::Other("User defined aggregate", self.table_name()?));
        }
        let TableName { keyspace, name } = self.table_name()?;
        Ok(DescribeWhat::Generic(TableName { keyspace, name }))
    }
}
