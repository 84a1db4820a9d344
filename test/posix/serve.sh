# Sourced by the scripts beside it: mounts the filesystem under test, takes it away again, and writes the summary.
# Filesystems: memory, mirror-auto, mirror-on, mirror-off (passthrough), native (a plain directory).
# SOURCE (ext4, xfs, btrfs) puts a mirror's source, or the plain directory, on a filesystem of that kind and of SOURCE_SIZE
# (default 16G, sparse) on a loop device; without it, it lies in WORK. TRANSPORT (device, ring, auto) goes to the option of that name.

set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
devfuse=(node "$root/dist/cli/main.js")

# A mount namespace of our own: df(1) and the like then meet no FUSE mounts of others that may hang, and ours end with us.
if [ -z "${DEVFUSE_POSIX_NAMESPACE:-}" ]; then
  export DEVFUSE_POSIX_NAMESPACE=1
  exec unshare --mount --propagation private bash "$0" "$@"
fi

awk '/ - fuse/ && !/ - fusectl/ { print $5 }' /proc/self/mountinfo | while read -r other; do umount -l "$other"; done

work=$(mktemp -d "${WORK:-${TMPDIR:-/tmp}}/devfuse-posix-XXXXXX")
chmod 755 "$work"
mnt=$work/mnt
server=
started=$(date +%s)
commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)

fail() { echo "$0: $*" >&2; exit 2; }

# prepare_source DIRECTORY: makes it, on a device of its own where SOURCE says so.
prepare_source() {
  mkdir -p "$1"
  [ -n "${SOURCE:-}" ] || return 0
  local image=$1.img quiet=-q
  [ "$SOURCE" = ext4 ] && quiet='-q -F'
  truncate -s "${SOURCE_SIZE:-16G}" "$image"
  # shellcheck disable=SC2086
  "mkfs.$SOURCE" $quiet "$image" && mount -o loop "$image" "$1" || fail "no $SOURCE for $1"
}

# mount_filesystem NAME [ARGUMENTS of devfuse]: at $mnt, with everything that the suites need.
mount_filesystem() {
  local name=$1
  shift
  mkdir -p "$mnt"
  case $name in
    native) prepare_source "$mnt"; return ;;
    mirror-*) prepare_source "$work/src" ;;
  esac
  [ -n "${TRANSPORT:-}" ] && set -- --transport "$TRANSPORT" "$@"
  case $name in
    memory) "${devfuse[@]}" memory "$mnt" --size "${SIZE:-4G}" "$@" >"$work/server.log" 2>&1 & ;;
    mirror-*) "${devfuse[@]}" mirror "$work/src" "$mnt" --passthrough "${name#mirror-}" "$@" >"$work/server.log" 2>&1 & ;;
    *) fail "unknown filesystem $name; it is memory, mirror-auto, mirror-on, mirror-off or native" ;;
  esac
  server=$!
  for _ in $(seq 100); do
    mountpoint -q "$mnt" && return
    sleep 0.1
  done
  cat "$work/server.log" >&2
  fail "$name did not mount"
}

# Ends the connection of the mount, and with it whatever waits for an answer that does not come.
abort_connection() {
  local minor control=/sys/fs/fuse/connections
  minor=$(awk -v mnt="$mnt" '$5 == mnt { print $3 }' /proc/self/mountinfo | tail -1 | cut -d: -f2)
  [ -n "$minor" ] || return 0
  [ -e "$control/$minor" ] || mount -t fusectl fusectl "$control"
  [ ! -e "$control/$minor/abort" ] || echo 1 >"$control/$minor/abort"
}

cleanup() {
  if [ -n "$server" ] && kill "$server" 2>/dev/null; then
    for _ in $(seq 100); do
      kill -0 "$server" 2>/dev/null || break
      sleep 0.1
    done
    abort_connection
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  umount -l "$mnt" 2>/dev/null
  umount "$work"/src "$work"/src/* 2>/dev/null
  [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# summary SUITE FILESYSTEM PASSED FAILED NOTRUN: the line that docs/conformance.md is made of.
summary() {
  echo "SUMMARY $1 | $2${SOURCE:+ of $SOURCE}${TRANSPORT:+ by $TRANSPORT} | passed $3 | failed $4 | not run $5 | $(($(date +%s) - started)) s | $(date -I) | $commit"
}
