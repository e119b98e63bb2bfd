#!/bin/sh
# test_install.sh SOURCE BUILD: installs to a folder of its own and builds the example against what is there.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
if nm -D "$build/libhone.so" | grep -q '__asan_init'; then
  echo "skipped: the library is built with sanitizers"
  exit 77
fi
prefix=$work/prefix
check "installs" cmake --install "$build" --prefix "$prefix"
pc=$(dirname "$(find "$prefix" -name hone.pc)")
export PKG_CONFIG_PATH="$pc"
# The file says where CMake was configured to install to; here it lies elsewhere.
flags=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs hone)
check "the example builds by pkg-config" cc "$source/examples/classify.c" -o "$work/classify" $flags
LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name libhone.so)")
export LD_LIBRARY_PATH
head -c 3136 /dev/zero >"$work/black"
prints "the example runs" '^class [0-9], score' "$work/classify" "$source/models/digits.onnx" "$work/black"
fails "the example says what is wrong" 1 'does not hold 784 floats' "$work/classify" "$source/models/digits.onnx" "$source/models/README.md.absent"
prints "the program runs" '^hone 0' "$prefix/bin/hone" --version
cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(t C)
find_package(hone REQUIRED)
add_executable(t $source/examples/classify.c)
target_link_libraries(t PRIVATE hone::hone)
CMAKE
check "find_package finds it" sh -c "cmake -S '$work' -B '$work/b' -DCMAKE_PREFIX_PATH='$prefix' && cmake --build '$work/b'"
check "the man page is there" test -f "$prefix/share/man/man1/hone.1"
summary
