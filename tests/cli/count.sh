# count.sh - for shell tests: check NAME COMMAND..., fails NAME STATUS PATTERN COMMAND..., and a count at the end.
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  printf 'FAILED %s\n' "$1"
  [ ! -s "$work/log" ] || sed 's/^/    /' "$work/log" | head -20
}
# The command succeeds.
check() {
  name=$1
  shift
  if "$@" >"$work/log" 2>&1; then ok; else bad "$name"; fi
}
# The command prints this (a pattern of grep -E).
prints() {
  name=$1 pattern=$2
  shift 2
  if "$@" >"$work/log" 2>&1 && grep -qE -- "$pattern" "$work/log"; then ok; else bad "$name"; fi
}
# The command fails with this status and one line on stderr that has this.
fails() {
  name=$1 status=$2 pattern=$3
  shift 3
  got=0
  "$@" >/dev/null 2>"$work/log" || got=$?
  if [ "$got" -eq "$status" ] && [ "$(wc -l <"$work/log")" -eq 1 ] && grep -qE -- "$pattern" "$work/log"; then ok
  else
    echo "exit status $got, wanted $status and one line with: $pattern" >>"$work/log"
    bad "$name"
  fi
}
summary() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
