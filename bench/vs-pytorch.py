#!/usr/bin/python3
"""vs-pytorch.py [--hone PROGRAM] [--threads N] [--runs N] [--rounds N] [--tune off|quick|full] FOLDER MODEL ...

Latency of hone on the engine made of FOLDER/onnx/MODEL.onnx against PyTorch on FOLDER/torch/MODEL.pt, frozen by
torch.jit.optimize_for_inference, by turns in one run; medians in milliseconds. Where there is no .pt the column is empty:
PyTorch reads no ONNX."""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

try:
    import torch
except ImportError:
    print("skipped: PyTorch is not installed")
    sys.exit(0)


def hone(o, *args):
    r = subprocess.run([o.hone, *args], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip().split("\n")[0])
    return r.stdout


def shapes_of(o, model):
    named = dict(d.split("=") for d in o.dim)
    for t in json.loads(hone(o, "show", "--json", model))["inputs"]:
        yield t["name"], [d if isinstance(d, int) and d > 0 else int(named.get(str(d), named.get(f"{t['name']}.{k}", 1)))
                          for k, d in enumerate(t["shape"])]


def pytorch(path, shape):
    """One run of the frozen module."""
    module = torch.jit.optimize_for_inference(torch.jit.load(path).eval())
    x = torch.randn(shape)
    def run():
        with torch.no_grad():
            module(x)
    for _ in range(3):
        run()
    return run


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--runs", type=int, default=15)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--tune", default="full")
    p.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="value of a named dimension, or of INPUT.AXIS")
    p.add_argument("folder")
    p.add_argument("models", nargs="+")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    print(f"PyTorch {torch.__version__}, {o.threads} thread(s), float32, batch 1; {o.rounds} x {o.runs} runs of each, by turns\n")
    print("| model | hone ms | PyTorch ms | PyTorch / hone |\n|---|---|---|---|")
    for name in o.models:
        onnx, script = (os.path.join(o.folder, kind, name + end) for kind, end in (("onnx", ".onnx"), ("torch", ".pt")))
        with tempfile.TemporaryDirectory() as work:
            engine = os.path.join(work, "m.hone")
            shapes = list(shapes_of(o, onnx))
            fixed = [f"--shape={n}={'x'.join(map(str, s))}" for n, s in shapes]
            hone(o, "optimize", onnx, "-o", engine, "--no-verify", f"--threads={o.threads}", f"--tune={o.tune}", *fixed)
            theirs = pytorch(script, shapes[0][1]) if os.path.exists(script) else None
            ms = ([], [])
            for _ in range(o.rounds):
                out = json.loads(hone(o, "bench", engine, "--json", "--quiet", f"--threads={o.threads}", "--warmup=3", f"--runs={o.runs}", *fixed))
                ms[0].append(out["models"][0]["latency_ms"]["median"])
                for _ in range(o.runs if theirs else 0):
                    start = time.perf_counter()
                    theirs()
                    ms[1].append((time.perf_counter() - start) * 1e3)
            ours = statistics.median(ms[0])
            print(f"| {name} | {ours:.3f} | " + (f"{statistics.median(ms[1]):.3f} | {statistics.median(ms[1]) / ours:.2f} |" if theirs else "| |"), flush=True)


main()
