#!/bin/sh
# test_cli.sh SOURCE BUILD: the program as a user meets it.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
hone=$build/hone
model=$source/models/digits.onnx
images=$source/models/digits

# what a model is
prints "show: signature" 'image +f32 +Nx1x28x28' "$hone" show "$model"
prints "show: operators" '11 +BatchNormalization' "$hone" show "$model"
prints "show: layers" 'BatchNormalization' "$hone" show "$model" --layers
prints "show: JSON" '"parameters": *179' "$hone" show "$model" --json
prints "show: activations of an open batch, counted as one" 'activations \(sum\) +1.57 MiB' "$hone" show "$model"
for command in show optimize run bench profile place devices compare eval quantize-report operators passes; do
  prints "$command: help has examples" 'Examples:|hone '"$command" "$hone" help $command
done
prints "operators" 'Conv' "$hone" operators
prints "passes" 'fold-batchnorm' "$hone" passes
prints "operators: JSON" '"name": *"Conv"' "$hone" operators --json
prints "passes: JSON" '"name": *"dead"' "$hone" passes --json

# optimizing
prints "optimize: reports rules" 'fold-batchnorm +batchnorm-affine +11' "$hone" optimize "$model" -o "$work/m.hone"
check "optimize: ONNX" "$hone" optimize "$model" -o "$work/m.onnx"
check "optimize: its ONNX loads" "$hone" show "$work/m.onnx"
for level in 0 1 2 3; do check "optimize: level $level" "$hone" optimize "$model" -O$level -o "$work/l$level.hone"; done
prints "optimize: chosen passes, graph after one" '# after dead' "$hone" optimize "$model" --passes=dead --print-after=dead -o "$work/p.hone"
check "optimize: fixed shape" "$hone" optimize "$model" --shape=image=4x1x28x28 -o "$work/s.hone"
prints "optimize: the shape is in the result" '4x1x28x28' "$hone" show "$work/s.hone"
check "optimize: an input as a constant" "$hone" optimize "$model" --fix=image=0.5 -o "$work/fixed.hone"
prints "optimize: a constant is no input" '^layers +0' "$hone" show "$work/fixed.hone"
check "run: without inputs" "$hone" run "$work/fixed.hone"
fails "fix: no number" 2 "neither a number" "$hone" show "$model" --fix=image=x
fails "fix: unknown input" 2 'no input has this name' "$hone" show "$model" --fix=nose=1
prints "run: a number for an input" '.' "$hone" run "$work/m.hone" --input=0.5
prints "optimize: JSON" '"rules"|"report"|"passes"' "$hone" optimize "$model" -o "$work/j.hone" --json

# a SavedModel with several signatures, a table, a counter and a second MetaGraph
saved=$source/tests/data/signatures
prints "signatures: what is taken and what stays" 'AssignAdd +1 +first .up. +it updates a variable' "$hone" optimize "$saved" -o "$work/signatures/"
check "signatures: the checkpoint goes along" test -s "$work/signatures/variables/variables.index"
"$hone" show "$saved" --all | grep -v "^$saved" >"$work/shown"
"$hone" show "$work/signatures" --all | sed "s|^$work/signatures|$saved|" | grep -v "^$saved" >"$work/shown2"
check "signatures: shown as before" sh -c "grep -E 'MetaGraph|signature_def|puts|dtype|shape:|name:|Method' '$work/shown' >'$work/a'; grep -E 'MetaGraph|signature_def|puts|dtype|shape:|name:|Method' '$work/shown2' >'$work/b'; test -s '$work/a' && cmp '$work/a' '$work/b'"
prints "signatures: a minimum size" 'its segment has 2 nodes, fewer than 3' "$hone" optimize "$saved" -o "$work/signatures3/" --minimum-segment-size=3
prints "signatures: JSON" '"why": "it updates a variable"' "$hone" optimize "$saved" -o "$work/signatures4/" --json
fails "signatures: the folder is taken" 1 'variables of another SavedModel' "$hone" optimize "$saved" -o "$work/signatures/"
fails "signatures: one is needed" 2 'choose a signature' "$hone" optimize "$saved" -o "$work/signatures5/" --precision=bf16
check "signatures: one alone" "$hone" optimize "$saved" -o "$work/signatures6/" --signature-def=probabilities
prints "signatures: it alone" 'probabilities' "$hone" show "$work/signatures6" --all

# tuning
prints "optimize: what runs on fast kernels" '[0-9]+ of [0-9]+ layers run on fast kernels, in [0-9]+ segment' "$hone" optimize "$model" --tune=off -o "$work/m.hone"
check "optimize: SavedModel" "$hone" optimize "$model" -o "$work/saved/"
check "optimize: SavedModel is there" test -s "$work/saved/saved_model.pb"
check "optimize: GraphDef" "$hone" optimize "$model" -o "$work/m.pb"
check "optimize: format whatever the name" "$hone" optimize "$model" -o "$work/m.bin" --format=onnx
check "optimize: its ONNX loads too" "$hone" show "$work/m.bin"
fails "optimize: unknown format" 2 'choose hone, onnx, savedmodel or pb' "$hone" optimize "$model" -o "$work/x.onnx" --format=tf
fails "optimize: name without a format" 2 'the name must end in' "$hone" optimize "$model" -o "$work/x.txt"
prints "trt: precision mode" 'quantized' "$hone" optimize "$model" -o "$work/z.hone" --precision-mode=INT8 --calibrate=random --tune=off
check "trt: FP16" "$hone" optimize "$model" -o "$work/z.hone" --precision-mode=FP16 --tune=off
fails "trt: FP8" 2 'FP32, FP16, BF16 or INT8' "$hone" optimize "$model" -o "$work/z.hone" --precision-mode=FP8
fails "trt: segments" 2 'there are segments only' "$hone" optimize "$model" -o "$work/z.hone" --minimum-segment-size=3
check "trt: cached engines" "$hone" optimize "$model" -o "$work/z.hone" --maximum-cached-engines=2
prints "trt: cached engines are kept" 'hone.shape_plans *2' "$hone" show "$work/z.hone" --all
fails "trt: cached engines of no engine" 2 'sessions of an engine' "$hone" optimize "$model" -o "$work/z.onnx" --maximum-cached-engines=2
fails "trt: own ranges" 1 'no ranges of its own' "$hone" optimize "$model" -o "$work/z.hone" --precision-mode=INT8 --no-use-calibration
fails "trt: little memory" 1 'max-workspace-size' "$hone" optimize "$model" -o "$work/y.hone" --max-workspace-size=100 --tune=off
check "trt: nothing was written" test ! -e "$work/y.hone"
check "trt: fixed shapes" "$hone" optimize "$model" -o "$work/z.hone" --no-dynamic --batch=2 --max-workspace-size=100000000 --tune=off
prints "trt: the batch is in the result" '2x1x28x28' "$hone" show "$work/z.hone"

tune() { "$hone" optimize "$model" --threads=1 --timing-cache="$work/times" -o "$1" "$2"; }
prints "tune: says what it chose from" 'layers with a choice' tune "$work/t1.hone" --tune=full
prints "tune: the cache names machine, layer and kernel" '1 thread	Conv.*	conv_[a-z]+	[0-9.]+$' cat "$work/times"
cp "$work/times" "$work/times.before"
prints "tune: with a cache nothing is timed" ' 0 times measured' tune "$work/t2.hone" --tune=full
check "tune: with a cache the engine is the same" cmp "$work/t1.hone" "$work/t2.hone"
check "tune: a complete cache is left as it is" cmp "$work/times" "$work/times.before"
prints "tune: show tells the kernels" 'TACTIC' "$hone" show "$work/t1.hone" --layers
prints "tune: show tells how near they come to the peak" 'OF PEAK' "$hone" show "$work/t1.hone" --layers
prints "tune: show tells the peak" 'GFLOP/s at most, .*[0-9.]+ GB/s from memory' "$hone" show "$work/t1.hone" --layers
prints "tune: layers are shown in the shapes that were tuned" '1x1x28x28 +1x' "$hone" show "$work/t1.hone" --layers
prints "tune: layers as JSON" '"of_peak": 0\.[0-9]*[1-9]' "$hone" show "$work/t1.hone" --layers --json
prints "tune: the engine runs with them" 'within the tolerance' "$hone" compare "$model" "$work/t1.hone"
prints "tune: an engine can be tuned again" 'layers with a choice' "$hone" optimize "$work/t1.hone" -o "$work/t3.hone"
prints "tune: sources" 'reorder_onednn|conv_onednn' "$hone" bench "$model" --runs=1 --layers --tactic-sources=onednn
fails "tune: unknown source" 2 'there are hone, onednn and bf16x3' "$hone" bench "$model" --tactic-sources=cudnn
fails "tune: unknown effort" 2 'off, quick or full' "$hone" optimize "$model" -o "$work/x.hone" --tune=max
fails "tune: ONNX holds no kernels" 2 'engine' "$hone" optimize "$model" -o "$work/x.onnx" --tune=quick
printf 'hone timing cache 1\nx\ty\n' >"$work/bad"
fails "tune: damaged cache" 1 'line 2' "$hone" optimize "$model" -o "$work/x.hone" --timing-cache="$work/bad"
fails "tune: no cache at all" 1 'not a timing cache' "$hone" optimize "$model" -o "$work/x.hone" --timing-cache="$model"
fails "tune: cache nowhere" 1 'nowhere' "$hone" optimize "$model" -o "$work/x.hone" --timing-cache="$work/nowhere/times"
check "tune: a failure writes no engine" test ! -e "$work/x.hone"

# 8 bits
eight="--precision=int8 --threads=1"
cp "$images/000_1.png" "$work/one.png"
prints "int8: quantizes" 'quantized 12 of 12' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="$images/*.png" --calibration-cache="$work/ranges"
prints "int8: the ranges are text" '^"image" 0 1$' cat "$work/ranges"
check "int8: the ONNX file is a third of the size" sh -c '"$1" optimize "$2" -o "$3/q.onnx" --precision=int8 --calibrate="$4/00*.png" --threads=1 && test $(($(wc -c <"$3/q.onnx") * 3)) -lt $(wc -c <"$2")' - "$hone" "$model" "$work" "$images"
check "int8: so is the engine, without packed weights" sh -c '"$1" optimize "$2" -o "$3/n.hone" --precision=int8 --calibrate="$4/00*.png" --threads=1 --no-packs --tune=off && test $(($(wc -c <"$3/n.hone") * 3)) -lt $(wc -c <"$2")' - "$hone" "$model" "$work" "$images"
prints "int8: from the ranges alone" 'calibrated by' "$hone" optimize "$model" -o "$work/q.onnx" $eight --calibration-cache="$work/ranges"
prints "int8: layers against the peak of their arithmetic" '[0-9] int8 ' "$hone" show "$work/q.hone" --layers
prints "int8: the peak, and of which instructions" ', [0-9]+ in int8 by [a-z0-9-]+,' "$hone" show "$work/q.hone" --layers
prints "int8: the limit by arithmetic" 'FLOP in int8 at [0-9]+ GFLOP/s \([a-z0-9-]+\)' "$hone" bench "$work/q.hone" --runs=5 --warmup=1 --limit
prints "int8: a profile says what layers compute in" 'conv_int8.*% +int8' "$hone" profile "$work/q.hone" --runs=2 --warmup=1
prints "int8: the roof by arithmetic" 'GFLOP/s in int8 \([a-z0-9-]+, balanced' "$hone" profile "$work/q.hone" --runs=2 --warmup=1
prints "int8: integer kernels" 'conv_int8' "$hone" bench "$work/q.hone" --runs=2 --layers
prints "int8: accuracy" 'top-1 99\.' "$hone" eval "$work/q.hone" --images="$images" --labels="$images/labels.txt"
prints "int8: standard operators, the same accuracy" 'top-1 99\.' "$hone" eval "$work/q.onnx" --images="$images" --labels="$images/labels.txt"
for o in moving-average percentile entropy mse; do
  check "int8: observer $o" "$hone" optimize "$model" -o "$work/q2.hone" $eight --calibrate="$images/00*.png" --observer=$o --tune=off
done
prints "report: layers" '/9/Gemm +Gemm .* dB ' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --threads=1
prints "report: labels, and less than 0.5 points lost" '300 labels: top-1 99.33% before, (99.[0-9]+|98.[89][0-9]|100.00)% after' "$hone" quantize-report "$model" --calibrate="$images" --labels="$images/labels.txt" --threads=1
prints "report: best classes to be expected" '"top1_agreement_expected": 1\.0' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --threads=1 --json
prints "report: of ruined outputs fewer" '"top1_agreement_expected": 0\.[89]' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --threads=1 --json --observer=percentile --percentile=60
prints "report: JSON" '"top1_agreement"' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --threads=1 --json
prints "int8: a limit on the drop" 'of 12 layers quantized' "$hone" optimize "$model" -o "$work/q3.hone" $eight --calibrate="$images/00*.png" --labels="$images/labels.txt" --max-drop=0.5% --tune=off
prints "int8: the account is printed" '12 of 12 layers quantized: outputs differ by' "$hone" optimize "$model" -o "$work/q5.hone" $eight --calibrate="$images/00*.png" --calibration-cache="$work/kept" --tune=off
prints "int8: which layers stay is in the cache" '^keep none$' cat "$work/kept"
sed -i 's|^keep none$|keep "/9/Gemm"|; s|^"image" .*|"image" 0 0.05|' "$work/kept"
prints "int8: an edited cache keeps a layer" 'quantized 11 of 12' "$hone" optimize "$model" -o "$work/q6.hone" $eight --calibration-cache="$work/kept" --tune=off
prints "report: an edited range changes the result" 'image|0..0.05' "$hone" quantize-report "$model" --calibration-cache="$work/kept" --evaluate="$images/00*.png" --threads=1
prints "report: a kept layer" '11 of 12 layers quantized' "$hone" quantize-report "$model" --calibration-cache="$work/kept" --evaluate="$images/00*.png" --threads=1
check "int8: an edited range changes the outputs" sh -c '! "$1" compare "$2" "$3" --input="$4" --tolerance=0.1 >/dev/null 2>&1' - "$hone" "$work/q5.hone" "$work/q6.hone" "$images/000_1.png"
prints "int8: a mixture that outputs need" 'same best class to be expected in 99%' "$hone" optimize "$model" -o "$work/q7.hone" $eight --calibrate="$images/00*.png" --observer=percentile --percentile=60 --tune=off
prints "int8: whose layers stay in floats" 'stays in floats' "$hone" optimize "$model" -o "$work/q7.hone" $eight --calibrate="$images/00*.png" --observer=percentile --percentile=60 --tune=off
prints "int8: or every layer all the same" 'quantized 12 of 12' "$hone" optimize "$model" -o "$work/q7.hone" $eight --calibrate="$images/00*.png" --observer=percentile --percentile=60 --no-mixed --tune=off
coarse="--calibrate=$images/00*.png --observer=percentile --percentile=60"
prints "int8,bf16: a mixture of three" '12 of 12 layers quantized \([0-9]+ in int8, [0-9]+ in bf16\)' "$hone" optimize "$model" -o "$work/m1.onnx" --precision=int8,bf16 --threads=1 $coarse --calibration-cache="$work/three"
prints "int8,bf16: layers in bfloat16 are in the cache" '^bf16 "' cat "$work/three"
check "int8,bf16: by the cache alone" "$hone" optimize "$model" -o "$work/m2.onnx" --precision=int8 --threads=1 --calibration-cache="$work/three"
check "int8,bf16: the same result" cmp "$work/m1.onnx" "$work/m2.onnx"
prints "int8,bf16: and conversions between them" 'Cast +cast_vec' "$hone" bench "$work/m1.onnx" --runs=1 --layers
prints "int8,bf16: outputs as in floats" 'top-1 99\.' "$hone" eval "$work/m1.onnx" --images="$images" --labels="$images/labels.txt"
prints "int8,bf16: the account as it is noted" 'in bf16: as the calibration says' "$hone" quantize-report "$model" --calibration-cache="$work/three" --evaluate="$images/00*.png" --threads=1
prints "int8,f16: both alone" 'OUTPUTS ALONE +SAVES MS +IN f16 +SAVES MS' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --precision=int8,f16 --threads=1
prints "int8,f16: as JSON" '"f16": *\{"error_alone": *[0-9]' sh -c '"$@" | tr -d "\n" | sed "s/  */ /g; s/{ /{/g"' - "$hone" quantize-report "$model" --calibrate="$images/00*.png" --precision=int8,f16 --threads=1 --json
fails "int8,bf16: no other mixture" 2 'there is no other mixture' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16,f16
fails "int8,bf16: nor of weights" 2 'there is no other mixture' "$hone" optimize "$model" -o "$work/x.hone" --precision=int8,int8-weights --calibrate="$images/00*.png"
fails "int8,bf16: twice" 2 "'int8' twice" "$hone" optimize "$model" -o "$work/x.hone" --precision=int8,int8 --calibrate="$images/00*.png"
fails "int8,bf16: a word that is none" 2 "'b16' is none of" "$hone" optimize "$model" -o "$work/x.hone" --precision=int8,b16 --calibrate="$images/00*.png"
fails "int8,bf16: every layer in 8 bits" 2 'contradict' "$hone" optimize "$model" -o "$work/x.hone" --precision=int8,bf16 --no-mixed --calibrate="$images/00*.png"
sed 's|^bf16 .*|bf16 none|' "$work/three" >"$work/bad"
fails "int8,bf16: a note without a layer" 1 "'bf16' needs a layer" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
for o in --equalize --balance --no-bias-correction --adaround '--adaround --no-bias-correction'; do
  prints "int8: $o" 'quantized 12 of 12' "$hone" optimize "$model" -o "$work/q8.hone" $eight $o --calibrate="$images/0*.png" --tune=off
  prints "int8: $o, accuracy" 'top-1 99\.' "$hone" eval "$work/q8.hone" --images="$images" --labels="$images/labels.txt"
done
check "int8: balanced, cached" "$hone" optimize "$model" -o "$work/q8.onnx" $eight --balance --calibrate="$images/00*.png" --calibration-cache="$work/balanced"
prints "int8: factors are in the cache" '^factors "' cat "$work/balanced"
prints "int8: which says that they are balanced" 'quantized 12 of 12' "$hone" optimize "$model" -o "$work/q9.onnx" $eight --calibration-cache="$work/balanced"
check "int8: the result is the same" cmp "$work/q8.onnx" "$work/q9.onnx"
prints "int8: biases are corrected" '\(12 fitted\)' "$hone" optimize "$model" -o "$work/b1.onnx" $eight --calibrate="$images/00*.png" --calibration-cache="$work/fitted"
check "int8: their corrections are in the cache" test "$(grep -c '^correction "' "$work/fitted")" = 12
check "int8: which is enough without examples" "$hone" optimize "$model" -o "$work/b2.onnx" $eight --calibration-cache="$work/fitted"
check "int8: and gives the same" cmp "$work/b1.onnx" "$work/b2.onnx"
check "int8: with examples, too" "$hone" optimize "$model" -o "$work/b2.onnx" $eight --calibration-cache="$work/fitted" --calibrate="$images/01*.png"
check "int8: the same" cmp "$work/b1.onnx" "$work/b2.onnx"
prints "int8: biases as they are" '\(0 fitted\)' "$hone" optimize "$model" -o "$work/b3.onnx" $eight --calibration-cache="$work/fitted" --no-bias-correction
check "int8: are others" sh -c '! cmp -s "$1" "$2"' - "$work/b1.onnx" "$work/b3.onnx"
sed 's|^"image" .*|"image" 0 0.9|' "$work/fitted" >"$work/edited"
prints "int8: a correction is for one range" 'no correction of the bias for the ranges of 1 of 12 layers' "$hone" optimize "$model" -o "$work/b2.onnx" $eight --calibration-cache="$work/edited"
prints "report: and says so" 'no correction of the bias for the ranges of 1 of 12 layers' "$hone" quantize-report "$model" --calibration-cache="$work/edited" --evaluate="$images/00*.png"
grep -v '^correction' "$work/fitted" >"$work/edited"
check "int8: a cache without corrections gets them" "$hone" optimize "$model" -o "$work/b2.onnx" $eight --calibration-cache="$work/edited" --calibrate="$images/00*.png"
check "int8: the same as before" cmp "$work/fitted" "$work/edited"
sed 's|^\(correction "[^"]*" [^ ]* [^ ]*\) .*|\1 0.5 0.5|' "$work/fitted" >"$work/bad"
fails "int8: a correction of another layer" 2 'cannot have a correction of 2 numbers' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\ncorrection "logits" 0 0 1\n' >"$work/bad"
fails "int8: damaged correction" 1 "line 2: 'correction'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\ncorrection "image" 1 0 1\n' >"$work/bad"
fails "int8: a correction of no layer" 1 "no layer makes 'image'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
fails "int8: biases corrected and not" 2 'contradict' "$hone" optimize "$model" -o "$work/x.hone" $eight --bias-correction --no-bias-correction --calibrate="$images/00*.png"
fails "bf16: biases" 2 'int8' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16 --no-bias-correction
fails "int8: adaround without examples" 2 'calibrate' "$hone" optimize "$model" -o "$work/x.hone" $eight --adaround --calibration-cache="$work/balanced"
fails "bf16: adaround" 2 'int8' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16 --adaround
fails "bf16: a limit on the drop" 2 'int8' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16 --max-drop=1%
fails "bf16: no account" 2 'int8' "$hone" quantize-report "$model" --precision=bf16 --input=random
printf '# hone calibration 1\nkeep nothing at all\n' >"$work/bad"
fails "int8: damaged keep" 1 "line 2: 'keep'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\nfactors "image" 1 -2\n' >"$work/bad"
fails "int8: damaged factors" 1 "line 2: 'factors'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\nfactors "logits" 1 2\n' >"$work/bad"
fails "int8: factors of a tensor that can have none" 2 "tensor 'logits' cannot have 2 factors" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
prints "int8: ranges of channels as they are" 'remove it for --equalize' "$hone" optimize "$model" -o "$work/q9.onnx" $eight --balance --calibrate="$images/00*.png" --calibration-cache="$work/ranges"
sed 's|^keep.*|keep "nobody"|' "$work/kept" >"$work/bad"
fails "int8: a layer to keep that is not there" 1 "line [0-9]+: the model has no layer 'nobody'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
fails "report: labels of other images" 1 'has no label' "$hone" quantize-report "$model" --calibrate="$work/one.png" --labels="$images/labels.txt"
fails "report: a limit that is none" 2 'percent' "$hone" quantize-report "$model" --calibrate="$images/00*.png" --max-drop=much
fails "int8: labels without a limit" 2 'quantize-report' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$images" --labels="$images/labels.txt"
dense() { # columns, function behind: a product of 1 x 6 x 8 numbers
  awk -v n="$1" -v last="$2" 'BEGIN {
    size = "size: %d } dim { size: %d"; float = "attr { key: \"%s\" value { type: DT_FLOAT } } "
    printf "node { name: \"x\" op: \"Placeholder\" " float "attr { key: \"shape\" value { shape { dim { size: 1 } dim { " size " } } } } }\n", "dtype", 6, 8
    printf "node { name: \"w\" op: \"Const\" " float "attr { key: \"value\" value { tensor { dtype: DT_FLOAT tensor_shape { dim { " size " } }", "dtype", 8, n
    for (i = 0; i < 8 * n; i++) printf " float_val: %g", i * 37 % 23 / 11 - 1
    printf " } } } }\nnode { name: \"p\" op: \"BatchMatMulV2\" input: \"x\" input: \"w\" " float "}\n", "T"
    printf "node { name: \"y\" op: \"%s\" input: \"p\" " float "}\n", last, "T" }'
}
dense 5 Softmax >"$work/steps.pbtxt"
dense 1 Sigmoid >"$work/places.pbtxt"
fails "f16: numbers beyond 16 bits" 1 "output '.*' holds NaN or infinity .* --precision=bf16" "$hone" optimize "$work/steps.pbtxt" -o "$work/x.hone" --precision=f16 --input=random:100000:200000 --tune=off
prints "int8: a sequence is judged by its steps" 'at least 0.998 on all of 1 examples, the same best class in 99.5% of the steps' "$hone" optimize "$work/steps.pbtxt" -o "$work/q10.hone" --precision=int8 --calibrate=random --tune=off
prints "int8: and by what they read" '1 sequences: 100.00% read the same' "$hone" optimize "$work/steps.pbtxt" -o "$work/q10.hone" --precision=int8 --calibrate=random --tune=off
prints "int8: probabilities by what thresholds decide" 'a threshold decides otherwise for 0\.[0-9]+% of their area' "$hone" optimize "$work/places.pbtxt" -o "$work/q10.hone" --precision=int8 --calibrate=random --tune=off
prints "report: how far the best class of a sequence is ahead" '"lead_shift_alone": [0-9.e-]+' "$hone" quantize-report "$work/steps.pbtxt" --calibrate=random --json
prints "int8: scores of places are no classes" 'at least 0.994 on each of 1 examples \(' "$hone" optimize "$work/places.pbtxt" -o "$work/q10.hone" --precision=int8 --calibrate=random --tune=off
check "quantization aware training: optimizes" "$hone" optimize "$source/tests/tensorflow/graphs/aware.pb" -o "$work/aware.hone" --tune=off --threads=1
for k in 'Conv2D/.*int8' 'Depthwise.*int8' 'MatMul.*int8'; do
  prints "quantization aware training: integer kernels, $k" "$k" "$hone" bench "$work/aware.hone" --runs=1 --layers --threads=1
done
for p in bf16 f16; do
  prints "$p: lowers" '12 of 12' "$hone" optimize "$model" -o "$work/$p.hone" --precision=$p --threads=1 --tune=off
  prints "$p: accuracy" 'top-1 99\.' "$hone" eval "$work/$p.hone" --images="$images" --labels="$images/labels.txt"
done
check "f16: ONNX" "$hone" optimize "$model" -o "$work/f16.onnx" --precision=f16
check "bf16: ONNX" "$hone" optimize "$model" -o "$work/bf16.onnx" --precision=bf16
prints "bf16: of the opset that has convolutions of it" 'opset +ai.onnx 22' "$hone" show "$work/bf16.onnx"
prints "f16: of the least opset" 'opset +ai.onnx 18' "$hone" show "$work/f16.onnx"
check "f16: half the size" test "$(wc -c <"$work/f16.onnx")" -lt 400000
prints "f16: the same accuracy" 'top-1 99\.' "$hone" eval "$work/f16.onnx" --images="$images" --labels="$images/labels.txt"
for p in int8-weights int4-weights; do
  prints "$p" 'lower precision' "$hone" optimize "$model" -o "$work/w.onnx" --precision=$p --threads=1
  prints "$p: accuracy" 'top-1 9[89]\.' "$hone" eval "$work/w.onnx" --images="$images" --labels="$images/labels.txt"
done
prints "int8-weights: the kernel for few rows" 'matmul_weights' "$hone" bench "$work/w.onnx" --runs=1 --layers
for format in hone onnx; do check "format: $format to a pipe, which stays one" sh -c 'mkfifo "$4" && { cat "$4" >/dev/null & } && "$1" optimize "$2" -o "$4" --format="$3" --tune=off && wait && test -p "$4"' - "$hone" "$model" $format "$work/$format-pipe"; done
mkfifo "$work/pipe"
check "format: what comes out of it" sh -c 'cat "$3" >"$4" & "$1" optimize "$2" -o "$3" --format=onnx >/dev/null && wait && test -p "$3" && "$1" show "$4"' - "$hone" "$model" "$work/pipe" "$work/piped.onnx"
check "format: an engine whatever its name" "$hone" optimize "$model" -o "$work/engine.bin" --format=hone --tune=off
prints "format: which runs" 'within the tolerance' "$hone" compare "$model" "$work/engine.bin"
fails "int8-dynamic: nothing to do" 2 'no matrix product or recurrent layer of floats outside of branches' "$hone" optimize "$source/tests/tensorflow/graphs/crops.pb" -o "$work/x.hone" --precision=int8-dynamic
prints "int8-dynamic: the last layer" '1 of 1' "$hone" optimize "$model" -o "$work/dynamic.onnx" --precision=int8-dynamic --threads=1
prints "int8-dynamic: accuracy" 'top-1 9[89]\.' "$hone" eval "$work/dynamic.onnx" --images="$images" --labels="$images/labels.txt"
prints "int8-dynamic: integer kernels" 'product_int8' "$hone" bench "$work/dynamic.onnx" --runs=1 --layers
fails "bf16: nothing to calibrate" 2 'without' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16 --calibrate="$images"
fails "int8: no examples" 2 'calibrate' "$hone" optimize "$model" -o "$work/x.hone" $eight
fails "int8: an empty set" 1 'absent' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/absent"
array() { python3 - "$@" 2>/dev/null <<'PY'
import struct, sys
path, value, shape = sys.argv[1], sys.argv[2], [int(d) for d in sys.argv[3].split('x')]
n, values = 1, value.split(',')
for d in shape: n *= d
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % ', '.join(map(str, shape))
head += ' ' * (-(len(head) + 11) % 64) + '\n'
data = b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head.encode() + b''.join(struct.pack('<f', float(values[i % len(values)])) for i in range(n))
if path.endswith('.npz'):
    import zipfile
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('image.npy', data)
else: open(path, 'wb').write(data)
PY
}
if command -v python3 >/dev/null; then
  mkdir "$work/arrays"
  array "$work/arrays/a.npy" 0,0.25,1 8x1x28x28
  array "$work/arrays/b.npz" 0.5,0,1 4x1x28x28
  array "$work/wrong.npy" 1 4x1x27x28
  array "$work/nan.npy" 0,nan 2x1x28x28
  array "$work/huge.npy" 1e38 2x1x28x28
  array "$work/zero.npy" 0 2x1x28x28
  prints "int8: arrays" 'calibrated with 8 examples in 1 batch$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="$work/arrays/a.npy" --tune=off
  prints "int8: a folder of arrays, archives too" 'calibrated with 12 examples in 2 batches$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="$work/arrays" --tune=off
  prints "int8: the account counts their items" '12 items' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="$work/arrays" --tune=off
  prints "int8: an archive by the input's name" 'calibrated with 4 examples in 1 batch$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="image=$work/arrays/b.npz" --tune=off
  prints "int8: a fixed batch takes arrays in parts" 'calibrated with 8 examples in 4 batches$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate="$work/arrays/a.npy" --shape=2x1x28x28 --tune=off
  prints "int8: a command" 'calibrated with 24 examples in 3 batches$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate-command="cd '$work/arrays' && cat a.npy a.npy a.npy" --tune=off
  prints "int8: a command without end" 'with 40 examples in 5 batches$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate-command="while cat '$work/arrays/a.npy'; do :; done" --calibration-limit=5 --tune=off
  prints "int8: a command that does not notice that nobody reads" 'in 2 batches$' "$hone" optimize "$model" -o "$work/q.hone" $eight --calibrate-command="while :; do cat '$work/arrays/a.npy' 2>&-; done" --calibration-limit=2 --tune=off
  fails "int8: a command cut short" 1 'record 1 of the command is truncated' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate-command="head -c 999 '$work/arrays/a.npy'"
  fails "int8: rubbish behind a record" 1 'record 2 of the command: not a .npy' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate-command="cat '$work/arrays/a.npy'; echo rubbish"
  fails "int8: arrays of another shape" 2 "4x1x27x28; input 'image' takes" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/wrong.npy"
  array "$work/none.npy" 1 0x1x28x28
  fails "int8: arrays without an example" 2 "none.npy: shape 0x1x28x28: it holds no example" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/none.npy"
  { dense 5 Relu; printf 'node { name: "z" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "shape" value { shape { dim { size: 1 } dim { size: 6 } dim { size: 5 } } } } }\n'
    printf 'node { name: "sum" op: "AddV2" input: "y" input: "z" attr { key: "T" value { type: DT_FLOAT } } }\n'; } >"$work/pair.pbtxt"
  array "$work/px.npy" 0,0.25,1 4x6x8
  array "$work/pz.npy" 0,0.5,1 4x6x5
  prints "int8: examples of each input" 'with 4 examples in 4 batches$' "$hone" optimize "$work/pair.pbtxt" -o "$work/q.hone" $eight --calibrate="x=$work/px.npy" --calibrate="z=$work/pz.npy" --tune=off
  fails "int8: an input without examples" 2 "input 'z' has no examples: give --calibrate=z=SOURCE" "$hone" optimize "$work/pair.pbtxt" -o "$work/x.hone" $eight --calibrate="x=$work/px.npy"
  fails "int8: two sources of one input" 2 "input 'x' has a source already" "$hone" optimize "$work/pair.pbtxt" -o "$work/x.hone" $eight --calibrate="x=$work/px.npy" --calibrate="x=$work/px.npy"
  fails "int8: an archive without the inputs' names" 1 "no array 'x' in it" "$hone" optimize "$work/pair.pbtxt" -o "$work/x.hone" $eight --calibrate="$work/arrays/b.npz"
  echo CAcSADphCg4KAWEKAWISAXkiA0FkZBIBZ1oYCgFhEhMKEQgBEg0KAxIBTgoCCAYKAggIWhgKAWISEwoRCAESDQoDEgFOCgIIBgoCCAhiGAoBeRITChEIARINCgMSAU4KAggGCgIICEIECgAQDQ== | base64 -d >"$work/sum.onnx" # a + b, both N x 6 x 8
  prints "run: an input that is made up is as long as one that is given" '4x6x8' "$hone" run "$work/sum.onnx" --input="a=$work/px.npy"
  mkdir "$work/bad-second" && cp "$work/arrays/a.npy" "$work/bad-second/0.npy" && cp "$work/nan.npy" "$work/bad-second/1.npy"
  fails "int8: NaN, and in which file" 2 "1.npy: tensor 'image' holds NaN" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/bad-second"
  fails "int8: NaN" 2 "tensor 'image' holds NaN" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/nan.npy"
  fails "int8: overflow within" 2 "of layer '.*' holds (NaN|infinity)" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/huge.npy"
  fails "int8: nothing but zeros" 2 "input 'image' has the range 0 to 0" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/zero.npy"
fi
fails "int8: a command that fails" 1 'ended with status 3' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate-command='exit 3'
fails "int8: a command that says nothing" 1 'writes no .npy record' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate-command=true
fails "int8: examples twice" 2 'which of them' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate-command=true --calibrate=random
mkdir "$work/nothing"
fails "int8: an empty folder" 1 'no image' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/nothing"
printf 'rubbish' >"$work/rubbish.npz"
fails "int8: no archive" 1 'not a .npz archive' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/rubbish.npz"
sed 's|^"image" .*|"image" -3e38 3e38|; s|^keep.*||' "$work/kept" >"$work/bad"
fails "int8: a range too large" 2 "layer '/0/0.*Conv'.*overflows" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
fails "int8: not images" 1 'ranges' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$work/ranges"
fails "int8: no cache" 1 'not a calibration cache' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$images/labels.txt"
printf '# hone calibration 1\n"image" 1 0\n' >"$work/bad"
fails "int8: damaged cache" 1 'line 2' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\n"image" 0 1\n"image" 0 2\n' >"$work/bad"
fails "int8: a tensor twice" 1 "line 3: 'image' has a range already, on line 2" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\nkeep none\nkeep "/9/Gemm"\n' >"$work/bad"
fails "int8: no layer to keep and one" 1 "line 3: 'keep none' and a layer" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\n"\\u1' >"$work/bad"
fails "int8: an escape cut short" 1 'line 2: no tensor name' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 12\n' >"$work/bad"
fails "int8: a cache of another version" 1 'not a calibration cache' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
prints "int8: an observer where ranges are known" 'remove it for --observer' "$hone" optimize "$model" -o "$work/q9.onnx" $eight --calibration-cache="$work/kept" --observer=mse
fails "int8: a percentile of another observer" 2 'observer=percentile' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibrate="$images/00*.png" --percentile=99
fails "bf16: an observer" 2 'nothing is calibrated' "$hone" optimize "$model" -o "$work/x.hone" --precision=bf16 --observer=mse
printf '# hone calibration 1\n"nobody" 0 1\n' >"$work/bad"
fails "int8: cache of another model" 1 "line 2: the model has no tensor 'nobody'" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\n"image" nan 1\n' >"$work/bad"
fails "int8: a range that is no number" 1 "line 2: 'image' needs two finite numbers" "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
printf '# hone calibration 1\n' >"$work/bad"
fails "int8: a cache without ranges" 2 'none of the 12' "$hone" optimize "$model" -o "$work/x.hone" $eight --calibration-cache="$work/bad"
sed 's|^"logits".*||; s|^"/1/.*||; s|^keep.*||' "$work/kept" >"$work/bad"
prints "int8: a tensor without a line" 'their inputs have no range' "$hone" optimize "$model" -o "$work/q9.onnx" $eight --calibration-cache="$work/bad"
fails "int8: calibration without it" 2 'without' "$hone" optimize "$model" -o "$work/x.hone" --calibrate="$images"
check "int8: failures leave nothing behind" test -z "$(find "$work" -name 'x.*')"

# engines
prints "engine: packed weights are in it and used" 'packed_weights +[0-9]+, .* MiB, used' "$hone" show "$work/m.hone"
prints "engine: checksums" 'checksums match: [6-9][0-9.]+ KiB of weights, [1-9]' "$hone" show "$work/m.hone" --check
check "engine: without packed weights" "$hone" optimize "$model" -o "$work/n.hone" --no-packs
prints "engine: nothing packed then" 'of weights, 0 B of packed weights' "$hone" show "$work/n.hone" --check
check "engine: it is smaller" test "$(wc -c <"$work/n.hone")" -lt "$(($(wc -c <"$work/m.hone") * 2 / 3))"
prints "engine: made anew from itself" 'with .* of packed weights' "$hone" optimize "$work/n.hone" -o "$work/n2.hone"
prints "engine: an older version is read" 'conv_onednn' "$hone" show "$source/tests/data/version2.hone" --layers
prints "engine: and made anew" 'packed_weights +[0-9]+' sh -c '"$1" optimize "$2" -o "$3" >/dev/null && "$1" show "$3"' - "$hone" "$source/tests/data/version2.hone" "$work/v.hone"
cp "$work/m.hone" "$work/d.hone"
printf '\377' | dd of="$work/d.hone" bs=1 seek=203 conv=notrunc 2>/dev/null
fails "engine: damaged weights" 1 "weights of '" "$hone" show "$work/d.hone" --check
fails "engine: damaged weights are not carried on" 1 "weights of '" "$hone" optimize "$work/d.hone" -o "$work/x.hone"

# running
prints "run: classes" '^ *[0-9.]+ +1' "$hone" run "$work/m.hone" --input="$images/000_1.png" --top=1
check "run: a folder" "$hone" run "$work/m.hone" --input="$images" --batch=8 --top=1
check "run: a glob" "$hone" run "$work/m.hone" --input="$images/00*.png" --top=2
check "run: random, outputs to files" "$hone" run "$work/m.hone" --input=random --output-dir="$work/out"
check "run: the output is there" test -s "$work/out/logits.npy"
check "run: an array" "$hone" run "$work/m.hone" --input=zeros --output-dir="$work/out" --json
printf '%s\n' zero one two three four five six seven eight nine >"$work/labels"
prints "run: labels" 'one' "$hone" run "$work/m.hone" --input="$images/000_1.png" --top=1 --labels="$work/labels"
prints "eval" 'top-1 99\.33%' "$hone" eval "$work/m.hone" --images="$images" --labels="$images/labels.txt"
prints "eval: the original on the references" 'top-1 99\.33%' "$hone" eval "$model" --images="$images/*.png" --labels="$images/labels.txt" --reference

# comparing and measuring
prints "compare: two files" 'within the tolerance' "$hone" compare "$model" "$work/m.onnx"
prints "compare: layers" 'logits' "$hone" compare "$model" "$work/m.onnx" --layers
fails "compare: the first layer that parts from the other's" 1 "the first layer beyond the tolerance 0.02 is '/" "$hone" compare "$model" "$work/q6.hone" --layers --input="$images/000_1.png" --tolerance=0.02
prints "optimize: ONNX keeps the names of tensors" '%/2/relu/Relu_output_0 = Relu' "$hone" show "$work/m.onnx" --graph
prints "compare: as near as 8 bits come" 'within the tolerance 0.1$' "$hone" compare "$model" "$work/q.onnx" --input="$images/000_1.png"
check "compare: layers in the order of the model" sh -c '"$1" compare "$2" "$3" --layers | tail -2 | head -1 | grep -q logits' - "$hone" "$model" "$work/m.onnx"
prints "compare: before and after" 'within the tolerance' "$hone" compare "$model" --optimize
check "bench" "$hone" bench "$work/m.hone" --runs=20 --warmup=2
prints "bench: layers" 'conv_onednn|Conv' "$hone" bench "$work/m.hone" --runs=5 --warmup=1 --layers
prints "bench: against another" 'run by run' "$hone" bench "$work/m.hone" --vs="$model" --runs=10 --warmup=1
prints "bench: JSON" '"median"' "$hone" bench "$work/m.hone" --runs=5 --warmup=1 --json
prints "bench: what the machine can do at most" 'the median reaches [0-9]+% of it' "$hone" bench "$work/m.hone" --runs=5 --warmup=1 --limit
prints "bench: the limit as JSON" '"arithmetic_ms"' "$hone" bench "$work/m.hone" --runs=5 --warmup=1 --limit --json
prints "bench: streams" '^ +2 +1 +40 +[0-9]' "$hone" bench "$work/m.hone" --streams=2 --runs=20 --warmup=1 --threads=1
prints "bench: streams as JSON" '"items_per_second"' "$hone" bench "$work/m.hone" --streams=3 --runs=3 --warmup=1 --json
fails "bench: streams against another" 2 'none of' "$hone" bench "$work/m.hone" --streams=2 --vs="$model"
check "bench: images and predictions" "$hone" bench "$work/m.hone" --images="$images/00*.png" --runs=10 --warmup=1 --batch=2 --save-predictions="$work/predictions"
check "bench: predictions are right" grep -qE '000_1.png 1 ' "$work/predictions"

# profiling
prints "profile: layers" 'Conv.*conv_[a-z]+ .*%' "$hone" profile "$work/m.hone" --runs=3 --warmup=1 -o "$work/trace.json" --html="$work/report.html"
check "profile: the trace is there" grep -q '"traceEvents"' "$work/trace.json"
check "profile: the page is whole" grep -q '</html>' "$work/report.html"
prints "profile: operators, roofline" 'roofline: this machine reads [0-9.]+ GB/s .* GFLOP/s in f32' "$hone" profile "$work/m.hone" --runs=2 --warmup=0
prints "profile: what to do" 'not optimized' "$hone" profile "$model" --runs=2 --warmup=0
prints "profile: counters, or why not" 'not counted|counted in 3' "$hone" profile "$model" --runs=2 --counters
prints "profile: JSON" '"of_roof"' "$hone" profile "$model" --runs=2 --json
fails "profile: nowhere to write" 1 'nowhere' "$hone" profile "$model" --runs=1 -o "$work/nowhere/t.json"

# no NVIDIA driver, also where there is one: what the loader finds in its place is no library
mkdir "$work/driverless"
echo "no library" >"$work/driverless/libcuda.so.1"
driverless="env LD_LIBRARY_PATH=$work/driverless $hone"
prints "no driver: devices are listed with the reason" '^cuda +no: no NVIDIA driver \(.*libcuda\.so\.1: ' $driverless devices
prints "no driver: the others are there" '^null +yes' $driverless devices
prints "no driver: JSON" '"available": *"no: no NVIDIA driver' $driverless devices --json
no_driver="device 'cuda' is not available: no NVIDIA driver \(.*libcuda\.so\.1: "
fails "no driver: run" 1 "$no_driver" $driverless run "$model" --device=cuda --input=random
fails "no driver: bench" 1 "$no_driver" $driverless bench "$model" --device=cuda --runs=1
fails "no driver: profile" 1 "$no_driver" $driverless profile "$model" --device=cuda -o "$work/no.json"
fails "no driver: place" 1 "$no_driver" $driverless place "$model" --device=cuda
fails "no driver: compare" 1 "$no_driver" $driverless compare "$model" --reference --device=cuda
fails "no driver: eval" 1 "$no_driver" $driverless eval "$model" --device=cuda --images="$images" --labels="$images/labels.txt"
fails "no driver: optimize" 1 "$no_driver" $driverless optimize "$model" --device=cuda -o "$work/no.hone"
check "no driver: nothing is left behind" sh -c "! ls '$work'/no.* 2>/dev/null"
prints "no driver: placing goes on without" 'before: .* after: ' $driverless place "$work/m.hone" --runs=1

# devices and placement
prints "devices: the CPU" '^cpu +yes' "$hone" devices
prints "devices: what it has beside its vectors" '^cpu .*(portable|avx2( vnni)?|avx512( vnni| bf16| fp16| amx-bf16| amx-int8)*) *$' "$hone" devices
prints "devices: what is missing has a reason" '^cuda.*(yes|no: )' "$hone" devices
prints "devices: JSON" '"name": *"null"' "$hone" devices --json
prints "place: chosen by time" 'before: .* after: ' "$hone" place "$work/m.hone" --device=null
prints "place: segments" '^ +0 +null +[0-9]+ ' "$hone" place "$work/m.hone" --device=null --place='.*=null' --runs=1
prints "place: copies" 'image +cpu to null' "$hone" place "$work/m.hone" --device=null --place='.*=null' --runs=1
prints "place: what stays on the CPU" "Gemm.* stays on the CPU" "$hone" place "$work/m.hone" --device=null:without=Gemm --place='.*=null' --runs=1
prints "place: JSON" '"transfer_bytes"' "$hone" place "$work/m.hone" --device=null --runs=1 --json
prints "run: on a device" '^ *[0-9.]+ +1' "$hone" run "$work/m.hone" --device=null --place=Gemm=cpu --input="$images/000_1.png" --top=1
prints "eval: on a device" 'top-1 99\.33%' "$hone" eval "$work/m.hone" --device=null --images="$images" --labels="$images/labels.txt"
prints "profile: on a device" 'transfers [0-9.]+% \(2 copies' "$hone" profile "$work/m.hone" --device=null --runs=2
fails "place: a rule that matches nothing" 2 "near to it are 'Gemm'" "$hone" place "$work/m.hone" --device=null --place=Gem=cpu
fails "place: no such device" 2 "there are cpu, cuda, null" "$hone" run "$work/m.hone" --device=gpu --input=random
fails "place: out of device memory" 1 'null is out of memory' "$hone" run "$work/m.hone" --device=null:memory=0.001 --input=random

# what can go wrong: one line, a status, nothing left behind
fails "no command" 2 'COMMAND|command' "$hone" nonsense
fails "unknown option" 2 'unknown option' "$hone" show "$model" --nonsense
fails "missing file" 1 'absent.onnx' "$hone" show "$work/absent.onnx"
fails "a folder for a file" 1 'out' "$hone" show "$work/out"
head -c 5000 "$model" >"$work/cut.onnx"
fails "truncated model" 1 'truncated or damaged' "$hone" show "$work/cut.onnx"
head -c 3000 "$work/m.hone" >"$work/cut.hone"
fails "truncated engine" 1 'cut.hone' "$hone" show "$work/cut.hone"
: >"$work/empty.onnx"
fails "empty file" 1 'empty.onnx' "$hone" show "$work/empty.onnx"
fails "not a model" 1 'README.md' "$hone" show "$source/README.md"
fails "unknown pass" 2 'unknown optimization pass' "$hone" optimize "$model" --passes=ded -o "$work/x.hone"
fails "unknown format" 2 'must end in' "$hone" optimize "$model" -o "$work/x.tflite"
fails "folder that is not there" 1 'nowhere' "$hone" optimize "$model" -o "$work/nowhere/x.hone"
check "nothing is left behind" test -z "$(find "$work" -name 'x.*')"
if [ -w /dev/full ]; then fails "full disk" 1 'full' "$hone" optimize "$model" -o /dev/full/x.hone; fi
fails "limit on file sizes" 1 'x.onnx' sh -c 'ulimit -f 100; exec "$@"' - "$hone" optimize "$model" -o "$work/x.onnx"
check "nothing is left behind then either" test -z "$(find "$work" -name 'x.*')"
fails "wrong shape" 2 'image' "$hone" run "$work/m.hone" --input=random --shape=image=1x3x28x28
fails "unknown input" 2 'no input' "$hone" run "$work/m.hone" --input=nose=random
head -c 60 "$images/000_1.png" >"$work/cut.png"
fails "truncated image" 1 'cut.png' "$hone" run "$work/m.hone" --input="$work/cut.png"
fails "no image" 1 'labels.txt' "$hone" run "$work/m.hone" --input="$images/labels.txt"
fails "labels without a file" 1 'absent' "$hone" eval "$work/m.hone" --images="$images" --labels="$work/absent"
summary
