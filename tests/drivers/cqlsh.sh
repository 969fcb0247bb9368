#!/usr/bin/env bash
# The stock cqlsh: statements, DESCRIBE, COPY out and in again.
set -euo pipefail
work=$1
run() { cqlsh --no-color "$QUORATE_NODE" 9042 -e "$1"; }
expect() { # what, text that must be in the output, statement
    output=$(run "$3" 2>&1) || { echo "cqlsh: $1 failed: $output"; exit 1; }
    grep -qF -- "$2" <<<"$output" || { echo "cqlsh: $1: '$2' is not in: $output"; exit 1; }
    echo "cqlsh: $1 ok"
}
expect "count" "26115" "CONSISTENCY QUORUM; SELECT COUNT(*) FROM nyc.weather;"
expect "describe" "CREATE TABLE nyc.weather" "DESCRIBE TABLE nyc.weather;"
expect "create" "" "CREATE KEYSPACE IF NOT EXISTS cq WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}; CREATE TABLE cq.t (k int PRIMARY KEY, v text);"
expect "insert and select" "hello" "INSERT INTO cq.t (k, v) VALUES (1, 'hello'); SELECT * FROM cq.t;"
expect "copy to" "1 rows exported" "COPY cq.t TO '$work/t.csv';"
expect "truncate" "(0 rows)" "CONSISTENCY QUORUM; TRUNCATE cq.t; SELECT * FROM cq.t;"
expect "copy from" "1 rows imported" "COPY cq.t FROM '$work/t.csv';"
expect "read back" "hello" "CONSISTENCY QUORUM; SELECT * FROM cq.t;"
if output=$(run "SELEC" 2>&1); then echo "cqlsh: a wrong statement succeeded"; exit 1; fi
grep -qF "SyntaxException" <<<"$output" || { echo "cqlsh: no syntax error in: $output"; exit 1; }
echo "cqlsh: syntax error ok"
