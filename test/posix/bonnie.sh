#!/bin/bash
# Runs Debian's bonnie++: blocks and seeks of one large file, then many small ones made, looked at and removed.
#   bonnie.sh memory|mirror-auto|mirror-on|mirror-off|native
# SIZE_OF_FILE in MiB (default 256). Without the phases that write single bytes (-f).
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
need bonnie++=bonnie++
mount_filesystem "$filesystem"
mkdir "$mnt/bonnie"
size=${SIZE_OF_FILE:-256}
limited 600 "$work/out" bonnie++ -d "$mnt/bonnie" -s "$size" -r $((size / 4)) -n "${FILES:-8:65536:512:4}" -x 1 -u root -q -f
status=$?
# The results are one line with commas.
if [ $status != 0 ] || ! grep -qE '^[0-9.]+,[0-9.a-z]+,.*,' "$work/out"; then
  verdict FAILED phases "status $status: $(last "$work/out")"
elif [ -n "$(ls -A "$mnt/bonnie")" ]; then
  verdict FAILED phases "left behind: $(find "$mnt/bonnie" -mindepth 1 | head -3 | tr '\n' ' ')"
else
  verdict passed phases
fi
finish bonnie++ "$filesystem"
