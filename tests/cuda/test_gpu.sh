#!/bin/sh
# test_gpu.sh SOURCE BUILD: the program on the GPU of this machine, if it has one.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
hone=$build/hone
"$hone" devices >"$work/devices" 2>&1
grep -q '^cuda:0 *yes' "$work/devices" || { echo "skipped: $(grep '^cuda' "$work/devices" | sed 's/  */ /g')"; exit 77; }
cat "$work/devices"
for precision in f32 f16 bf16; do
  check "a model of $precision" "$hone" optimize "$source/models/digits.onnx" --precision=$precision -o "$work/$precision.hone"
done
for settings in graphs=1 graphs=0 check=1 workspace=0; do
  check "f32, $settings" "$hone" compare "$work/f32.hone" --reference --device="cuda:0,$settings" --runs=5
done
check "tf32" "$hone" compare "$work/f32.hone" --reference --device="cuda:0,tf32=1" --runs=5 --tolerance=0.05
check "f16" "$hone" compare "$work/f16.hone" --reference --device=cuda --runs=5 --tolerance=0.05
check "bf16" "$hone" compare "$work/bf16.hone" --reference --device=cuda --runs=5 --tolerance=0.3
check "a profile" "$hone" profile "$work/f32.hone" --device=cuda --runs=5 -o "$work/trace.json"
summary
