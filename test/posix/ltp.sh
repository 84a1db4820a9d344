#!/bin/bash
# Runs the file-system tests of a built and installed LTP, each with a time limit.
#   ltp.sh SUITE memory|mirror-auto|mirror-on|mirror-off|native [TEST...]
# SUITE holds testcases/bin and runtest; TESTs are names in its lists, such as rename01. Without any, all tests of file-system
# calls, direct I/O, file stress and permissions. T is the time limit in seconds (default 100). With BIND=1, tests that make a
# filesystem on a device of their own, which would be ext4, get a directory of the filesystem under test in its place.
# The tests may have 1024 descriptors each, as is usual; the server has as many as it can get.
. "$(dirname "$0")/serve.sh"
. "$(dirname "$0")/cases.sh"
suite=${1:?the path of an installed LTP is missing} filesystem=${2:?the filesystem is missing}
shift 2
[ -d "$suite/testcases/bin" ] && [ -e "$suite/runtest/syscalls" ] || fail "$suite holds no testcases/bin and runtest; install LTP there"
calls='access|chdir|chmod|chown|copy_file_range|creat|dup|execve|faccessat|fallocate|fanotify|fchdir|fchmod|fchown|fcntl|fdatasync|fgetxattr|file_attr|flistxattr|flock|fremovexattr|fsetxattr|fstat|fstatfs|fsync|ftruncate|futimesat|getcwd|getdents|getxattr|inotify|io_submit|lchown|lgetxattr|link|linkat|listxattr|llistxattr|llseek|lremovexattr|lseek|lstat|mincore|mkdir|mkdirat|mknod|mknodat|mmap|mremap|msync|name_to_handle_at|nftw|open|open_by_handle_at|open_tree|openat|posix_fadvise|pread|preadv|pwrite|pwritev|read|readahead|readdir|readlink|readlinkat|readv|removexattr|rename|renameat|rmdir|sendfile|setxattr|splice|stat|statfs|statvfs|statx|symlink|symlinkat|sync|sync_file_range|syncfs|tee|truncate|umask|unlink|unlinkat|utime|utimensat|utimes|vmsplice|write|writev'
# These fill the disk, or outlive their time limit.
excluded='fallocate05|fallocate06|writev03|preadv203_64'
# LTP's lists have lines of a name and its command.
entries() { sed -E '/^[[:space:]]*(#|$)/d; s/^([^[:space:]]+)[[:space:]]+/\1 /' "$suite"/runtest/{syscalls,dio,fs_perms_simple,fs}; }
if [ $# = 0 ]; then
  fs='dio|fs_perms|gf|rwtest|iogen|fs_inod|linker|openfile|inode|stream|ftest|lftest'
  mapfile -t tests < <(entries | grep -E "^(($calls)2?[0-9]{2}[A-Z]?(_16|_64)?|($fs)[0-9]{2}) " | grep -vE "^($excluded) " | awk '!seen[$1]++')
else
  for one in "$@"; do
    entry=$(entries | awk -v name="$one" '$1 == name { print; exit }')
    tests+=("${entry:-$one $one}")
  done
fi
mount_filesystem "$filesystem"
mkdir -p "$mnt/ltp"
chmod 1777 "$mnt/ltp"
export TMPDIR=$mnt/ltp LTPROOT=$suite PATH=$suite/testcases/bin:$PATH LTP_COLORIZE_OUTPUT=0
preload=
if [ -n "${BIND:-}" ]; then
  export DEVFUSE_LTP_DEVICE=$mnt/device LTP_SINGLE_FS_TYPE=ext4
  mkdir -p "$DEVFUSE_LTP_DEVICE" "$work/bin"
  cc -O2 -Wall -Wextra -shared -fPIC -o "$work/ltp-mount.so" "$here/ltp-mount.c" || fail 'a C compiler is missing'
  preload=$work/ltp-mount.so
  # What LTP formats a device with, and asks the version of.
  cat >"$work/bin/mkfs.ext4" <<'MKFS'
#!/bin/sh
[ "$1" = -V ] && exec /sbin/mkfs.ext4 -V
find "$DEVFUSE_LTP_DEVICE" -mindepth 1 -delete
chown 0:0 "$DEVFUSE_LTP_DEVICE"
chmod 755 "$DEVFUSE_LTP_DEVICE"
MKFS
  chmod 755 "$work/bin/mkfs.ext4"
  PATH=$work/bin:$PATH
fi
ulimit -S -n 1024
for entry in "${tests[@]}"; do
  read -r one command <<<"$entry"
  cd "$TMPDIR" || exit 1
  limited "${T:-100}" "$work/one" env ${preload:+"LD_PRELOAD=$preload"} bash -c "$command"
  # Exit status of LTP: 32 not fit for this machine; 1 failed, 2 broken, 4 warned.
  case $? in
    0) verdict passed "$one" ;;
    32) verdict 'not run' "$one" "$(grep -m1 -aE 'TCONF' "$work/one" | sed 's/.*TCONF[: ]*//')" ;;
    124) verdict FAILED "$one" 'took too long' ;;
    *) verdict FAILED "$one" "$(grep -m1 -aE 'TFAIL|TBROK|TWARN' "$work/one")" ;;
  esac
done
cd /
summary LTP "$filesystem" "$cases_passed" "$cases_failed" "$cases_notrun"
[ "$cases_failed" = 0 ]
