#!/bin/sh
# SQLite commits rows on a disk of `holdfast nbd`, the power is cut, and every disk that may be left (or a sample) must have them.
# For an ordinary user. Usage: power-cuts.sh [SEED [STATES]]. HOLDFAST is the path of a clone that is set up; LIE=0.3 makes a disk that
# answers three flushes in ten without carrying them out.
set -eu
seed=${1:-1} states=${2:-200}
holdfast() { node "$HOLDFAST/packages/cli/bin/holdfast.js" "$@"; }
work=$(mktemp -d) && cd "$work"
trap 'set +e; fusermount3 -quz mnt; fusermount3 -quz disk; kill $server; wait; rm -rf "$work"' EXIT

# A disk with a volatile write cache, and an ext4 on it. FUSE shows the disk as a file and the ext4 as a folder.
node "$HOLDFAST/packages/cli/bin/holdfast.js" nbd --disk size=64M --socket nbd.sock >uri 2>server.log &
server=$! # of a program, not of a shell's function, so that it can be stopped
until [ -s uri ]; do sleep 0.2; done
truncate -s 64M new.img && mkfs.ext4 -q -E root_owner="$(id -u):$(id -g)" new.img && nbdcopy --flush new.img "$(cat uri)"
mkdir disk mnt
nbdfuse disk/ext4 "$(cat uri)" 2>fuse.log &
until [ -e disk/ext4 ]; do sleep 0.2; done
fuse2fs disk/ext4 mnt -o fakeroot

# The program under test: what it says is committed must last. The power goes in the middle of its work.
sqlite3 mnt/db 'PRAGMA journal_mode=WAL; CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT)' >/dev/null
if [ -n "${LIE-}" ]; then holdfast nbd ctl nbd.sock.ctl faults lost --where "flush,probability=$LIE" --seed "$seed"; fi
holdfast nbd ctl nbd.sock.ctl powercut --after $((seed * 97 % 1000)) --keep none --seed "$seed"
{
  echo 'PRAGMA synchronous=FULL;'
  for n in $(seq 1000); do echo "INSERT INTO t VALUES($n, printf('%.*c', $n * 37 % 3000, 'x')); SELECT $n;"; done
} | sqlite3 -bail mnt/db >rows 2>/dev/null || true
committed=$(tail -n 1 rows)
fusermount3 -uz mnt; fusermount3 -uz disk

# Each disk that may be left: recovered as after a crash, and asked.
echo "${committed:-0} rows were committed; $(holdfast nbd ctl nbd.sock.ctl states --count) different disks may be left"
bad=0 good=0
for state in $(holdfast nbd ctl nbd.sock.ctl states --sample "$states" --seed "$seed" --uris); do
  rm -f left.img db db-wal && nbdcopy "$state" left.img
  e2fsck -fy left.img >fsck.log 2>&1 || [ $? -eq 1 ] || { echo "BAD $state: e2fsck"; bad=$((bad + 1)); continue; }
  debugfs -R "dump /db db" left.img 2>/dev/null; debugfs -R "dump /db-wal db-wal" left.img 2>/dev/null
  found=$(sqlite3 db 'PRAGMA integrity_check; SELECT count(*) FROM t' 2>&1 | tr '\n' ' ')
  case $found in "ok ${committed:=0} " | "ok $((committed + 1)) ") good=$((good + 1)) ;; *) echo "BAD $state: $found"; bad=$((bad + 1)) ;; esac
done
echo "$good good, $bad bad"
[ $bad -eq 0 ]
