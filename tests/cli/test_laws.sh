#!/bin/sh
# test_laws.sh SOURCE BUILD: what HACKING.md promises of the source tree.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
cd "$source" || exit 1

# Which rooms a room may include, itself aside.
allowed() {
  case $1 in
    base) echo "" ;;
    ir) echo "base" ;;
    op) echo "base ir" ;;
    rewrite) echo "base ir op" ;;
    pass) echo "base ir op rewrite" ;;
    quant) echo "base ir op rewrite pass" ;;
    format) echo "base ir op" ;;
    device) echo "base ir op" ;;
    plan) echo "base ir op device" ;;
    engine) echo "base ir op device plan" ;;
    run) echo "base ir op rewrite pass quant format device plan engine" ;;
  esac
}
for room in base ir op rewrite pass quant format device plan engine run; do
  : >"$work/log"
  for other in base ir op rewrite pass quant format device plan engine run; do
    case " $room $(allowed $room) " in *" $other "*) continue ;; esac
    grep -rn "#include \"$other/" "src/$room" >>"$work/log"
  done
  if [ -s "$work/log" ]; then bad "src/$room includes a room it may not"; else ok; fi
done

grep -rnE '#include "(base|ir|op|rewrite|pass|quant|format|device|plan|engine|run)/' cli examples >"$work/log"
if [ -s "$work/log" ]; then bad "the program uses only hone.h"; else ok; fi
grep -rnE '\b(malloc|calloc|realloc|free)\(' src --include=*.c --include=*.h | grep -v '^src/base/' >"$work/log"
if [ -s "$work/log" ]; then bad "memory comes from src/base alone"; else ok; fi
grep -rnE '\b(printf|puts|fprintf|abort|exit|assert)\(' src --include=*.c | grep -vE 'hn_str_printf|hn_arena_printf|snprintf' >"$work/log"
if [ -s "$work/log" ]; then bad "the library neither prints nor ends the program"; else ok; fi
find src cli include -name '*.[ch]' | sed 's|.*/||' | sort | uniq -d >"$work/log"
if [ -s "$work/log" ]; then bad "file names are unique"; else ok; fi

echo '#include "hone.h"' >"$work/h.c"
check "hone.h compiles alone as C11" cc -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only "$work/h.c"
check "hone.h compiles alone as C++17" c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c++ "$work/h.c"
nm -D --defined-only "$build/libhone.so" | awk '{ print $3 }' | grep -vE '^hone_|^_(init|fini|edata|end)|^__bss_start|^__(asan|ubsan|odr)' >"$work/log"
if [ -s "$work/log" ]; then bad "libhone exports hone_* alone"; else ok; fi
sed -n 's/^HONE_API .*[ *]\(hone_[a-z0-9_]*\)(.*/\1/p' include/hone.h | sort -u >"$work/declared"
nm -D --defined-only "$build/libhone.so" | awk '$3 ~ /^hone_/ { print $3 }' | sort -u >"$work/exported"
comm -23 "$work/declared" "$work/exported" >"$work/log"
if [ -s "$work/log" ]; then bad "everything hone.h declares is there"; else ok; fi
check "docs/operators.md can be made" sh -c 'tools/operators-doc.sh "$1" >"$2"' - "$build/hone" "$work/operators.md"
diff docs/operators.md "$work/operators.md" >"$work/log" 2>&1
if [ -s "$work/log" ]; then bad "docs/operators.md is what tools/operators-doc.sh makes"; else ok; fi
summary
