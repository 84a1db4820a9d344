#!/bin/bash
# Runs pjdfstest (the C version, already built) as root.
#   pjdfstest.sh SUITE memory|mirror-auto|mirror-on|mirror-off|native [FILE...]
# SUITE is the directory that holds the program `pjdfstest` and `tests/`; FILEs are below tests/, such as chmod/00.t.
. "$(dirname "$0")/serve.sh"
suite=${1:?the path of a built pjdfstest is missing} filesystem=${2:?the filesystem is missing}
shift 2
[ -x "$suite/pjdfstest" ] || fail "$suite holds no program pjdfstest; build it there"
suite=$(cd "$suite" && pwd)
mount_filesystem "$filesystem"
mkdir -p "$mnt/pjd" && cd "$mnt/pjd" || exit 1
files=("${@/#/$suite/tests/}")
[ $# -gt 0 ] || files=("$suite/tests")
prove -r "${files[@]}" >"$work/log" 2>&1
cd /
grep -E 'Failed|Wstat|Dubious|not ok' "$work/log"
total=$(sed -n 's/.*Tests=\([0-9]*\).*/\1/p' "$work/log")
failed=$(sed -n 's/.*Failed: \([0-9]*\)).*/\1/p' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
grep -q '^Result: ' "$work/log" || fail "prove did not end: $(tail -3 "$work/log")"
summary pjdfstest "$filesystem" "$((total - failed))" "$failed" 0
grep -q '^Result: PASS' "$work/log"
