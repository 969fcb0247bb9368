#!/usr/bin/env bash
# What a node weighs: the size of the stripped binary, the time from start to ready on an empty directory, and the
# resident memory of an idle node, alone and with an empty table. Builds what it measures. Linux only.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --quiet
program="${CARGO_TARGET_DIR:-target}/release/quorate"
folder="$(mktemp -d)"
address="127.$((RANDOM % 200 + 32)).$((RANDOM % 256)).1"
node=""
finish() {
    if [ -n "$node" ]; then
        kill -TERM "$node" 2>/dev/null || true
        wait "$node" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap finish EXIT

now_ms() { date +%s%3N; }
resident_mb() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$node/status"; }

cp "$program" "$folder/stripped"
strip "$folder/stripped" 2>/dev/null || true
bytes="$(stat -c %s "$folder/stripped")"
printf 'stripped binary       %s MB (goal: under 40)\n' "$(awk "BEGIN { printf \"%.1f\", $bytes / 1e6 }")"

times=()
for round in 1 2 3 4 5; do
    started="$(now_ms)"
    "$program" start --listen "$address" --data-dir "$folder/data$round" >"$folder/out$round" 2>"$folder/err" &
    node=$!
    until grep -qs '^ready:' "$folder/out$round"; do
        kill -0 "$node" 2>/dev/null || { cat "$folder/err"; exit 1; }
        [ $(($(now_ms) - started)) -lt 30000 ] || { echo "not ready within 30 s"; cat "$folder/err"; exit 1; }
        sleep 0.005
    done
    times+=("$(($(now_ms) - started))")
    if [ "$round" -lt 5 ]; then
        kill -TERM "$node"
        wait "$node" || true
    fi
done
printf 'start to ready        %s ms (five empty directories; goal: under 1000)\n' "${times[*]}"

sleep 5
printf 'idle, just started    %s MB resident (goal: under 60)\n' "$(resident_mb)"
"$program" shell "$address" -e "
    CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
    CREATE TABLE ks.t (k int PRIMARY KEY, v text);
    INSERT INTO ks.t (k, v) VALUES (1, 'one'); SELECT * FROM ks.t;" >/dev/null
sleep 5
printf 'idle, after first use %s MB resident\n' "$(resident_mb)"
before="$(awk '{ print $14 + $15 }' "/proc/$node/stat")"
sleep 5
after="$(awk '{ print $14 + $15 }' "/proc/$node/stat")"
printf 'processor while idle  %s %% of one core\n' "$(awk "BEGIN { printf \"%.1f\", ($after - $before) * 100 / $(getconf CLK_TCK) / 5 }")"
