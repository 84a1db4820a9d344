#!/bin/bash
# Runs Debian's dbench: what 4 clients of a file server do.
#   dbench.sh memory|mirror-auto|mirror-on|mirror-off|native
# T is the time in seconds (default 20). The throughput goes to the output, as a remark: it is no verdict.
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
need dbench=dbench
mount_filesystem "$filesystem"
seconds=${T:-20}
limited $((seconds * 5 + 60)) "$work/out" dbench -D "$mnt" -t "$seconds" -c /usr/share/dbench/client.txt 4
status=$?
# Clients that meet an error say so and end; the status of dbench is 0 all the same.
complaint=$(grep -iE 'fail|error|expected|unable|child .* exit' "$work/out" | grep -v '^ *NT\|Throughput' | head -2 | tr '\n' ' ')
throughput=$(sed -n 's/^Throughput \([0-9.]*\) MB.*/\1/p' "$work/out")
if [ $status != 0 ] || [ -n "$complaint" ] || [ -z "$throughput" ] || [ "${throughput%%.*}" = 0 ]; then
  verdict FAILED clients "status $status: ${complaint:-$(last "$work/out")}"
else
  verdict passed clients
  echo "# $throughput MB/s"
fi
finish dbench "$filesystem"
