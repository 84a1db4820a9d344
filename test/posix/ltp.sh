#!/bin/bash
# Runs the file-system system call tests of a built and installed LTP, each with a time limit.
#   ltp.sh SUITE memory|mirror-auto|mirror-on|mirror-off|native [TEST...]
# SUITE holds testcases/bin; TESTs are programs in it, such as rename01. Without any, all whose name begins as one of the
# file-system calls does. T is the time limit in seconds (default 100).
. "$(dirname "$0")/serve.sh"
suite=${1:?the path of an installed LTP is missing} filesystem=${2:?the filesystem is missing}
shift 2
[ -d "$suite/testcases/bin" ] || fail "$suite holds no testcases/bin; install LTP there"
calls='access|chdir|chmod|chown|creat|dup|faccessat|fallocate|fchdir|fchmod|fchown|fcntl|flock|fstat|fsync|ftruncate|getcwd|getdents|getxattr|lchown|link|linkat|listxattr|lgetxattr|llistxattr|lremovexattr|lseek|lstat|mkdir|mknod|name_to_handle_at|open|open_by_handle_at|openat|pread|preadv|pwrite|pwritev|read|readdir|readlink|readv|removexattr|rename|renameat|rmdir|sendfile|setxattr|stat|statfs|statvfs|statx|symlink|sync_file_range|truncate|umask|unlink|utime|utimensat|write|writev'
# These fill the disk, or outlive their time limit.
excluded='fallocate05|fallocate06|writev03|preadv203_64'
if [ $# = 0 ]; then
  mapfile -t tests < <(ls "$suite/testcases/bin" | grep -E "^($calls)2?[0-9]{2}(_64)?$" | grep -vE "^($excluded)$")
else
  tests=("$@")
fi
mount_filesystem "$filesystem"
mkdir -p "$mnt/ltp"
chmod 1777 "$mnt/ltp"
export TMPDIR=$mnt/ltp LTPROOT=$suite PATH=$suite/testcases/bin:$PATH LTP_COLORIZE_OUTPUT=0
passed=0 failed=0 notrun=0
for one in "${tests[@]}"; do
  cd "$TMPDIR" || exit 1
  setsid timeout -k 5 "${T:-100}" "$one" >"$work/one" 2>&1 </dev/null
  status=$?
  # Exit status of LTP: 0 passed, 32 not fit for this machine; 1 failed, 2 broken, 4 warned.
  if [ $status = 0 ]; then
    passed=$((passed + 1))
  elif [ $status = 32 ]; then
    notrun=$((notrun + 1))
    echo "not run $one: $(grep -m1 -E 'TCONF' "$work/one" | sed 's/.*TCONF[: ]*//')"
  else
    failed=$((failed + 1))
    echo "FAILED  $one: status $status: $(grep -m1 -E 'TFAIL|TBROK' "$work/one")"
  fi
done
cd /
summary LTP "$filesystem" "$passed" "$failed" "$notrun"
[ "$failed" = 0 ]
