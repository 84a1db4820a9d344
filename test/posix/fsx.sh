#!/bin/bash
# Runs fsx, from a built xfstests or LTP, in four ways: buffered with mmap and fallocate, reopened and synced, AIO, O_DIRECT.
#   fsx.sh FSX memory|mirror-auto|mirror-on|mirror-off|native [OPERATIONS [SEED]]
# FSX is the program; OPERATIONS (default 100000) are for each of the four.
. "$(dirname "$0")/serve.sh"
fsx=${1:?the path of fsx is missing} filesystem=${2:?the filesystem is missing}
operations=${3:-100000} seed=${4:-$RANDOM}
[ -x "$fsx" ] || fail "$fsx is no program"
mount_filesystem "$filesystem"
[ "$filesystem" = native ] && mkdir -p "$mnt"
passed=0 failed=0
run() {
  local name=$1
  shift
  mkdir -p "$work/$name"
  if "$fsx" -q -N "$operations" -S "$seed" -P "$work/$name" "$@" "$mnt/$name" >"$work/$name/out" 2>&1; then
    passed=$((passed + 1))
    echo "$name: $operations operations, seed $seed: no mismatch"
  else
    failed=$((failed + 1))
    echo "$name: FAILED, seed $seed"
    tail -20 "$work/$name/out"
  fi
}
run buffered
run reopened -y -f -c 50
run aio -A -l 1048576 -o 262144
run direct -Z -R -W -r 4096 -w 4096 -t 4096
summary "fsx, 4 x $operations operations" "$filesystem" "$passed" "$failed" 0
[ "$failed" = 0 ]
