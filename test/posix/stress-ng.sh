#!/bin/bash
# Runs the stressors of Debian's stress-ng that act on files, one by one, two processes each, and lets it verify.
#   stress-ng.sh memory|mirror-auto|mirror-on|mirror-off|native [STRESSOR...]
# T is the time of each in seconds (default 4).
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
shift
# By default without io-uring, which fails on ext4 in this version.
stressors=(
  access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fanotify fcntl fiemap file-ioctl
  filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd mknod open
  rename symlink sync-file touch utime verity xattr
  aio aiol mmap mmapfixed mmapfork msync readahead revio seek sendfile splice tee vm-splice
)
[ $# = 0 ] || stressors=("$@")
need stress-ng=stress-ng
mount_filesystem "$filesystem"
seconds=${T:-4}
for one in "${stressors[@]}"; do
  mkdir -p "$mnt/$one"
  # What it has made is removed after the time is over, which takes longer than the making.
  limited $((seconds * 10 + 120)) "$work/out" stress-ng "--$one" 2 -t "$seconds" --verify --temp-path "$mnt/$one" \
    --hdd-bytes 64M --iomix-bytes 64M --fallocate-bytes 64M --copy-file-bytes 128M
  status=$?
  # Exit status of stress-ng: 2 a stressor failed, 3 no resources, 4 not implemented here.
  why=$(grep -E 'fail:|skipping|not supported|not implemented|no resource' "$work/out" | sed -n '1s/^stress-ng: //p')
  case $status in
    0)
      # A stressor that found nothing to do says so, and ends well.
      if grep -q 'skipping stress test' "$work/out"; then verdict 'not run' "$one" "$why"; else verdict passed "$one"; fi
      ;;
    3 | 4) verdict 'not run' "$one" "$why" ;;
    124) verdict FAILED "$one" "no end: $(last "$work/out")" ;;
    *) verdict FAILED "$one" "status $status: ${why:-$(last "$work/out")}" ;;
  esac
  limited 120 "$work/out" rm -rf "${mnt:?}/$one" || verdict FAILED "$one, removal" "$(last "$work/out")"
done
finish stress-ng "$filesystem"
