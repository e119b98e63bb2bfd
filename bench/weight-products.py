#!/usr/bin/env python3
"""weight-products.py [--hone PROGRAM] [--threads N] [--runs N]

Products of few rows with large matrices of weights alone in 8 or 4 bits: which share of the bandwidth of memory, as 'hone bench
--limit' measures it in the same process, they read their weights with. A chain of six 4096 x 4096 products, far more than the
caches hold, with 1 and 4 rows, in single precision, int8-weights and int4-weights. Needs numpy and onnx.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH = 6, 4096


def make_chain(path, rows):
    rng = np.random.default_rng(1)
    shape = [rows, WIDTH]
    weights = [numpy_helper.from_array((rng.standard_normal((WIDTH, WIDTH)) / 64).astype(np.float32), f"w{i}") for i in range(LAYERS)]
    nodes = [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"], name=f"product{i}") for i in range(LAYERS)]
    graph = helper.make_graph(nodes, "chain", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info(f"x{LAYERS}", TensorProto.FLOAT, shape)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--threads", default="1")
    p.add_argument("--runs", default="30")
    o = p.parse_args()
    print("| rows | weights | ms | read MB | GB/s | memory GB/s | share |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (1, 4):
            chain = os.path.join(folder, "chain.onnx")
            make_chain(chain, rows)
            for precision in ("f32", "int8-weights", "int4-weights"):
                engine = os.path.join(folder, "chain.hone")
                subprocess.run([o.hone, "optimize", chain, "-o", engine, f"--precision={precision}", "--tune=off", "--no-verify", f"--threads={o.threads}"],
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                out = subprocess.run([o.hone, "bench", engine, "--limit", "--json", f"--runs={o.runs}", f"--threads={o.threads}"],
                                     check=True, stdout=subprocess.PIPE).stdout
                side = json.loads(out)["models"][0]
                limit, ms = side["limit"], side["latency_ms"]["median"]
                rate = limit["bytes"] / ms * 1e-6
                print(f"| {rows} | {precision} | {ms:.2f} | {limit['bytes'] / 1e6:.0f} | {rate:.1f} | "
                      f"{limit['peak_bandwidth'] * 1e-9:.1f} | {rate * 1e9 / limit['peak_bandwidth']:.0%} |", flush=True)


if __name__ == "__main__":
    main()
