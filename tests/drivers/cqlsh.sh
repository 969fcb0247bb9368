#!/usr/bin/env bash
# The stock cqlsh: statements, DESCRIBE, pages, every type, COPY out and in again.
set -euo pipefail
node=${DRIVERS_NODES%%,*}
work=$DRIVERS_FOLDER
here=$(dirname "$0")
run() { cqlsh --no-color "$node" 9042 -e "$1"; }
expect() { # what, text that must be in the output, statement
    output=$(run "$3" 2>&1) || { echo "cqlsh: $1 failed: $output"; exit 1; }
    grep -qF -- "$2" <<<"$output" || { echo "cqlsh: $1: '$2' is not in: $output"; exit 1; }
    echo "cqlsh: $1 ok"
}
skips() { [[ ",${DRIVERS_SKIP:-}," == *",$1,"* ]] && echo "cqlsh: $1 skipped"; }

replication="replication = {'class': 'SimpleStrategy', 'replication_factor': 3}"
expect "connect" "5." "SHOW VERSION;"
run "DROP KEYSPACE IF EXISTS d_cqlsh;"
expect "create" "" "CREATE KEYSPACE d_cqlsh WITH $replication; CREATE TABLE d_cqlsh.t (k int PRIMARY KEY, v text);"
expect "insert and select" "hello" "INSERT INTO d_cqlsh.t (k, v) VALUES (1, 'hello'); SELECT * FROM d_cqlsh.t;"
expect "copy to" "1 rows exported" "COPY d_cqlsh.t TO '$work/t.csv';"
expect "truncate" "(0 rows)" "TRUNCATE d_cqlsh.t; SELECT * FROM d_cqlsh.t;"
expect "copy from" "1 rows imported" "COPY d_cqlsh.t FROM '$work/t.csv';"
expect "read back" "hello" "SELECT * FROM d_cqlsh.t;"

expect "weather: create" "" "CREATE TABLE d_cqlsh.weather (origin text, month int, time_hour timestamp, year int, day int, hour int,
    temp double, dewp double, humid double, wind_dir int, wind_speed double, wind_gust double, precip double, pressure double,
    visib double, PRIMARY KEY ((origin, month), time_hour));"
gunzip --stdout "$here/../../examples/nycflights13/weather.csv.gz" >"$work/weather.csv"
columns=$(head -n 1 "$work/weather.csv")
expect "weather: copy from" "26115 rows imported" "COPY d_cqlsh.weather ($columns) FROM '$work/weather.csv'
    WITH HEADER = true AND NULL = 'NA' AND DATETIMEFORMAT = '%Y-%m-%dT%H:%M:%SZ';"
expect "weather: count" "26115" "SELECT COUNT(*) FROM d_cqlsh.weather;"
expect "weather: describe" "CREATE TABLE d_cqlsh.weather" "DESCRIBE TABLE d_cqlsh.weather;"
expect "weather: pages" "(742 rows)" \
    "PAGING 100; SELECT time_hour, year, day, hour, temp FROM d_cqlsh.weather WHERE origin = 'EWR' AND month = 1;"
grep -qF "2013-01-01 06:00:00.000000+0000 |" <<<"$output" || { echo "cqlsh: weather: the first hour is missing"; exit 1; }

every_type=$(python3 "$here/every_type.py" d_cqlsh)
expect "types" "{'b': {3}}" "$every_type"
grep -qF "1y2mo3d4h5m6s7ms8us9ns" <<<"$output" || { echo "cqlsh: types: no duration in: $output"; exit 1; }
if ! skips tracing; then
    expect "tracing" "Tracing session:" "TRACING ON; SELECT * FROM d_cqlsh.t WHERE k = 1;"
    grep -qF "Request complete" <<<"$output" || { echo "cqlsh: tracing: not complete: $output"; exit 1; }
    expect "tracing of a write" "t memtable" "CONSISTENCY ALL; TRACING ON; INSERT INTO d_cqlsh.t (k, v) VALUES (2, 'traced');"
fi
if output=$(run "SELEC" 2>&1); then echo "cqlsh: a wrong statement succeeded"; exit 1; fi
grep -qF "SyntaxException" <<<"$output" || { echo "cqlsh: no syntax error in: $output"; exit 1; }
echo "cqlsh: syntax error ok"
