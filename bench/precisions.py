#!/usr/bin/env python3
"""precisions.py [--hone PROGRAM] [--threads N] [--runs N] [MODEL PRECISION...]...

Precisions that need no examples, of whole networks: `hone optimize --tune quick` for each, then by turns in `hone bench --vs` against
single precision. A MODEL is a file, or LSTM:STEPS:BATCH:INPUT:HIDDEN and GRU:..., which are made here (numpy and onnx);
what follows it are precisions: f16, bf16, int8-dynamic ...
"""
import argparse
import os
import re
import subprocess
import tempfile


def make_recurrent(spec, path):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    op, steps, batch, width, hidden = [int(v) if v.isdigit() else v for v in spec.split(":")]
    gates, rng, most = {"LSTM": 4, "GRU": 3}[op], np.random.default_rng(1), hidden ** -0.5
    weights = [numpy_helper.from_array(rng.uniform(-most, most, shape).astype(np.float32), name)
               for name, shape in (("W", (1, gates * hidden, width)), ("R", (1, gates * hidden, hidden)), ("B", (1, 2 * gates * hidden)))]
    graph = helper.make_graph([helper.make_node(op, ["x", "W", "R", "B"], ["y"], hidden_size=hidden)], "layer",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, batch, width])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [steps, 1, batch, hidden])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)


def medians(o, first, second):
    out = subprocess.run([o.hone, "bench", first, f"--vs={second}", f"--threads={o.threads}", f"--runs={o.runs}"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    rows = [line.split() for line in out.splitlines() if os.path.basename(first) in line or os.path.basename(second) in line][:2]
    ratio = float(re.search(r"run by run: median ([0-9.]+)", out).group(1))
    return [float(r[3]) * unit[r[4]] for r in rows] + [ratio]


def cosine(o, model, engine):
    out = subprocess.run([o.hone, "compare", model, engine, f"--threads={o.threads}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    at = next((i for i, row in enumerate(rows) if row[:1] == ["TENSOR"]), None)
    return min((float(row[4]) for row in rows[at + 1:] if len(row) > 4), default=float("nan")) if at is not None else float("nan")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--threads", default="1")
    p.add_argument("--runs", default="30")
    p.add_argument("work", nargs="+", metavar="MODEL PRECISION...")
    o = p.parse_args()
    print("| model | precision | ms | f32 ms | f32 / it | cosine |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        def engine(model, precision):
            path = os.path.join(folder, f"{precision}.hone")
            subprocess.run([o.hone, "optimize", model, "-o", path, f"--precision={precision}", "--tune=quick", "--no-verify",
                            f"--threads={o.threads}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return path

        model = floats = None
        for word in o.work:
            if word in ("f16", "bf16", "int8-dynamic", "int8-weights", "int4-weights"):
                low = engine(model, word)
                ms, f32, ratio = medians(o, low, floats)
                print(f"| {name} | {word} | {ms:.3f} | {f32:.3f} | {ratio:.2f} | {cosine(o, model, low):.7f} |", flush=True)
                continue
            name = model = word
            if ":" in word:
                model = os.path.join(folder, "made.onnx")
                make_recurrent(word, model)
            floats = engine(model, "f32")


if __name__ == "__main__":
    main()
