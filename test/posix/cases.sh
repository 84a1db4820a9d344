# Sourced, after serve.sh, by the scripts that run programs of Debian: installs what they need, runs one case after the other
# with a time limit, and prints the verdicts: `passed NAME[: RESULT]`, `FAILED NAME: WHY`, `not run NAME: WHY`.
# all.sh compares verdicts and RESULTs, so a RESULT says what must be the same on every filesystem, and nothing else.

cases_passed=0 cases_failed=0 cases_notrun=0
# The id of the session that a case runs in.
session=

end_session() { [ -z "$session" ] || pkill -KILL -s "$session"; }
trap 'end_session; cleanup' EXIT

# need PROGRAM=PACKAGE...: installs the packages whose program, or file where it begins with a slash, is missing.
need() {
  local one missing=()
  for one in "$@"; do
    case $one in
      /*) [ -e "${one%%=*}" ] ;;
      *) PATH=$PATH:/sbin:/usr/sbin command -v "${one%%=*}" >/dev/null ;;
    esac || missing+=("${one#*=}")
  done
  [ ${#missing[@]} = 0 ] && return
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -q -o DPkg::Lock::Timeout=300 update && apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"; } \
    >"$work/apt" 2>&1 || fail "cannot install ${missing[*]}: $(tail -2 "$work/apt")"
}

# limited SECONDS OUTPUT COMMAND...: the status of the command, or 124 when it took too long: SECONDS, or SLOW (default 1)
# times as long, for a machine that has other work. Whatever it leaves running is ended. Who waits for the filesystem
# cannot be killed, so after half a minute more the filesystem is taken away from it.
limited() {
  local seconds=$(($1 * ${SLOW:-1})) output=$2 status deadline
  shift 2
  # A command in the background leads no process group, so setsid does not fork, and its id is that of the new session.
  setsid timeout -k 5 "$seconds" "$@" >"$output" 2>&1 </dev/null &
  session=$!
  deadline=$((SECONDS + seconds + 35))
  while kill -0 "$session" 2>/dev/null; do
    if [ $SECONDS -gt $deadline ]; then
      abort_connection
      break
    fi
    sleep 0.05
  done
  wait "$session" 2>/dev/null
  status=$?
  end_session
  session=
  [ $status = 137 ] && status=124
  return $status
}

# verdict passed|FAILED|'not run' NAME [TEXT]
verdict() {
  case $1 in
    passed) cases_passed=$((cases_passed + 1)) ;;
    FAILED) cases_failed=$((cases_failed + 1)) ;;
    'not run') cases_notrun=$((cases_notrun + 1)) ;;
    *) fail "no such verdict: $1" ;;
  esac
  printf '%-7s %s%s\n' "$1" "$2" "${3:+: $3}"
}

# last FILE: its last lines that say anything, as one.
last() { grep -v '^ *$' "$1" | tail -n "${2:-3}" | tr -s '\n\t ' '   ' | cut -c1-400; }

# expect SECONDS NAME COMMAND...: a case that passes when the command ends with status 0; its RESULT is what the command
# writes to descriptor 3.
expect() {
  local seconds=$1 name=$2 status
  shift 2
  : >"$work/result"
  limited "$seconds" "$work/out" "$@" 3>"$work/result"
  status=$?
  if [ $status = 0 ]; then
    verdict passed "$name" "$(tr '\n' ' ' <"$work/result" | sed 's/ $//')"
  elif [ $status = 124 ]; then
    verdict FAILED "$name" "no end within $((seconds * ${SLOW:-1})) s: $(last "$work/out")"
  else
    verdict FAILED "$name" "status $status: $(last "$work/out")"
  fi
  return $status
}

# chosen ALL... -- GIVEN...: sets `cases` to the given names, which must be among all, or to all.
chosen() {
  local known=() one
  while [ "$1" != -- ]; do
    known+=("$1")
    shift
  done
  shift
  for one in "$@"; do
    [[ " ${known[*]} " == *" $one "* ]] || fail "unknown case $one; there are: ${known[*]}"
  done
  cases=("$@")
  [ $# -gt 0 ] || cases=("${known[@]}")
}

# finish SUITE FILESYSTEM: the summary; fails when a case failed, or when none was run.
finish() {
  summary "$1" "$2" "$cases_passed" "$cases_failed" "$cases_notrun"
  [ $((cases_passed + cases_failed)) -gt 0 ] && [ "$cases_failed" = 0 ]
}
