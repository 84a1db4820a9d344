#!/bin/bash
# Runs generic tests of a built xfstests with FSTYP=fuse, one by one with a time limit, mounting and unmounting as they like.
#   xfstests.sh SUITE memory|mirror-auto|mirror-on|mirror-off [TEST...]
# TESTs are such as generic/001; without any, the group `quick`. T is the time limit in seconds (default 300). The users fsgqa,
# fsgqa2 and 123456-fsgqa have to exist. REFUSE names flags of INIT that the filesystem does without. While it runs, /sbin/mount.fuse.devfuse is ours.
. "$(dirname "$0")/serve.sh"
suite=${1:?the path of a built xfstests is missing} filesystem=${2:?the filesystem is missing}
shift 2
[ -x "$suite/check" ] && [ -x "$suite/ltp/fsx" ] || fail "$suite holds no built xfstests"
case $filesystem in memory | mirror-auto | mirror-on | mirror-off) ;; *) fail "unknown filesystem $filesystem" ;; esac
helper=/sbin/mount.fuse.devfuse
[ -e "$helper" ] && fail "$helper exists: another run uses it, or left it behind; remove it"
trap 'rm -f "$helper"; umount -l "$work"/test "$work"/scratch 2>/dev/null; cleanup' EXIT
cat >"$helper" <<HELPER
#!/bin/bash
# mount.fuse.devfuse DEVICE MOUNTPOINT -o OPTIONS: asks the server of the run.
device=\$1 where=\$2 options=
shift 2
while [ \$# -gt 0 ]; do
  if [ "\$1" = -o ]; then options=\$2; shift; fi
  shift
done
case ,\$options, in *,remount,*) exec mount -i -o "\$options" "\$where" ;; esac
exec node -e '
  const socket = require("node:net").connect(process.argv[1], () => socket.write(process.argv.slice(2).join(" ") + "\n"))
  let said = ""
  socket.on("data", (text) => (said += text))
  socket.on("close", () => { if (said !== "ok\n") { console.error(said); process.exit(32) } })
  socket.on("error", (error) => { console.error(String(error)); process.exit(32) })
' "$work/socket" "\$device" "\$where" "\$options"
HELPER
chmod +x "$helper"
mkdir -p "$work/test" "$work/scratch" "$work/results"
if [ "$filesystem" != memory ]; then
  prepare_source "$work/src/devfuse-test"
  prepare_source "$work/src/devfuse-scratch"
fi
node "$root/build/test/posix/remount-server.js" "$work/socket" "$filesystem" "$work/src" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.1; done
export TEST_DEV=devfuse-test TEST_DIR=$work/test SCRATCH_DEV=devfuse-scratch SCRATCH_MNT=$work/scratch
export FSTYP=fuse FUSE_SUBTYP=.devfuse RESULT_BASE=$work/results HOST_OPTIONS=/dev/null
cd "$suite" || exit 1
if [ $# = 0 ]; then
  mapfile -t tests < <(awk '/^[0-9]/ && / quick( |$)/ { print "generic/" $1 }' tests/generic/group.list)
else
  tests=("$@")
fi
passed=0 failed=0 notrun=0
for one in "${tests[@]}"; do
  since=$(date +%s)
  timeout -k 5 "${T:-300}" ./check "$one" >"$work/one" 2>&1 </dev/null
  status=$?
  took=$(($(date +%s) - since))s
  if grep -q '\[not run\]' "$work/one"; then
    notrun=$((notrun + 1))
    echo "not run $one: $(sed -n 's/.*\[not run\] //p' "$work/one" | head -1)"
  elif [ $status = 0 ]; then
    passed=$((passed + 1))
    echo "passed  $one $took"
  else
    failed=$((failed + 1))
    echo "FAILED  $one $took: status $status"
    grep -A10 "^$one" "$work/one" | sed 's/^/        /'
    if [ $status = 124 ] || [ $status = 137 ]; then umount -l "$work/test" "$work/scratch" 2>/dev/null; fi
  fi
done
cd /
summary xfstests "$filesystem" "$passed" "$failed" "$notrun"
[ "$failed" = 0 ]
