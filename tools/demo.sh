#!/bin/sh
# demo.sh HONE: the main job on the embedded model: optimize, prove it is still right, measure, save, run.
set -eu
hone=$1
here=$(cd "$(dirname "$0")/.." && pwd)
model=$here/models/digits.onnx
images=$here/models/digits
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "1. The model as PyTorch saved it"
"$hone" show "$model"

say "2. Optimize it, and compare the outputs before and after"
"$hone" optimize "$model" -o "$out/digits.hone"
"$hone" optimize "$model" -o "$out/digits.onnx" >/dev/null
"$hone" compare "$model" "$out/digits.onnx" --input="$images/*.png"

say "3. Accuracy on 300 labelled images, before and after"
"$hone" eval "$model" --images="$images" --labels="$images/labels.txt" --reference
"$hone" eval "$out/digits.hone" --images="$images" --labels="$images/labels.txt"

say "4. Latency and throughput, before and after, measured by turns on one thread"
"$hone" bench "$out/digits.hone" --vs="$model" --threads=1 --warmup=20 --runs=300 --quiet

say "5. Run it on an image"
"$hone" run "$out/digits.hone" --input="$images/000_1.png" --top=3
