#!/usr/bin/env bash
# Meridian (one node) beside PostgreSQL, by pgbench, in turn, so that a drift of the machine meets both:
# `SELECT 1` and a prepared point read on one connection, and single-row writes for the price of a commit.
#
# Needs a release build of meridian and PostgreSQL's server and pgbench (Debian: postgresql, postgresql-contrib).
#     cargo build --release -p meridian && cli/benches/side_by_side.sh [ROUNDS] [SECONDS]
set -euo pipefail
rounds=${1:-5}
seconds=${2:-4}
cd "$(dirname "$0")/../.."
meridian=${CARGO_TARGET_DIR:-target}/release/meridian
bin=${PG_BINDIR:-$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin | tail -1)}
pg_port=25432
meridian_port=25433
rows=10000

work=$(mktemp -d)
# PostgreSQL does not run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work"
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
mkdir "$work/pg" "$work/meridian"
[ "$(id -u)" = 0 ] && chown postgres "$work/pg"

cleanup() {
    kill "${meridian_pid:-}" 2>/dev/null || true
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
"$meridian" start-single-node --insecure --store "$work/meridian" --sql-addr "127.0.0.1:$meridian_port" \
    2>"$work/meridian.log" &
meridian_pid=$!

url() {
    case $1 in
        postgres) echo "host=127.0.0.1 port=$pg_port user=root dbname=postgres" ;;
        meridian) echo "host=127.0.0.1 port=$meridian_port user=root dbname=defaultdb" ;;
    esac
}
for server in postgres meridian; do
    for _ in $(seq 200); do
        psql -qAt "$(url $server)" -c 'SELECT 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    psql -q "$(url $server)" -c 'CREATE TABLE point (id int PRIMARY KEY, v text NOT NULL)'
    psql -q "$(url $server)" -c "INSERT INTO point SELECT g, 'value ' || g FROM generate_series(1, $rows) g"
done

echo 'SELECT 1;' >"$work/select_1.sql"
printf '\\set id random(1, %s)\nSELECT v FROM point WHERE id = :id;\n' "$rows" >"$work/point_read.sql"
printf "\\\\set id random(1, %s)\nUPDATE point SET v = 'other' WHERE id = :id;\n" "$rows" >"$work/point_update.sql"

# Average latency in microseconds.
run() {
    pgbench -n -c 1 -T "$seconds" -M "$3" -f "$work/$2.sql" "$(url "$1")" 2>/dev/null |
        awk '/latency average/ { printf "%.1f\n", $4 * 1000 }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "microseconds a statement, one connection; medians of $rounds rounds of $seconds s (least, most)"
printf '%-24s %26s %26s %8s\n' statement PostgreSQL Meridian ratio
for what in 'select_1 simple' 'select_1 prepared' 'point_read simple' 'point_read prepared' 'point_update prepared'; do
    read -r script mode <<<"$what"
    : >"$work/postgres.us"
    : >"$work/meridian.us"
    for _ in $(seq "$rounds"); do
        for server in postgres meridian; do
            run $server "$script" "$mode" >>"$work/$server.us"
        done
    done
    for server in postgres meridian; do
        median <"$work/$server.us" >"$work/$server.median"
        printf '%s (%s, %s)' "$(cat "$work/$server.median")" "$(sort -n "$work/$server.us" | head -1)" \
            "$(sort -n "$work/$server.us" | tail -1)" >"$work/$server.shown"
    done
    printf '%-24s %26s %26s %8s\n' "$what" "$(cat "$work/postgres.shown")" "$(cat "$work/meridian.shown")" \
        "$(paste "$work/meridian.median" "$work/postgres.median" | awk '{ printf "%.2f", $1 / $2 }')"
done
