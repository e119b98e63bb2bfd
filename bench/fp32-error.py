#!/usr/bin/python3
"""fp32-error.py [--hone PROGRAM] [--threads N] [--inputs N] FOLDER MODEL ...

How far the outputs of FOLDER/onnx/MODEL.onnx in single precision are from those of the same network (FOLDER/torch/MODEL.pt) computed
by PyTorch in double precision throughout: by hone's kernels of single precision alone (--tactic-sources=hone,onednn, without
Winograd), with Winograd, with products by bfloat16 parts (bf16x3) but without Winograd, and as tuned by default; by PyTorch in single
precision; and by ONNX Runtime, if onnxruntime-node is there (in the working folder or NODE_PATH). Root mean square of the differences
over all inputs (random, normal), relative to the root mean square of the outputs."""
import argparse, json, os, subprocess, sys, tempfile

try:
    import numpy, torch
except ImportError:
    print("skipped: PyTorch is not installed")
    sys.exit(0)

WAYS = [("hone, plain", ["--tactic-sources=hone,onednn", "--winograd-error=0"]), ("Winograd", ["--tactic-sources=hone,onednn"]),
        ("bf16x3", ["--tactic-sources=bf16x3,onednn"]), ("as tuned", [])]
ORT = """const ort = require(require.resolve('onnxruntime-node', {paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')]})), fs = require('fs');
(async () => { const [model, x, y, ...shape] = process.argv.slice(1), s = await ort.InferenceSession.create(model, {intraOpNumThreads: 1});
  const b = fs.readFileSync(x), d = new Float32Array(b.buffer.slice(b.byteOffset, b.byteOffset + b.length));
  const o = await s.run({[s.inputNames[0]]: new ort.Tensor('float32', d, shape.map(Number))}), r = o[s.outputNames[0]].data;
  fs.writeFileSync(y, Buffer.from(r.buffer, r.byteOffset, r.byteLength)); })();"""


def hone(o, *args):
    r = subprocess.run([o.hone, *args], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip().split("\n")[0])
    return r.stdout


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--inputs", type=int, default=3)
    p.add_argument("folder")
    p.add_argument("models", nargs="+")
    o = p.parse_args()
    print("| model | " + " | ".join(w for w, _ in WAYS) + " | PyTorch | ONNX Runtime | layers by bf16x3 as tuned |")
    print("|---" * (len(WAYS) + 4) + "|")
    for name in o.models:
        onnx, script = (os.path.join(o.folder, kind, name + end) for kind, end in (("onnx", ".onnx"), ("torch", ".pt")))
        given = json.loads(hone(o, "show", "--json", onnx))["inputs"][0]
        shape = [d if isinstance(d, int) and d > 0 else 1 for d in given["shape"]]
        single, double = torch.jit.load(script).eval(), torch.jit.load(script).eval().double()
        with tempfile.TemporaryDirectory() as work:
            engines = []
            for i, (_, ways) in enumerate(WAYS):
                engines.append(os.path.join(work, f"{i}.hone"))
                hone(o, "optimize", onnx, "-o", engines[-1], "--no-verify", f"--threads={o.threads}", "--tune=quick",
                     f"--shape={given['name']}={'x'.join(map(str, shape))}", *ways)
            off, size, n = [0.0] * (len(WAYS) + 2), 0.0, 0
            for seed in range(o.inputs):
                x = numpy.random.RandomState(seed).standard_normal(shape).astype("float32")
                numpy.save(os.path.join(work, "x.npy"), x)
                with torch.no_grad():
                    want = double(torch.from_numpy(x).double()).numpy()
                    got = [single(torch.from_numpy(x)).numpy()]
                for i, (_, ways) in enumerate(WAYS):
                    hone(o, "run", engines[i], f"--input={work}/x.npy", f"--output-dir={work}/o{i}", f"--threads={o.threads}", *ways)
                    got.insert(i, numpy.load(os.path.join(work, f"o{i}", os.listdir(os.path.join(work, f"o{i}"))[0])))
                x.tofile(f"{work}/x.raw")
                r = subprocess.run(["node", "-e", ORT, onnx, f"{work}/x.raw", f"{work}/y.raw", *map(str, shape)], capture_output=True)
                if r.returncode == 0:
                    got.append(numpy.fromfile(f"{work}/y.raw", "float32").reshape(want.shape))
                size += (want ** 2).sum()
                for i, y in enumerate(got):
                    off[i] += ((y.astype("float64").reshape(want.shape) - want) ** 2).sum()
                n = len(got)
            if not size > 0:
                print(f"| {name} | all outputs are zeros |", flush=True)
                continue
            layers = hone(o, "show", engines[-1], "--layers").count("bf16x3")
        cells = [f"{(e / size) ** 0.5:.2e}" if i < n else "" for i, e in enumerate(off)]
        print(f"| {name} | " + " | ".join(cells) + f" | {layers} |", flush=True)


main()
