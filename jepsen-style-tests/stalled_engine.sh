#!/usr/bin/env bash
# The disk of one node's engine stands still for ten seconds under load: of three real processes, each has its engine on a
# file system of its own, and that of the node that leads pgbench's table is frozen (fsfreeze). Its log goes on. The node
# has to keep its leaderships, its process and its memory bound, and everything goes on when the disk is back. (Leases that it
# could not apply meanwhile have ended; it is the one that has them again.)
#
# Needs root, a loop device, mkfs.ext4 and fsfreeze (util-linux), a release build of meridian, psql and pgbench.
#     cargo build --release -p meridian && jepsen-style-tests/stalled_engine.sh [SECONDS]
# Exits with 0 if all of that is so. Takes a minute.
set -euo pipefail
stall=${1:-10}
most_mib=1536
cd "$(dirname "$0")/.."
meridian=${MERIDIAN:-${CARGO_TARGET_DIR:-target}/release/meridian}
port=25443

work=$(mktemp -d)
pids=()
cleanup() {
    for node in 1 2 3; do fsfreeze -u "$work/$node/data" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    for node in 1 2 3; do umount "$work/$node/data" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

url() { echo "host=127.0.0.1 port=$((port + $1)) user=root dbname=defaultdb"; }
fail() {
    echo "FAILED: $*"
    exit 1
}

peers="127.0.0.1:$((port + 11)),127.0.0.1:$((port + 12)),127.0.0.1:$((port + 13))"
for node in 1 2 3; do
    mkdir -p "$work/$node/data"
    truncate -s 1G "$work/$node.img"
    mkfs.ext4 -q "$work/$node.img"
    mount -o loop "$work/$node.img" "$work/$node/data"
    rmdir "$work/$node/data/lost+found"
    "$meridian" start --log debug --insecure --store "$work/$node" --sql-addr "127.0.0.1:$((port + node))" \
        --rpc-addr "127.0.0.1:$((port + 10 + node))" --join "$peers" 2>"$work/$node.log" &
    pids+=($!)
done
for _ in $(seq 100); do
    "$meridian" init --insecure --rpc-addr "127.0.0.1:$((port + 11))" >/dev/null 2>&1 && break
    sleep 0.1
done
for _ in $(seq 100); do
    psql -qAt "$(url 1)" -c 'SELECT 1' >/dev/null 2>&1 && break
    sleep 0.1
done
pgbench -i -s 1 -q "$(url 1)" >/dev/null 2>&1
printf '\\set id random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :id;\n' >"$work/update"

# Who has the lease of the table's range, r3.
leases() { grep -c 'this node has the lease' "$work/$1.log" || true; }
holder=
for node in 1 2 3; do
    if [ "$(grep -h 'has the lease\|had the lease' "$work/$node.log" | grep r3 | tail -1 | grep -c 'has the lease')" = 1 ]; then
        holder=$node
    fi
done
[ -n "$holder" ] || fail "nobody has the lease of r3"
gateway=$((holder % 3 + 1))
others=$((6 - holder - gateway))
before=$(($(leases "$gateway") + $(leases "$others")))
echo "n$holder has the lease; its engine's disk is frozen for $stall s, under 64 writers at n$gateway"

(for _ in $(seq 8); do
    pgbench -n -c 64 -j 2 -T 4 -M prepared -f "$work/update" "$(url "$gateway")" >>"$work/out" 2>/dev/null || true
done) &
load=$!
sleep 3
fsfreeze -f "$work/$holder/data"
sleep "$stall"
fsfreeze -u "$work/$holder/data"
sleep 3
wait $load
after=$(($(leases "$gateway") + $(leases "$others")))
for node in 1 2 3; do
    pid=${pids[$((node - 1))]}
    kill -0 "$pid" 2>/dev/null || fail "n$node has ended: $(tail -1 "$work/$node.log")"
    mib=$(($(awk '/VmHWM/ { print $2 }' "/proc/$pid/status") / 1024))
    echo "n$node: $mib MiB at most"
    [ "$mib" -le "$most_mib" ] || fail "n$node took more than $most_mib MiB"
done
[ "$before" = "$after" ] || fail "others have taken $((after - before)) leases over"
tps=$(pgbench -n -c 16 -T 3 -M prepared -f "$work/update" "$(url "$gateway")" 2>/dev/null | awk '/^tps/ { printf "%.0f", $3 }')
echo "nobody else has a lease of it; afterwards $tps updates a second"
[ "${tps:-0}" -gt 0 ] || fail "nothing is written afterwards"
