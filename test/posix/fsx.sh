#!/bin/bash
# Runs fsx, from a built xfstests or LTP, in four ways.
#   fsx.sh FSX memory|mirror-auto|mirror-on|mirror-off|native [OPERATIONS [SEED [WAY...]]]
# FSX is the program; OPERATIONS (default 100000) are for each of the WAYs, all four without any:
#   buffered   read, write, mmap, fallocate, copy_file_range, truncate
#   reopened   fsync and invalidate after every write; one in 50 times close, drop_caches for the whole machine, open
#   aio        asynchronous, larger
#   direct     O_DIRECT
. "$(dirname "$0")/serve.sh"
fsx=${1:?the path of fsx is missing} filesystem=${2:?the filesystem is missing}
operations=${3:-100000} seed=${4:-$RANDOM}
shift $(($# < 4 ? $# : 4))
ways=("$@")
[ $# = 0 ] && ways=(buffered reopened aio direct)
[ -x "$fsx" ] || fail "$fsx is no program"
declare -A arguments=(
  [buffered]=''
  [reopened]='-y -f -c 50'
  [aio]='-A -l 1048576 -o 262144'
  [direct]='-Z -R -W -r 4096 -w 4096 -t 4096'
)
for way in "${ways[@]}"; do [ -n "${arguments[$way]+set}" ] || fail "unknown way $way; there are ${!arguments[*]}"; done
mount_filesystem "$filesystem"
[ "$filesystem" = native ] && mkdir -p "$mnt"
passed=0 failed=0
for way in "${ways[@]}"; do
  mkdir -p "$work/$way"
  began=$(date +%s)
  if "$fsx" -q -N "$operations" -S "$seed" -P "$work/$way" ${arguments[$way]} "$mnt/$way" >"$work/$way/out" 2>&1; then
    passed=$((passed + 1))
    echo "$way: $operations operations, seed $seed, $(($(date +%s) - began)) s: no mismatch"
  else
    failed=$((failed + 1))
    echo "$way: FAILED, seed $seed"
    tail -20 "$work/$way/out"
  fi
done
summary "fsx ${ways[*]}, $operations operations each" "$filesystem" "$passed" "$failed" 0
[ "$failed" = 0 ]
