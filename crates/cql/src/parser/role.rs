//! Roles, users, permissions and identities: read as they are written, and refused.

use super::{Parsed, Parser, unsupported};
use crate::ast::{Statement, TermKind};
use crate::lexer::TokenKind;

const PERMISSIONS: [&str; 10] =
    ["CREATE", "ALTER", "DROP", "SELECT", "MODIFY", "AUTHORIZE", "DESCRIBE", "EXECUTE", "UNMASK", "SELECT_MASKED"];

impl Parser<'_> {
    /// `name`, `'name'` or `"Name"`.
    pub(super) fn role_name(&mut self) -> Parsed<()> {
        if self.at(TokenKind::QuestionMark) {
            return Err(self.refused("Bind variables cannot be used for role names"));
        }
        if self.accept(TokenKind::String) { Ok(()) } else { self.name().map(drop) }
    }

    /// A user's name: no keyword, and not in double quotes.
    pub(super) fn user_name(&mut self) -> Parsed<()> {
        if self.at(TokenKind::QuotedName) {
            let message = "Quoted strings are are not supported for user names and USER is deprecated, please use ROLE";
            return Err(self.refused(message));
        }
        self.plain_or_string()
    }

    fn identity(&mut self) -> Parsed<()> {
        if self.at(TokenKind::QuotedName) {
            return Err(self.refused("Quoted strings are are not supported for identity"));
        }
        self.plain_or_string()
    }

    fn plain_or_string(&mut self) -> Parsed<()> {
        if !self.at(TokenKind::String) && !self.is_identifier(0) {
            return Err(self.no_alternative());
        }
        self.advance();
        Ok(())
    }

    /// Behind `CREATE ROLE`.
    pub(super) fn create_role(&mut self) -> Parsed<Statement> {
        self.if_not_exists()?;
        self.role_name()?;
        self.role_options()?;
        unsupported("CREATE ROLE")
    }

    /// Behind `ALTER ROLE`.
    pub(super) fn alter_role(&mut self) -> Parsed<Statement> {
        self.if_exists()?;
        self.role_name()?;
        self.role_options()?;
        unsupported("ALTER ROLE")
    }

    /// `WITH option AND option …`, if present.
    fn role_options(&mut self) -> Parsed<()> {
        if !self.accept_word("WITH") {
            return Ok(());
        }
        let mut seen: Vec<&str> = Vec::new();
        loop {
            if let Some(option) = self.role_option()? {
                if seen.contains(&option) {
                    return Err(self.refused(&format!("Multiple definition for property '{option}'")));
                }
                seen.push(option);
            }
            if !self.accept_word("AND") {
                break;
            }
        }
        if seen.contains(&"PASSWORD") && seen.contains(&"HASHED_PASSWORD") {
            return Err(self.refused("Options 'password' and 'hashed password' are mutually exclusive"));
        }
        Ok(())
    }

    /// The property that an option sets; none for what it gives access to.
    fn role_option(&mut self) -> Parsed<Option<&'static str>> {
        if self.accept_word("PASSWORD") {
            self.expect(TokenKind::Equal)?;
            self.expect(TokenKind::String)?;
            return Ok(Some("PASSWORD"));
        }
        if self.accept_word("HASHED") {
            self.expect_word("PASSWORD")?;
            self.expect(TokenKind::Equal)?;
            self.expect(TokenKind::String)?;
            return Ok(Some("HASHED_PASSWORD"));
        }
        for option in ["SUPERUSER", "LOGIN"] {
            if self.accept_word(option) {
                self.expect(TokenKind::Equal)?;
                if !self.accept_word("TRUE") && !self.accept_word("FALSE") {
                    return Err(self.mismatched("BOOLEAN"));
                }
                return Ok(Some(option));
            }
        }
        if self.accept_word("OPTIONS") {
            self.expect(TokenKind::Equal)?;
            self.role_properties()?;
            return Ok(Some("OPTIONS"));
        }
        if !self.accept_word("ACCESS") {
            return Err(self.no_alternative());
        }
        self.access()?;
        Ok(None)
    }

    /// `{'key': value, …}`.
    fn role_properties(&mut self) -> Parsed<()> {
        self.expect(TokenKind::LeftBrace)?;
        if self.accept(TokenKind::RightBrace) {
            return Ok(());
        }
        let entries = self.comma_list(|parser| {
            let key = parser.term()?;
            parser.expect(TokenKind::Colon)?;
            Ok((key, parser.term()?))
        })?;
        self.expect(TokenKind::RightBrace)?;
        let marker = entries.iter().find(|(_, value)| matches!(value.kind, TermKind::Marker(_)));
        if let Some((key, value)) = marker {
            let message = format!(
                "Invalid property value: {value} for property: {key} (bind variables are not supported in DDL queries)"
            );
            return Err(self.refused(&message));
        }
        Ok(())
    }

    /// Behind `ACCESS`.
    fn access(&mut self) -> Parsed<()> {
        let what = match () {
            () if self.accept_word("TO") => "DATACENTERS",
            () if self.accept_word("FROM") => "CIDRS",
            () => return Err(self.no_alternative()),
        };
        if self.accept_word("ALL") {
            return self.expect_word(what);
        }
        if !self.accept_word(what) {
            return Err(self.no_alternative_since(2));
        }
        self.expect(TokenKind::LeftBrace)?;
        self.comma_list(|parser| parser.expect(TokenKind::String))?;
        self.expect(TokenKind::RightBrace).map(drop)
    }

    /// Behind `CREATE USER`.
    pub(super) fn create_user(&mut self) -> Parsed<Statement> {
        self.if_not_exists()?;
        self.user_name()?;
        self.user_options()?;
        unsupported("CREATE USER")
    }

    /// Behind `ALTER USER`.
    pub(super) fn alter_user(&mut self) -> Parsed<Statement> {
        self.if_exists()?;
        self.user_name()?;
        self.user_options()?;
        unsupported("ALTER USER")
    }

    fn user_options(&mut self) -> Parsed<()> {
        if self.accept_word("WITH") {
            if self.accept_word("HASHED") {
                self.expect_word("PASSWORD")?;
            } else if !self.accept_word("PASSWORD") {
                return Err(self.no_alternative());
            }
            self.expect(TokenKind::String)?;
        }
        let _ = self.accept_word("SUPERUSER") || self.accept_word("NOSUPERUSER");
        Ok(())
    }

    /// `GRANT` and `REVOKE`, of permissions and of roles; the preposition stands before the role that is concerned.
    pub(super) fn grant_or_revoke(&mut self, verb: &str, preposition: &str) -> Parsed<Statement> {
        self.advance();
        // `ALL`, `UNMASK` and `SELECT_MASKED` may be roles too.
        let is_role = self.is_name(0) && self.is_word(1, preposition);
        if is_role || !self.at_permission() {
            if !self.at(TokenKind::End) && !self.is_name(0) && !self.at(TokenKind::String) {
                return Err(self.no_alternative_since(1));
            }
            self.role_name()?;
            self.expect_word(preposition)?;
            self.role_name()?;
            return unsupported(&format!("{verb} of roles and permissions"));
        }
        if self.at_word("ALL") && !self.is_word(1, "ON") && !self.is_word(1, "PERMISSIONS") {
            self.advance();
            return Err(self.no_alternative_since(2));
        }
        self.permissions()?;
        self.expect_word("ON")?;
        self.resource()?;
        self.expect_word(preposition)?;
        self.role_name()?;
        unsupported(&format!("{verb} of roles and permissions"))
    }

    fn at_permission(&self) -> bool {
        self.at_word("ALL") || PERMISSIONS.iter().any(|word| self.at_word(word))
    }

    /// `ALL [PERMISSIONS]`, or permissions with commas, each perhaps with the word `PERMISSION` behind it.
    fn permissions(&mut self) -> Parsed<()> {
        if self.accept_word("ALL") {
            self.accept_word("PERMISSIONS");
            return Ok(());
        }
        self.comma_list(|parser| {
            if parser.at_word("ALL") || !parser.at_permission() {
                return Err(parser.no_alternative());
            }
            parser.advance();
            parser.accept_word("PERMISSION");
            Ok(())
        })?;
        Ok(())
    }

    /// What permissions are for.
    fn resource(&mut self) -> Parsed<()> {
        if self.at_word("ALL")
            && !self.is_word(1, "TO")
            && !self.is_word(1, "FROM")
            && self.peek(1).kind == TokenKind::Word
        {
            return self.all_resources();
        }
        if self.accept_word("KEYSPACE") {
            return self.name().map(drop);
        }
        if self.at_word("ROLE") && (self.is_name(1) || self.peek(1).kind == TokenKind::String) {
            self.advance();
            return self.role_name();
        }
        if self.at_word("FUNCTION") && self.is_name(1) {
            self.advance();
            self.function_name()?;
            return self.argument_types();
        }
        if self.accept_word("MBEAN") || self.accept_word("MBEANS") {
            if !self.accept(TokenKind::String) {
                return Err(self.no_alternative_since(1));
            }
            return Ok(());
        }
        let _ = self.accept_word("TABLE") || self.accept_word("COLUMNFAMILY");
        self.table_name().map(drop)
    }

    /// `ALL KEYSPACES`, `ALL FUNCTIONS IN KEYSPACE k` and the like.
    fn all_resources(&mut self) -> Parsed<()> {
        self.advance();
        let is_whole = ["KEYSPACES", "ROLES", "MBEANS"].iter().any(|word| self.accept_word(word));
        let is_functions = !is_whole && self.accept_word("FUNCTIONS");
        if is_whole || (is_functions && !self.at_word("IN")) {
            return Ok(());
        }
        if !is_functions && !self.accept_word("TABLES") {
            return Err(self.no_alternative_since(1));
        }
        self.expect_word("IN")?;
        self.expect_word("KEYSPACE")?;
        self.name().map(drop)
    }

    pub(super) fn list_roles(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.accept_word("USERS") {
            return unsupported("LIST of roles, users and permissions");
        }
        if !self.accept_word("ROLES") {
            if !self.at_permission() {
                return Err(if self.at(TokenKind::End) { self.no_alternative() } else { self.no_alternative_since(1) });
            }
            self.permissions()?;
            if self.accept_word("ON") {
                self.resource()?;
            }
        }
        if self.accept_word("OF") {
            self.role_name()?;
        }
        self.accept_word("NORECURSIVE");
        unsupported("LIST of roles, users and permissions")
    }

    pub(super) fn add_identity(&mut self) -> Parsed<Statement> {
        self.advance();
        self.expect_word("IDENTITY")?;
        self.if_not_exists()?;
        self.identity()?;
        self.expect_word("TO")?;
        self.expect_word("ROLE")?;
        self.role_name()?;
        unsupported("ADD IDENTITY of a role")
    }

    /// Behind `DROP IDENTITY`.
    pub(super) fn drop_identity(&mut self) -> Parsed<Statement> {
        self.if_exists()?;
        self.identity()?;
        unsupported("DROP IDENTITY of a role")
    }
}
