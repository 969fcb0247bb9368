//! The keywords of CQL: which may be names and which may not.

/// Keywords that are never names unless they are quoted, sorted.
pub const RESERVED: &[&str] = &[
    "ADD", "ALLOW", "ALTER", "AND", "APPLY", "ASC", "AUTHORIZE", "BATCH", "BEGIN", "BY", "COLUMNFAMILY", "CREATE",
    "DEFAULT", "DELETE", "DESC", "DESCRIBE", "DROP", "ENTRIES", "EXECUTE", "FROM", "FULL", "GRANT", "IF", "IN", "INDEX",
    "INFINITY", "INSERT", "INTO", "IS", "KEYSPACE", "LIMIT", "MATERIALIZED", "MBEAN", "MBEANS", "MODIFY", "NAN",
    "NORECURSIVE", "NOT", "NULL", "OF", "ON", "OR", "ORDER", "PRIMARY", "RENAME", "REPLACE", "REVOKE", "SCHEMA",
    "SELECT", "SET", "TABLE", "TO", "TOKEN", "TRUNCATE", "UNLOGGED", "UNSET", "UPDATE", "USE", "USING", "VIEW", "WHERE",
    "WITH",
];

/// Keywords that may also be names, sorted.
pub const UNRESERVED: &[&str] = &[
    "ACCESS", "AGGREGATE", "AGGREGATES", "ALL", "ANN", "ANY", "AS", "ASCII", "BETWEEN", "BIGINT", "BLOB", "BOOLEAN",
    "CALLED", "CAST", "CIDRS", "CLUSTER", "CLUSTERING", "COMPACT", "CONTAINS", "COUNT", "COUNTER", "CUSTOM",
    "DATACENTERS", "DATE", "DECIMAL", "DISTINCT", "DOUBLE", "DURATION", "EXISTS", "FILTERING", "FINALFUNC", "FLOAT",
    "FROZEN", "FUNCTION", "FUNCTIONS", "GROUP", "HASHED", "IDENTITY", "INET", "INITCOND", "INPUT", "INT", "INTERNALS",
    "JSON", "KEY", "KEYS", "KEYSPACES", "LANGUAGE", "LIKE", "LIST", "LOGIN", "MAP", "MASKED", "MAXWRITETIME",
    "NOLOGIN", "NOSUPERUSER", "ONLY", "OPTIONS", "PARTITION", "PASSWORD", "PER", "PERMISSION", "PERMISSIONS",
    "RETURNS", "ROLE", "ROLES", "SELECT_MASKED", "SFUNC", "SMALLINT", "STATIC", "STORAGE", "STYPE", "SUPERUSER",
    "TABLES", "TEXT", "TIME", "TIMESTAMP", "TIMEUUID", "TINYINT", "TRIGGER", "TTL", "TUPLE", "TYPE", "TYPES", "UNMASK",
    "USER", "USERS", "UUID", "VALUES", "VARCHAR", "VARINT", "VECTOR", "WRITETIME",
];

/// Whether the word, in any case, can be a name only when it is quoted.
pub fn is_reserved(word: &str) -> bool {
    contains(RESERVED, word)
}

/// Whether the word, in any case, is a keyword of either kind.
pub fn is_keyword(word: &str) -> bool {
    contains(RESERVED, word) || contains(UNRESERVED, word)
}

fn contains(table: &[&str], word: &str) -> bool {
    table.binary_search_by(|keyword| keyword.bytes().cmp(word.bytes().map(|byte| byte.to_ascii_uppercase()))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_so_that_the_search_finds_every_keyword() {
        for table in [RESERVED, UNRESERVED] {
            assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
        }
        assert!(is_reserved("select") && !is_reserved("count") && is_keyword("Ttl") && !is_keyword("foo"));
    }
}
