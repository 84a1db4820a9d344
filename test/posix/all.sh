#!/bin/bash
# Runs the suites of Debian's programs in a directory on disk and on filesystems, and compares the verdicts one by one.
#   all.sh [--subset] RESULTS FILESYSTEM...
# Filesystems are memory, mirror-auto, mirror-on and mirror-off. The output of every run is kept in RESULTS, and what is there
# already is not run again. --subset is what continuous integration runs: fewer cases, smaller and shorter. SUITES chooses.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
subset=
if [ "${1:-}" = --subset ]; then
  subset=1
  shift
fi
results=${1:?the directory for the results is missing}
shift
[ $# -gt 0 ] || { echo "$0: which filesystems? memory, mirror-auto, mirror-on, mirror-off" >&2; exit 2; }
read -ra suites <<<"${SUITES:-fio dbench bonnie sqlite git npm stress-ng cpython}"
for suite in "${suites[@]:?SUITES names none}"; do
  [ -x "$here/$suite.sh" ] || { echo "$0: there is no suite $suite" >&2; exit 2; }
done
mkdir -p "$results"

# run SUITE FILESYSTEM: with the cases and sizes of the subset, where it is asked for.
run() {
  local suite=$1 filesystem=$2
  if [ -z "$subset" ]; then
    bash "$here/$suite.sh" "$filesystem"
    return
  fi
  case $suite in
    stress-ng)
      T=1 bash "$here/$suite.sh" "$filesystem" access chattr chown dentry fallocate fanotify fcntl fpunch getdent handle inotify \
        lockofd mmap rename utime xattr
      ;;
    fio) SIZE_OF_FILE=16M bash "$here/$suite.sh" "$filesystem" ;;
    dbench) T=5 bash "$here/$suite.sh" "$filesystem" ;;
    bonnie) SIZE_OF_FILE=64 FILES=1:65536:512:4 bash "$here/$suite.sh" "$filesystem" ;;
    sqlite) TRANSACTIONS=30 KILLS=2 bash "$here/$suite.sh" "$filesystem" ;;
    git) DIRECTORIES=10 bash "$here/$suite.sh" "$filesystem" ;;
    npm) PACKAGES='express@5.1.0 typescript@5.6.3 vite@5.4.11 @types/express@5.0.0 @types/node@20.17.10' bash "$here/$suite.sh" "$filesystem" ;;
    cpython)
      bash "$here/$suite.sh" "$filesystem" test_fcntl test_mailbox test_mmap test_os test_pathlib test_posix test_shutil test_tempfile \
        test_zipfile
      ;;
    *) bash "$here/$suite.sh" "$filesystem" ;;
  esac
}

# verdicts FILE: what must be the same everywhere. Why something failed or was not run is told in other words by each.
verdicts() { grep -E '^(passed|FAILED|not run) ' "$1" | sed -E 's/^((FAILED|not run) +[^:]*):.*/\1/'; }

wrong=0
for suite in "${suites[@]}"; do
  for filesystem in native "$@"; do
    log=$results/$suite-$filesystem
    if ! grep -qs '^SUMMARY ' "$log"; then
      run "$suite" "$filesystem" >"$log" 2>&1
      status=$?
      # What fails on disk is tried once more: only what does so always spoils the comparison.
      if [ "$filesystem" = native ] && [ $status != 0 ]; then
        echo "AGAIN   $suite on disk: $(grep -E '^FAILED ' "$log" || tail -3 "$log" | tr '\n' ' ')"
        run "$suite" native >"$log" 2>&1
        status=$?
      fi
      if ! grep -q '^SUMMARY ' "$log"; then
        echo "BROKEN  $suite on $filesystem: status $status: $(tail -3 "$log" | tr '\n' ' ')"
        wrong=$((wrong + 1))
        continue
      fi
    fi
    grep '^SUMMARY ' "$log"
    if [ "$filesystem" = native ]; then
      # A case that fails there can show nothing.
      if grep '^FAILED ' "$log"; then wrong=$((wrong + 1)); fi
    elif ! diff <(verdicts "$results/$suite-native") <(verdicts "$log") >"$results/$suite-$filesystem.diff"; then
      echo "DIFFERS $suite on $filesystem (>) from native (<):"
      cat "$results/$suite-$filesystem.diff"
      grep '^FAILED ' "$log"
      wrong=$((wrong + 1))
    fi
  done
done
if [ $wrong = 0 ]; then echo "the same results on native, $*"; else echo "$wrong runs are not as they must be"; fi
[ $wrong = 0 ]
