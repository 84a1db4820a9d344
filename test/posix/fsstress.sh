#!/bin/bash
# Runs fsstress, from a built xfstests, and asks afterwards: is everything still there and the same, is the server as small as before.
#   fsstress.sh FSSTRESS memory|mirror-auto|mirror-on|mirror-off|native [SECONDS [PROCESSES [SEED]]]
# FSSTRESS is the program; SECONDS 120, PROCESSES 8. NOFILE is the server's limit of descriptors (default 1024), GROWTH how many
# MiB of memory it may keep (20), OPTIONS are more options for fsstress (default `-f sync=0`: sync(2) waits for every disk and
# mount of the machine). It writes to drop_caches.
. "$(dirname "$0")/serve.sh"
fsstress=${1:?the path of fsstress is missing} filesystem=${2:?the filesystem is missing}
seconds=${3:-120} processes=${4:-8} seed=${5:-$RANDOM}
growth=${GROWTH:-20} patience=${PATIENCE:-150}
[ -x "$fsstress" ] || fail "$fsstress is no program"
command -v python3 >/dev/null || fail "python3 is missing"
read -ra options <<<"${OPTIONS--f sync=0}"
ulimit -n "${NOFILE:-1024}" || fail "no limit of ${NOFILE:-1024} descriptors can be set"
passed=0 failed=0
# check WHAT COMMAND...: what it prints goes where the caller says, the verdict to the log.
exec 3>&1
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "passed  $what" >&3
  else
    failed=$((failed + 1))
    echo "FAILED  $what" >&3
  fi
}

kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$server/status"; }
mib() { echo "$(($1 / 1024)) MiB"; }
descriptors() { set -- "/proc/$server/fd"/*; echo $#; }
stats() { "${devfuse[@]}" stats --json "$mnt"; }
drop_caches() {
  timeout 120 sh -c 'echo 3 >/proc/sys/vm/drop_caches'
}
# stress SECONDS PROCESSES SEED
stress() {
  mkdir -p "$mnt/stress"
  timeout -k 10 "$(($1 * 2 + 300))" "$fsstress" -d "$mnt/stress" -p "$2" -s "$3" -n 1 --duration="$1" "${options[@]}" \
    >"$work/stress.out" 2>&1
}

look() { python3 "$here/look.py" "$@"; }
same() { diff "$@" >"$work/differences" || { head -20 "$work/differences"; return 1; }; }

mount_filesystem "$filesystem"
[ "$filesystem" = native ] && { mkdir -p "$mnt"; server=$$; }
cold=$(kib)
# A little work first, so that the start is a server that has worked: what it compiles and allocates for good is no leak.
cp -r "$here" "$mnt/warm" && diff -r "$here" "$mnt/warm" && rm -rf "$mnt/warm" || fail "the mount does not work"
warm=$(kib) fds=$(descriptors)
limit=$(awk '/^Max open files/ { print $4 }' "/proc/$server/limits")
echo "server: $(mib "$cold") when mounted, $(mib "$warm") and $fds descriptors after a little work; limit $limit"

(while [ -e "/proc/$server/status" ]; do echo "$SECONDS $(kib) $(descriptors)"; sleep 1; done) >"$work/samples" 2>/dev/null &
sampler=$!
stress "$seconds" "$processes" "$seed"
status=$?
alive() { [ "$filesystem" = native ] || { kill -0 "$server" && stats >"$work/stats.json"; }; }
quiet() { [ ! -e "$work/server.log" ] || { ! sed '/mounted at\|is mirrored at/d' "$work/server.log" | grep .; }; }
check "fsstress: $processes processes, $seconds s, seed $seed" [ "$status" = 0 ]
check "the server lives" alive
[ -s "$work/stats.json" ] && node -e '
  const { operations, inFlight } = JSON.parse(require("node:fs").readFileSync(process.argv[1]))
  const all = Object.values(operations)
  console.log(`${all.reduce((sum, { count }) => sum + count, 0)} requests, ${inFlight} in flight`)
' "$work/stats.json"
echo "$(find "$mnt/stress" | wc -l) files, $(du -sm "$mnt/stress" | cut -f1) MiB"

# Disk filesystems allocate late, and what they allocate counts as blocks.
sync -f "$work"
check "everything can be read" look "$mnt/stress" contents >"$work/used"
full=$(kib)
check "caches dropped" drop_caches
check "everything can be read again" look "$mnt/stress" contents >"$work/fresh"
check "the same after caches are dropped" same "$work/used" "$work/fresh"
if [ -d "$work/src/stress" ]; then
  look "$work/src/stress" >"$work/source"
  look "$mnt/stress" >"$work/mirrored"
  check "mirror and source are the same, attributes" same "$work/source" "$work/mirrored"
  check "mirror and source are the same, diff -r" diff -r --no-dereference "$mnt/stress" "$work/src/stress"
fi
# small WHEN: memory comes back when V8 has collected, which it does in its own time.
small() {
  local rss began=$SECONDS
  timeout 120 sh -c 'echo 2 >/proc/sys/vm/drop_caches'
  while rss=$(kib); [ "$rss" -gt $((warm + growth * 1024)) ] && [ $((SECONDS - began)) -lt "$patience" ]; do sleep 1; done
  echo "server: $(mib "$rss") ($(mib $((rss - warm))) more than at the start) $((SECONDS - began)) s after caches were dropped"
  [ "$rss" -le $((warm + growth * 1024)) ]
}
# A server that keeps the files in its memory cannot give it back before they are gone.
case $filesystem in mirror-*) check "the server is small again" small ;; esac
check "rm -rf" timeout 1800 rm -rf "$mnt/stress"
check "the server is small again without files" small
kill "$sampler"
wait "$sampler" 2>/dev/null
most=$(awk '$3 > most { most = $3 } END { print most }' "$work/samples")
largest=$(awk '$2 > most { most = $2 } END { print most }' "$work/samples")
echo "server: at most $(mib "$largest"), $(mib "$full") before caches were dropped, at most $most descriptors, now $(descriptors)"
check "descriptors under the limit of $limit" [ "$most" -lt "$limit" ]
check "descriptors given back" [ "$(descriptors)" -le $((fds + 5)) ]
check "the server had nothing to complain about" quiet
[ "$filesystem" = native ] && server=
summary "fsstress, $processes processes, $seconds s" "$filesystem" "$passed" "$failed" 0
[ "$failed" = 0 ]
