#!/bin/bash
# Runs the modules of CPython's own tests (Debian's Python 3.11) that are about files, each in a process of its own.
#   cpython.sh memory|mirror-auto|mirror-on|mirror-off|native [MODULE...]
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
shift
modules=(
  test_bufio test_bz2 test_compileall test_dbm test_dbm_dumb test_dbm_gnu test_dbm_ndbm test_fcntl test_file test_filecmp
  test_fileinput test_fileio test_fnmatch test_genericpath test_glob test_gzip test_import test_io test_ioctl test_largefile
  test_linecache test_mailbox test_mmap test_os test_pathlib test_posix test_posixpath test_py_compile test_shelve test_shutil
  test_stat test_subprocess test_tarfile test_tempfile test_unicode_file_functions test_univnewlines test_zipfile test_zipimport
)
chosen "${modules[@]}" -- "$@"
python=/usr/bin/python3.11
need $python=python3.11 /usr/lib/python3.11/test/test_os.py=libpython3.11-testsuite
mount_filesystem "$filesystem"
# Tests of byte code need it written.
unset PYTHONDONTWRITEBYTECODE
export TMPDIR=$mnt HOME=$work
for one in "${cases[@]}"; do
  limited "${T:-400}" "$work/out" "$python" -m test -u largefile --tempdir "$mnt" "$one"
  status=$?
  if [ $status = 0 ] && grep -q '^1 test OK' "$work/out"; then
    verdict passed "$one"
  elif [ $status = 124 ]; then
    verdict FAILED "$one" "no end: $(last "$work/out")"
  elif grep -q '^1 test skipped' "$work/out"; then
    verdict 'not run' "$one" "$(grep -m1 " skipped -- " "$work/out" | sed 's/.* skipped -- //')"
  else
    verdict FAILED "$one" "status $status: $(grep -E '^(FAIL|ERROR|[A-Za-z.]*(Error|Exception)|Warning)\b' "$work/out" | head -4 | tr '\n' ' ')"
  fi
done
finish CPython "$filesystem"
