#!/bin/sh
# memory.sh [--hone PROGRAM] [--threads N] MODEL[@NAME=DIMS[@NAME=DIMS]] ...: how close the planned memory of activations
# is to its lower bound, the largest sum of tensors alive at once. Models that do not run are named on standard error.
hone=build/release/hone threads=1
while :; do
  case ${1-} in
    --hone) hone=$2; shift 2 ;;
    --threads) threads=$2; shift 2 ;;
    *) break ;;
  esac
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
echo "| model | planned KiB | bound KiB | planned / bound | packed weights MiB | process at its peak MiB |"
echo "|---|---|---|---|---|---|"
for model; do
  shapes=$(printf '%s' "$model" | tr '@' '\n' | sed -n '2,$s/^/--shape=/p')
  file=${model%%@*}
  # shellcheck disable=SC2086
  "$hone" optimize "$file" -o "$work/m.hone" --no-verify --threads="$threads" --tune=off $shapes >/dev/null 2>"$work/error" &&
    "$hone" bench "$work/m.hone" --threads="$threads" --runs=1 --warmup=0 --quiet --json >"$work/json" 2>"$work/error" ||
    { echo "$file: $(head -1 "$work/error")" >&2; continue; }
  get() { sed -n "s/^ *\"$1\": *\([0-9]*\).*/\1/p" "$work/json" | head -1; }
  awk -v name="$(basename "$file")" -v a="$(get arena_bytes)" -v b="$(get live_bytes)" -v p="$(get packed_bytes)" -v r="$(get peak_resident_bytes)" \
    'BEGIN { printf "| %s | %.0f | %.0f | %.3f | %.1f | %.1f |\n", name, a / 1024, b / 1024, b ? a / b : 1, p / 1048576, r / 1048576 }'
done
