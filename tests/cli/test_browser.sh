#!/bin/sh
# test_browser.sh SOURCE BUILD: the page of hone profile in a headless browser: it draws, without an error.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "skipped: no chromium here"
  exit 77
}
"$build/hone" profile "$source/models/digits.onnx" --runs=3 --warmup=1 --html="$work/report.html" >"$work/log" 2>&1
check "the page is written" test -s "$work/report.html"
HOME=$work timeout 120 "$browser" --headless --no-sandbox --disable-gpu --enable-logging=stderr --virtual-time-budget=5000 \
  --dump-dom "file://$work/report.html" >"$work/dom" 2>"$work/console"
grep CONSOLE "$work/console" >"$work/complaints"
check "the browser has nothing to complain of" test ! -s "$work/complaints"
check "all of the script ran" grep -qE 'data-ready="[0-9]+ lanes, [0-9]+ layers"' "$work/dom"
check "layers are in the table" grep -qE '<tr data-layer="[0-9]+">' "$work/dom"
check "layers are in the graph" grep -q '<rect' "$work/dom"
check "there is advice" grep -q '<li>' "$work/dom"
summary
