#!/bin/sh
# run-tests.sh BUILD [PRESET]: builds and runs all tests; the last line is "N passed, N failed".
set -eu
build=$1
preset=${2:-release}
mkdir -p "$build"
cmake --preset "$preset" -B "$build" -DHONE_TESTS=ON -DHONE_WERROR=OFF >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
cmake --build "$build" -j "$(nproc)"
# LeakSanitizer dies of the thread-local memory of libraries that are opened after the start, as oneDNN is.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}intercept_tls_get_addr=0"
status=0
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --output-log "$build/ctest.log" || status=$?
# Programs count their own cases; a program that died without a count is one failure.
awk '
  /^ *[0-9]+\/[0-9]+ Test/ && /(Failed|\*\*\*)/ && !/Skipped/ { broken++ }
  END { print broken + 0 }' "$build/ctest.log" >"$build/broken"
cases=$(grep -hoE '[0-9]+ passed, [0-9]+ failed' "$build/Testing/Temporary/LastTest.log" 2>/dev/null |
  awk '{ p += $1; f += $3 } END { print p + 0, f + 0 }')
passed=${cases% *}
failed=${cases#* }
[ "$failed" -gt 0 ] || failed=$(cat "$build/broken")
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
exit "$status"
