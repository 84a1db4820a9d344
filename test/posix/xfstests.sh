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
check=
trap 'rm -f "$helper"; [ -n "$check" ] && pkill -KILL -s "$check"; umount -l "$work"/test "$work"/scratch 2>/dev/null; cleanup' EXIT
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
exec perl -MIO::Socket::UNIX -e '
  my \$socket = IO::Socket::UNIX->new(shift) or die "no server: \$!\\n";
  print \$socket "@ARGV\\n";
  \$socket->flush;
  my \$said = <\$socket> // "no answer";
  if (\$said ne "ok\\n") { print STDERR \$said; exit 32 }
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
mapfile -t tests < <(printf '%s\n' "${tests[@]}" | sort -u)
# The suite takes longest to start, so one `check` runs all tests, until one of them takes too long.
passed=0 failed=0 notrun=0 log=$work/check
while [ ${#tests[@]} -gt 0 ]; do
  setsid ./check "${tests[@]}" >"$log" 2>&1 </dev/null &
  check=$! current= since=$SECONDS
  while kill -0 $check 2>/dev/null; do
    sleep 1
    now=$(grep -oE '^generic/[0-9]+' "$log" | tail -1)
    [ "$now" = "$current" ] || { current=$now since=$SECONDS; }
    [ $((SECONDS - since)) -le "${T:-300}" ] && continue
    # Whatever it mounted goes away with it; the next `check` begins afresh.
    pkill -KILL -s $check
    umount -l "$work/test" "$work/scratch" 2>/dev/null
    break
  done
  wait $check 2>/dev/null
  if [ -z "$current" ]; then
    cat "$log"
    fail 'check did not begin'
  fi
  left=()
  for one in "${tests[@]}"; do
    verdict=$(sed -n "s#^$one *##p" "$log")
    grep -qE "^Failures:.* $one( |\$)" "$log" && verdict+=' [failed]'
    case $verdict in
      *'[not run]'*) notrun=$((notrun + 1)) && echo "not run $one: ${verdict##*\[not run\] }" ;;
      *'[failed'* | *'output mismatch'* | *_check_*)
        failed=$((failed + 1))
        echo "FAILED  $one $verdict"
        grep -A12 "^$one" "$log" | sed '1d; /^generic/,$d; s/^/        /'
        ;;
      *[0-9]s) passed=$((passed + 1)) && echo "passed  $one ${verdict##* }" ;;
      *)
        if [ "$one" = "$current" ]; then
          failed=$((failed + 1))
          echo "FAILED  $one took more than ${T:-300} s"
        else
          left+=("$one")
        fi
        ;;
    esac
  done
  tests=("${left[@]}")
done
cd /
summary xfstests "$filesystem" "$passed" "$failed" "$notrun"
[ "$failed" = 0 ]
