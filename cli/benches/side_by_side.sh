#!/usr/bin/env bash
# Meridian beside PostgreSQL, by pgbench, in turn, so that a drift of the machine meets both: `SELECT 1`, prepared point
# reads, updates of one row and pgbench's own transactions (like TPC-B), on one and on many connections; on one node, and on
# three processes of this machine (which PostgreSQL's one is a hard comparison for: every byte is written three times).
#
# Needs a release build of meridian and PostgreSQL's server and pgbench (Debian: postgresql, postgresql-contrib).
#     cargo build --release -p meridian && cli/benches/side_by_side.sh [ROUNDS] [SECONDS]
# The machine is quiet if PostgreSQL's SELECT 1 runs above 12,000 a second: below that, ratios flatter.
set -euo pipefail
rounds=${1:-3}
seconds=${2:-4}
cd "$(dirname "$0")/../.."
meridian=${MERIDIAN:-${CARGO_TARGET_DIR:-target}/release/meridian}
bin=${PG_BINDIR:-$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin | tail -1)}
pg_port=25432
# One node's SQL, then those of three, then their rpc ports.
port=25433

work=$(mktemp -d)
# PostgreSQL does not run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work"
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
mkdir "$work/pg"
[ "$(id -u)" = 0 ] && chown postgres "$work/pg"

pids=()
stop_nodes() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}
cleanup() {
    stop_nodes
    "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg/data" -m fast stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

(
    cd "$work/pg"
    "${as_postgres[@]}" "$bin/initdb" -D "$work/pg/data" -U root --auth=trust >/dev/null
    "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg/data" -l "$work/pg/log" -w \
        -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg" start >/dev/null
)

url() {
    case $1 in
        postgres) echo "host=127.0.0.1 port=$pg_port user=root dbname=postgres" ;;
        meridian) echo "host=127.0.0.1 port=$port user=root dbname=defaultdb" ;;
    esac
}

# Waits for a server and loads pgbench's tables, at scale 1.
load() {
    for _ in $(seq 400); do
        psql -qAt "$(url "$1")" -c 'SELECT 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    pgbench -i -s 1 -q "$(url "$1")" >/dev/null 2>&1
}

echo 'SELECT 1;' >"$work/select_1"
printf '\\set id random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :id;\n' >"$work/point_read"
printf '\\set id random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :id;\n' >"$work/update"

# Transactions a second, and Meridian's microseconds of CPU for each.
run() {
    local server=$1 what=$2 clients=$3 file=(-f "$work/$2") before after done_ tps
    [ "$what" = tpcb ] && file=(-b tpcb-like)
    before=$(cpu)
    pgbench -n -c "$clients" -j 1 -T "$seconds" -M prepared "${file[@]}" "$(url "$server")" >"$work/out" 2>/dev/null
    after=$(cpu)
    done_=$(awk '/actually processed/ { print $NF + 0 }' "$work/out")
    tps=$(awk '/^tps/ { printf "%.0f", $3 }' "$work/out")
    echo "$tps" >>"$work/$server.tps"
    [ "$server" = meridian ] && echo $(((after - before) / (done_ > 0 ? done_ : 1))) >>"$work/cpu"
    return 0
}

# Microseconds of CPU that the nodes have taken.
cpu() {
    local pid sum=0
    for pid in "${pids[@]}"; do sum=$((sum + $(awk '{ print ($14 + $15) * 10000 }' "/proc/$pid/stat"))); done
    echo "$sum"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

compare() {
    local what clients
    for pair in "$@"; do
        read -r what clients <<<"$pair"
        rm -f "$work"/{postgres,meridian}.tps "$work/cpu"
        for _ in $(seq "$rounds"); do
            for server in postgres meridian; do run $server "$what" "$clients"; done
        done
        local pg ours
        pg=$(median <"$work/postgres.tps")
        ours=$(median <"$work/meridian.tps")
        printf '%-12s %4s %12s %12s %8s %8s\n' "$what" "$clients" "$pg" "$ours" \
            "$(awk -v a="$ours" -v b="$pg" 'BEGIN { printf "%.2f", a / b }')" "$(median <"$work/cpu")"
    done
}

load postgres
printf '%-12s %4s %12s %12s %8s %8s\n' 'a second' conn PostgreSQL Meridian ratio 'CPU us'

"$meridian" start-single-node --insecure --store "$work/one" --sql-addr "127.0.0.1:$port" 2>"$work/one.log" &
pids=($!)
load meridian
echo "one node"
compare 'select_1 1' 'point_read 1' 'point_read 8' 'update 1' 'update 16' 'update 64' 'tpcb 1' 'tpcb 16'
stop_nodes

peers="127.0.0.1:$((port + 11)),127.0.0.1:$((port + 12)),127.0.0.1:$((port + 13))"
for node in 1 2 3; do
    "$meridian" start --insecure --store "$work/three$node" --sql-addr "127.0.0.1:$((port + node - 1))" \
        --rpc-addr "127.0.0.1:$((port + 10 + node))" --join "$peers" 2>"$work/three$node.log" &
    pids+=($!)
done
for _ in $(seq 100); do
    "$meridian" init --insecure --rpc-addr "127.0.0.1:$((port + 11))" >/dev/null 2>&1 && break
    sleep 0.1
done
load meridian
echo "three processes"
compare 'point_read 1' 'update 1' 'update 16' 'update 64' 'tpcb 1' 'tpcb 16'
