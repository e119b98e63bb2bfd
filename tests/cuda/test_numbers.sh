#!/bin/sh
# test_numbers.sh SOURCE INCLUDE...: the numbers in the headers that stand in for CUDA's, cuDNN's and cuBLASLt's are theirs.
set -u
source=$1
shift
. "$source/tests/cli/count.sh"
[ $# -gt 0 ] && [ -n "$1" ] || { echo "skipped: the headers of CUDA and cuDNN are not here"; exit 77; }
includes=
for i in "$@"; do includes="$includes -I$i"; done
for header in cuda_runtime.h cudnn_graph.h cublasLt.h; do
  {
    [ $header = cuda_runtime.h ] && echo "#include <cuda_runtime_api.h>" || echo "#include <$header>"
    sed -nE 's/^[[:space:]]*((cuda|CUDNN_|CUBLAS|CUDA_R)[A-Za-z0-9_]*) = ([0-9]+),.*/_Static_assert(\1 == \3, "\1");/p' \
      "$source/tests/cuda/emulated/$header"
  } >"$work/$header.c"
  n=$(grep -c _Static_assert "$work/$header.c")
  if [ "$n" -gt 5 ]; then ok; else bad "$header has numbers"; fi
  # shellcheck disable=SC2086
  check "$header" cc -std=c11 -Wno-deprecated-declarations $includes -fsyntax-only "$work/$header.c"
done
summary
