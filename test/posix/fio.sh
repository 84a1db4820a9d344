#!/bin/bash
# Runs Debian's fio in six ways, two processes each, and lets it verify what it wrote.
#   fio.sh memory|mirror-auto|mirror-on|mirror-off|native [JOB...]
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
shift
declare -A job=(
  [psync-randwrite]='--rw=randwrite --ioengine=psync --bs=4k'
  [psync-randrw]='--rw=randrw --ioengine=psync --bs=16k'
  [libaio-direct]='--rw=randwrite --ioengine=libaio --bs=4k --direct=1'
  [io_uring]='--rw=randwrite --ioengine=io_uring --bs=4k'
  [mmap]='--rw=randwrite --ioengine=mmap --bs=4k'
  [psync-write]='--rw=write --ioengine=psync --bs=1M'
)
chosen psync-randwrite psync-randrw libaio-direct io_uring mmap psync-write -- "$@"
need fio=fio
mount_filesystem "$filesystem"
cd "$work" || exit 1
for one in "${cases[@]}"; do
  mkdir -p "$mnt/$one"
  # shellcheck disable=SC2086
  limited 300 "$work/out" fio --name=v --directory="$mnt/$one" ${job[$one]} --size="${SIZE_OF_FILE:-64M}" --numjobs=2 --iodepth=8 \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --group_reporting
  status=$?
  if [ $status != 0 ]; then
    verdict FAILED "$one" "status $status: $(grep -m2 -E 'verify:|err=|error=' "$work/out" | tr '\n' ' ')"
  elif ! grep -q '^ *READ: ' "$work/out"; then
    verdict FAILED "$one" "nothing was read back: $(last "$work/out")"
  else
    verdict passed "$one"
  fi
  rm -rf "${mnt:?}/$one"
done
finish fio "$filesystem"
