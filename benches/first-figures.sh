#!/usr/bin/env bash
# First figures of speed, as ratios within one run on one machine: what gRPC costs, what the stream saves, what replicas
# cost, what the fsync costs. Prints a table in Markdown. Needs nothing but bash, awk and sed beside the binaries:
#   cargo build --release -p quorate -p null-grpc && benches/first-figures.sh
# SECONDS_EACH, IN_FLIGHT, VALUE_SIZE, RATE and DATA (a folder on the disk to be measured) may be set.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
quorate=${QUORATE:-$root/target/release/quorate}
null_grpc=${NULL_GRPC:-$root/target/release/null-grpc}
seconds=${SECONDS_EACH:-10}
in_flight=${IN_FLIGHT:-256}
value_size=${VALUE_SIZE:-100}
data=$(mktemp -d "${DATA:-${TMPDIR:-/tmp}}/quorate-figures-XXXXXX")
pids=()

# Ends everything this script started, and only that.
stop_all() {
    if ((${#pids[@]})); then
        kill "${pids[@]}" 2>/dev/null || true
        wait "${pids[@]}" 2>/dev/null || true
        pids=()
    fi
}
trap 'stop_all; rm -rf "$data"' EXIT

wait_ready() { # file
    for _ in $(seq 600); do
        grep -q '^ready:' "$1" && return 0
        sleep 0.1
    done
    echo "not ready within 60 s:" >&2
    tail -n 5 "$1" "${1%.out}.err" >&2
    return 1
}

start_node() { # name address seed [flags]
    local name=$1 address=$2 seed=$3
    shift 3
    : >"$data/$name-$address.out"
    "$quorate" start --listen "$address" --seeds "$seed" --cluster-name "$name" --data-dir "$data/$name-$address" "$@" \
        >"$data/$name-$address.out" 2>"$data/$name-$address.err" &
    pids+=($!)
    wait_ready "$data/$name-$address.out"
}

field() { # json name
    sed -n "s/.*\"$2\":\([-0-9.]*\|null\)[,}].*/\1/p" <<<"$1"
}

joined() { local IFS=,; echo "${pids[*]}"; }

# Runs one load; prints a row, and keeps its throughput in the variable `ops`.
measure() { # title flags...
    local title=$1 report
    shift
    report=$("$quorate" bench write --in-flight "$in_flight" --value-size "$value_size" --duration "$seconds" \
        --pids "$(joined)" --format json "$@")
    ops=$(field "$report" ops_per_second)
    awk -v title="$title" -v ops="$ops" -v p50="$(field "$report" p50)" -v p99="$(field "$report" p99)" \
        -v p999="$(field "$report" p999)" -v cpu="$(field "$report" cpu_us_per_op)" \
        -v failed="$(($(field "$report" refused) + $(field "$report" unknown)))" \
        'BEGIN { printf "| %s | %d | %.2f | %.2f | %.2f | %.1f | %d |\n", title, ops, p50/1000, p99/1000, p999/1000, cpu, failed }'
}

ratio() { # a b
    awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'
}

echo "Writes of $value_size bytes, $in_flight in flight, $seconds s each, $(nproc) cores; latencies in ms, server CPU in us an operation."
echo
echo "| what | ops/s | p50 | p99 | p99.9 | CPU | failed |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"

: >"$data/null.out"
"$null_grpc" 127.0.211.9:9044 >"$data/null.out" 2>"$data/null.err" &
pids+=($!)
wait_ready "$data/null.out"
measure "null server, unary" --host 127.0.211.9 --mode unary --consistency ONE
null_unary=$ops
measure "null server, stream" --host 127.0.211.9 --mode stream --pinned --consistency ONE
stop_all

start_node one 127.0.211.1 127.0.211.1
measure "one node RF 1, unary" --host 127.0.211.1 --mode unary --consistency ONE --replication 1
unary=$ops
measure "one node RF 1, stream" --host 127.0.211.1 --mode stream --consistency ONE --replication 1
stream=$ops
[ -n "${RATE:-}" ] && measure "one node RF 1, stream, $RATE a second" --host 127.0.211.1 --replication 1 --consistency ONE --rate "$RATE"
stop_all

start_node nosync 127.0.211.1 127.0.211.1 --commit-log unsynced
measure "one node RF 1, stream, no fsync" --host 127.0.211.1 --mode stream --consistency ONE --replication 1
unsynced=$ops
stop_all

for last in 1 2 3; do
    start_node three "127.0.211.$last" 127.0.211.1
done
measure "three nodes RF 3 QUORUM, stream" --host 127.0.211.1 --mode stream --consistency QUORUM --replication 3
replicated=$ops
[ -n "${RATE:-}" ] && measure "three nodes RF 3 QUORUM, $RATE a second" --host 127.0.211.1 --replication 3 --rate "$RATE"
stop_all

echo
echo "| ratio | value |"
echo "| --- | ---: |"
echo "| our unary / null unary | $(ratio "$unary" "$null_unary") |"
echo "| our stream / our unary | $(ratio "$stream" "$unary") |"
echo "| RF 3 QUORUM in three processes / RF 1 | $(ratio "$replicated" "$stream") |"
echo "| fsync before ack / none | $(ratio "$stream" "$unsynced") |"
