#!/bin/sh
# test_cuda.sh SOURCE BUILD: the CUDA device from the command line, emulated: what it is, what it computes, what goes wrong.
set -u
source=$1 build=$2
. "$source/tests/cli/count.sh"
hone=$build/hone
emulated=$build/tests/cuda/emulated
LD_LIBRARY_PATH=$emulated
export LD_LIBRARY_PATH

says() { # what, text, command...: its output has the text
  what=$1 text=$2
  shift 2
  "$@" >"$work/log" 2>&1
  if grep -qF -- "$text" "$work/log"; then ok; else bad "$what"; fi
}
fails() { # what, text, command...: it fails, with the text in one line
  what=$1 text=$2
  shift 2
  if "$@" >"$work/log" 2>&1; then bad "$what: it did not fail"; return; fi
  if [ "$(grep -c '^hone: ' "$work/log")" -eq 1 ] && grep -qF -- "$text" "$work/log"; then ok; else bad "$what"; fi
}

says "the device is listed" "compute capability 8.0" "$hone" devices
says "with its libraries" "cuDNN 9.19.0, cuBLASLt 13.1.0" "$hone" devices
says "a driver that is too old" "the NVIDIA driver is too old: it knows CUDA 12.4, and this build needs 13.0" \
  env HONE_EMULATED_DRIVER=12040 "$hone" devices
says "no device" "the driver finds no NVIDIA GPU" env HONE_EMULATED_DEVICES=0 "$hone" devices
says "a device that somebody else has" "another process has it for itself" env HONE_EMULATED_BUSY=1 "$hone" devices
fails "which cannot be opened" "device 'cuda:0' is not available" env HONE_EMULATED_BUSY=1 "$hone" run --device=cuda "$source/models/digits.onnx"
says "a device that runs nothing" "its compute mode is 'prohibited' (nvidia-smi -c 0 changes it)" env HONE_EMULATED_PROHIBITED=1 "$hone" devices
fails "which cannot be opened either" "compute mode is 'prohibited'" \
  env HONE_EMULATED_PROHIBITED=1 "$hone" run --device=cuda "$source/models/digits.onnx"
fails "a number that is not there" "there is no number 3" "$hone" run --device=cuda:3 "$source/models/digits.onnx"
fails "a setting that is not there" "workspace=256,tf32=0,graphs=1,check=0" "$hone" run --device=cuda:nothing=1 "$source/models/digits.onnx"

check "a model is made" "$hone" optimize "$source/models/digits.onnx" -o "$work/d.hone"
check "and one of 16-bit floats" "$hone" optimize "$source/models/digits.onnx" --precision=f16 -o "$work/h.hone"
# The second run is recorded, the others replay it.
for settings in graphs=1 graphs=0 check=1 workspace=0 workspace=100; do
  check "the device computes what the references do, $settings" \
    "$hone" compare "$work/d.hone" --reference --device="cuda:$settings" --runs=4
done
says "no rounding without leave" "within the tolerance" "$hone" compare "$work/d.hone" --reference --device=cuda --tolerance=1e-5
says "TF32 rounds" "beyond the tolerance" "$hone" compare "$work/d.hone" --reference --device=cuda:tf32=1 --tolerance=1e-5
check "16-bit floats" "$hone" compare "$work/h.hone" --reference --device=cuda --runs=3 --tolerance=0.05
"$hone" profile "$work/d.hone" --device=cuda --runs=2 -o "$work/trace.json" >"$work/log" 2>&1
if grep -q "conv_cudnn" "$work/log" && grep -q "matmul_cublas" "$work/log"; then ok; else bad "the profile names the kernels"; fi
if grep -q '"cuda:0: steps"' "$work/trace.json" && grep -q '"cuda:0: copies in"' "$work/trace.json"; then ok; else bad "the trace has the device's lanes"; fi

# Tuning tries the ways that the libraries offer; what the cache knows is not timed again and chosen again.
tune() { "$hone" optimize "$source/models/digits.onnx" --device=cuda --timing-cache="$work/times" -o "$1"; }
check "tuned on the device" tune "$work/t.hone"
if grep -q "conv_cudnn#2" "$work/times" && grep -q "matmul_cublas" "$work/times" && grep -q "cuDNN 9.19.0" "$work/times"; then ok; else bad "the cache has the device's ways"; fi
says "from the cache" " 0 times measured" tune "$work/again.hone"
if cmp -s "$work/t.hone" "$work/again.hone"; then ok; else bad "the same times, another choice"; fi
check "what was tuned is right there" "$hone" compare "$work/t.hone" --reference --device=cuda --runs=3 --tolerance=1e-5
check "and on the CPU" "$hone" compare "$work/t.hone" --reference --runs=2

# No algorithm that wants more than it may: a plan of the emulated cuDNN takes 64 MiB.
limited() { "$hone" optimize "$source/models/digits.onnx" --shape=image=1,1,28,28 --device=cuda --timing-cache="$work/$1.times" -o "$work/$1.hone" --max-workspace-size="$2"; }
check "a limit on the workspace" limited small 4000000
check "and one that is larger" limited large 90000000
if [ "$(grep -c 'conv_cudnn#3' "$work/small.times")" -eq 0 ] && [ "$(grep -c 'conv_cudnn#3' "$work/large.times")" -gt 0 ]; then ok; else bad "the limit is not kept"; fi
says "memory of the device" "on cuda:0: " "$hone" bench "$work/d.hone" --device=cuda --runs=2
if "$hone" bench "$work/d.hone" --device=cuda --runs=2 --json | grep -q '"cuda:0": [1-9]'; then ok; else bad "memory of the device as JSON"; fi

# Integers: what is quantized stays so, by the libraries, or by our own kernels without them.
check "8 bits" "$hone" optimize "$source/models/digits.onnx" --precision=int8 --calibrate=random -o "$work/q.hone"
check "8 bits on the device" "$hone" compare "$work/q.hone" --reference --device=cuda --runs=3 --tolerance=0.5

# Libraries that are not there.
mkdir "$work/bare"
ln -s "$emulated"/libcuda.so.1 "$emulated"/libhone-cuda.so "$emulated"/libhone-emulated.so "$work/bare"
echo "no library" >"$work/bare/libcudnn.so.9"
echo "no library" >"$work/bare/libcublasLt.so.13"
LD_LIBRARY_PATH=$work/bare
says "no cuDNN" "no convolutions: libcudnn.so.9 is not found" "$hone" devices
says "no cuBLASLt" "no matrix products: libcublasLt.so.13 is not found" "$hone" devices
check "without either the rest is right" "$hone" compare "$work/d.hone" --reference --device=cuda --runs=3
LD_LIBRARY_PATH=$emulated

# Half of it: the plug-in without a driver, and a driver without the plug-in, from a folder that has none beside the program.
mkdir "$work/plugin" "$work/driver"
ln -s "$emulated"/libhone-cuda.so "$emulated"/libhone-emulated.so "$work/plugin"
echo "no library" >"$work/plugin/libcuda.so.1"
ln -s "$emulated"/libcuda.so.1 "$emulated"/libhone-emulated.so "$work/driver"
cp "$hone" "$work/driver/hone"
says "no driver" "no: no NVIDIA driver (" env LD_LIBRARY_PATH="$work/plugin" "$hone" devices
fails "no driver, asked for" "device 'cuda' is not available: no NVIDIA driver (" \
  env LD_LIBRARY_PATH="$work/plugin" "$hone" bench "$work/d.hone" --device=cuda --runs=1
says "no plug-in" "no: hone's plug-in for CUDA cannot be loaded (libhone-cuda.so: " env LD_LIBRARY_PATH="$work/driver" "$work/driver/hone" devices
fails "no plug-in, asked for" "device 'cuda' is not available: hone's plug-in for CUDA cannot be loaded (libhone-cuda.so: " \
  env LD_LIBRARY_PATH="$work/driver" "$work/driver/hone" bench "$work/d.hone" --device=cuda --runs=1

# What goes wrong.
check "a smaller workspace where memory is short" env HONE_EMULATED_MEMORY=40000000 "$hone" compare "$work/d.hone" --reference --device=cuda
fails "too little memory" "is out of memory" env HONE_EMULATED_MEMORY=300000 "$hone" bench "$work/d.hone" --device=cuda --runs=1
says "which says at which layer" "layer '" env HONE_EMULATED_MEMORY=300000 "$hone" bench "$work/d.hone" --device=cuda --runs=1
fails "a device that is lost" "device 'cuda:0' is lost" env HONE_EMULATED_LOST=20 "$hone" bench "$work/d.hone" --device=cuda --runs=3
fails "at a layer, when it is looked at" "node '" env HONE_EMULATED_LOST=45 "$hone" bench "$work/d.hone" --device=cuda:check=1 --runs=3
summary
