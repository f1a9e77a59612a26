#!/usr/bin/env bash
# Shapes of statements beside PostgreSQL, Meridian on one node: ends of an index, joins, subqueries, joins of many tables,
# and statements that write a whole table. What is quadratic, or reads a table for a row, shows as a ratio of tens.
# Statements run in turn on both, so that a drift of the machine meets both; each row has the medians of ROUNDS times.
#
# Needs a release build of meridian, and PostgreSQL's server and psql (Debian: postgresql).
#     cargo build --release -p meridian && cli/benches/shapes_side_by_side.sh [ROUNDS] [MOST]
# Exits with 1 if a ratio is above MOST (5); statements below a fifth of a millisecond of difference do not count.
# With POSTGRES_URL and MERIDIAN_URL (psql's connection strings) it uses servers that run already, in empty databases.
set -euo pipefail
rounds=${1:-5}
most=${2:-5}
cd "$(dirname "$0")/../.."
meridian=${CARGO_TARGET_DIR:-target}/release/meridian
pg_port=25434
meridian_port=25435

work=$(mktemp -d)
# PostgreSQL does not run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work"
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

cleanup() {
    kill "${meridian_pid:-}" 2>/dev/null || true
    [ -d "$work/pg" ] && "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg/data" -m fast stop >/dev/null 2>&1
    rm -rf "$work"
}
trap 'cleanup || true' EXIT

if [ -z "${POSTGRES_URL:-}" ]; then
    bin=${PG_BINDIR:-$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin | tail -1)}
    mkdir "$work/pg"
    [ "$(id -u)" = 0 ] && chown postgres "$work/pg"
    (
        cd "$work/pg"
        "${as_postgres[@]}" "$bin/initdb" -D "$work/pg/data" -U root --auth=trust >/dev/null
        "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/pg/data" -l "$work/pg/log" -w \
            -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg" start >/dev/null
    )
    POSTGRES_URL="host=127.0.0.1 port=$pg_port user=root dbname=postgres"
fi
if [ -z "${MERIDIAN_URL:-}" ]; then
    mkdir "$work/meridian"
    "$meridian" start-single-node --insecure --store "$work/meridian" --sql-addr "127.0.0.1:$meridian_port" \
        2>"$work/meridian.log" &
    meridian_pid=$!
    MERIDIAN_URL="host=127.0.0.1 port=$meridian_port user=root dbname=defaultdb"
fi

url() { if [ "$1" = postgres ]; then echo "$POSTGRES_URL"; else echo "$MERIDIAN_URL"; fi; }

# Microseconds that a statement takes, as psql sees them. With two statements, the second one's.
run() {
    printf '\\timing on\n%s;\n' "$2" | psql -qAtX -v ON_ERROR_STOP=1 "$(url "$1")" 2>&1 |
        awk '/^Time: / { us = $2 * 1000 } /ERROR/ { print > "/dev/stderr" } END { printf "%d\n", us }'
}

joins() {
    local from='' where='' n
    # Every second table first: the order in which they are written has products in it.
    for n in 0 2 4 6 8 10 12 14 1 3 5 7 9 11 13; do from="$from${from:+, }small t$n"; done
    for n in $(seq 0 13); do where="$where${where:+ AND }t$n.id = t$((n + 1)).other"; done
    echo "SELECT count(*) FROM $from WHERE $where"
}

for server in postgres meridian; do
    for _ in $(seq 200); do
        psql -qAtX "$(url $server)" -c 'SELECT 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    psql -qX -v ON_ERROR_STOP=1 "$(url $server)" <<'SQL'
CREATE TABLE point (id int PRIMARY KEY, k int, v text NOT NULL, n int);
CREATE INDEX point_k ON point (k);
INSERT INTO point SELECT g, CASE WHEN g % 10 > 0 THEN g % 1000 END, 'value ' || g, g % 77 FROM generate_series(1, 20000) g;
CREATE TABLE part (id int PRIMARY KEY, point int NOT NULL, n int);
INSERT INTO part SELECT g, g % 2000, g % 10 FROM generate_series(1, 20000) g;
CREATE TABLE small (id int PRIMARY KEY, other int);
INSERT INTO small SELECT g, g FROM generate_series(1, 1000) g;
SQL
done
psql -qX "$POSTGRES_URL" -c 'ANALYZE' >/dev/null

cat >"$work/shapes" <<SQL
max of the key|SELECT max(id) FROM point
min and max|SELECT min(id), max(id), max(k) FROM point
last row|SELECT * FROM point ORDER BY id DESC LIMIT 1
last rows by an index|SELECT * FROM point ORDER BY k DESC NULLS LAST, id DESC LIMIT 10
last of one value|SELECT max(id) FROM point WHERE k = 7
correlated count|SELECT p.id, (SELECT count(*) FROM part WHERE part.point = p.id) FROM point p WHERE p.id <= 2000
correlated sum in WHERE|SELECT count(*) FROM point p WHERE p.n < (SELECT sum(n) FROM part WHERE part.point = p.id)
EXISTS|SELECT count(*) FROM point p WHERE EXISTS (SELECT 1 FROM part WHERE part.point = p.id)
NOT EXISTS|SELECT count(*) FROM point p WHERE NOT EXISTS (SELECT 1 FROM part WHERE part.point = p.id)
IN (subquery)|SELECT count(*) FROM point WHERE id IN (SELECT point FROM part)
NOT IN (subquery)|SELECT count(*) FROM point WHERE k NOT IN (SELECT point FROM part)
join|SELECT count(*) FROM point p JOIN part ON part.point = p.id
self join|SELECT count(*) FROM point a JOIN point b ON a.id = b.id
FULL JOIN|SELECT count(*) FROM point p FULL JOIN part ON part.point = p.id
join of 15 tables|$(joins)
INSERT of 100,000 rows|DROP TABLE IF EXISTS large; CREATE TABLE large (id int PRIMARY KEY, v text, n int); INSERT INTO large SELECT g, 'value ' || g, g % 100 FROM generate_series(1, 100000) g
first count after it|SELECT count(*) FROM large
UPDATE of 100,000 rows|UPDATE large SET n = n + 1
DELETE of 100,000 rows|DELETE FROM large
count after it|SELECT count(*) FROM large
SQL

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# All shapes once a round: those that write leave the table as the next round's find it.
for round in $(seq "$rounds"); do
    number=0
    while IFS='|' read -r name text; do
        number=$((number + 1))
        for server in postgres meridian; do run $server "$text" >>"$work/$number.$server"; done
    done <"$work/shapes"
done

echo "milliseconds, medians of $rounds rounds"
printf '%-26s %12s %12s %8s\n' shape PostgreSQL Meridian ratio
worst=0
number=0
while IFS='|' read -r name text; do
    number=$((number + 1))
    pg=$(median <"$work/$number.postgres")
    own=$(median <"$work/$number.meridian")
    awk -v name="$name" -v pg="$pg" -v own="$own" -v most="$most" 'BEGIN {
        high = own > most * pg && own - pg > 200
        printf "%-26s %12.2f %12.2f %8.2f%s\n", name, pg / 1000, own / 1000, own / pg, high ? " *" : ""
        exit high
    }' || worst=1
done <"$work/shapes"
exit $worst
