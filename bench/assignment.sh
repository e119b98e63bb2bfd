#!/bin/sh
# assignment.sh [--hone PROGRAM] [--tune quick|full] [--threads N] MODEL.onnx[:NAME=SHAPE] ...
# What kernels and layouts chosen over the whole graph are worth against those chosen layer by layer: as the times of steps and changes
# of layout say, the least that no choice is below, and by runs in turn (the median of their ratios). One row of Markdown a model.
set -eu
hone=build/release/hone tune=quick threads=1
while [ $# -gt 0 ]; do
  case $1 in
    --hone) hone=$2; shift 2 ;;
    --tune) tune=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo '| model | layers with a choice | changes of layout priced | layer by layer, ms | over the graph, ms | no choice below, ms | worth by the times | a run by turns |'
echo '|---|---|---|---|---|---|---|---|'
for given in "$@"; do
  model=${given%%:*}
  shape=
  [ "$given" = "$model" ] || shape=--shape=${given#*:}
  "$hone" optimize "$model" $shape -o "$work/m.hone" --tune="$tune" --threads="$threads" --json >"$work/report"
  python3 - "$work/report" "$(basename "$model" .onnx)" <<'PY'
import json, sys
t = json.load(open(sys.argv[1]))['tuned']
single, ours, bound, ratio = t['single_ms'], t['assigned_ms'], t['bound_ms'], t['assigned_ratio']
print(f"| {sys.argv[2]} | {t['assigned_layers']} | {t['assigned_reorders']} | {single:.3f} | {ours:.3f} | {bound:.3f} | "
      f"{100 * (1 - ours / single):.2f} % | {'the same plan' if ratio == 1 else f'{ratio:.3f}'} |")
PY
done
