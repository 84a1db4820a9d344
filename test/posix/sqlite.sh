#!/bin/bash
# Tortures SQLite databases in four journal modes: see sqlite-torture.ts.
#   sqlite.sh memory|mirror-auto|mirror-on|mirror-off|native [delete|truncate|persist|wal...]
# WRITERS (default 4), TRANSACTIONS of each (default 120), KILLS (default 5).
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
shift
chosen delete truncate persist wal -- "$@"
need sqlite3=sqlite3
mount_filesystem "$filesystem"
for one in "${cases[@]}"; do
  expect 300 "$one" node "$root/build/test/posix/sqlite-torture.js" "$mnt/$one.db" "$one" "${WRITERS:-4}" "${TRANSACTIONS:-120}" "${KILLS:-5}"
done
finish sqlite "$filesystem"
