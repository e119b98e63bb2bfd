#!/usr/bin/env python3
"""operators.py [--hone PROGRAM] [--before PROGRAM] [--threads N]

Graphs of one operator each, on shapes as models have them: the time of that step by hone, and by another build of it beside.
--bytes: operators between integers of 8 bits (DequantizeLinear before, QuantizeLinear behind), the time of the whole run."""
import argparse, os, re, subprocess, tempfile

import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

R = np.random.default_rng(1)


def f(*d):
    return R.standard_normal(d).astype(np.float32)


# name, operator, shapes of float inputs that are of the graph, then constants, attributes
CASES = [
    ("batch normalization 64 x 112 x 112", "BatchNormalization", [(1, 64, 112, 112)], [f(64), f(64), f(64), abs(f(64)) + 1], {}),
    ("group normalization 32 groups, 320 x 64 x 64", "GroupNormalization", [(1, 320, 64, 64)], [f(320), f(320)], {"num_groups": 32}),
    ("x ^ 2 of 197 x 768", "Pow", [(1, 197, 768)], [np.float32(2)], {}),
    ("x ^ 0.7 of 197 x 768", "Pow", [(1, 197, 768)], [np.float32(0.7)], {}),
    ("convolution 3x3, 64 to 64 on 56 x 56, weights given", "Conv", [(1, 64, 56, 56), (64, 64, 3, 3)], [], {"pads": [1, 1, 1, 1]}),
    ("L2 over two of four axes, 8 x 12 x 64 x 64", "ReduceL2", [(8, 12, 64, 64)], [np.array([0, 2], np.int64)], {}),
    ("mean over axes 0, 2 and 3 of 8 x 64 x 56 x 56", "ReduceMean", [(8, 64, 56, 56)], [np.array([0, 2, 3], np.int64)], {}),
    ("minimum of rows of 1000 x 1000", "ReduceMin", [(1000, 1000)], [np.array([1], np.int64)], {}),
    ("x > y of 12 x 128 x 128", "Greater", [(12, 128, 128), (12, 128, 128)], [], {}),
    ("running sum of 512 x 512 along rows", "CumSum", [(512, 512)], [np.int64(1)], {}),
    ("reflected pad of 3, 64 x 112 x 112", "Pad", [(1, 64, 112, 112)], [np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)], {"mode": "reflect"}),
    ("GatherND, 1000 rows of 20,000 x 256", "GatherND", [(20000, 256)], [R.integers(0, 20000, (1000, 1))], {}),
    ("GatherElements, 100 x 4 of 20,000 x 4", "GatherElements", [(20000, 4)], [R.integers(0, 20000, (100, 4))], {"axis": 0}),
    ("GatherElements, 128 x 8000 of 128 x 20,000", "GatherElements", [(128, 20000)], [R.integers(0, 20000, (128, 8000))], {"axis": 1}),
    ("ScatterND, 1000 rows into 20,000 x 256", "ScatterND", [(20000, 256)], [R.permutation(20000)[:1000].reshape(1000, 1), f(1000, 256)], {}),
    ("ScatterElements, 128 x 8000 into 128 x 20,000", "ScatterElements", [(128, 20000)],
     [np.argsort(R.random((128, 20000)), 1)[:, :8000], f(128, 8000)], {"axis": 1}),
]


# the same for bytes: name, operator, shape of the input, constants, attributes
BYTES = [
    ("transposed convolution 2x2 by 2, 24 to 24 on 160 x 160", "ConvTranspose", (1, 24, 160, 160), [f(24, 24, 2, 2)], {"strides": [2, 2]}),
    ("transposed convolution 4x4 by 2, 64 to 32 on 64 x 64", "ConvTranspose", (1, 64, 64, 64), [f(64, 32, 4, 4)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("nearest by 2, 96 x 80 x 80", "Resize", (1, 96, 80, 80), [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ("bilinear by 2, 64 x 64 x 64", "Resize", (1, 64, 64, 64), [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}),
    ("average of 3x3, 192 x 35 x 35", "AveragePool", (1, 192, 35, 35), [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("largest of 3x3 by 2, 64 x 112 x 112", "MaxPool", (1, 64, 112, 112), [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("pad of 1 by zero, 64 x 112 x 112", "Pad", (1, 64, 112, 112), [np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)], {}),
    ("reflected pad of 3, 64 x 112 x 112", "Pad", (1, 64, 112, 112), [np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)], {"mode": "reflect"}),
    ("rows picked, 1000 of 20,000 x 256", "Gather", (20000, 256), [R.integers(0, 20000, 1000)], {}),
]


def bytes_model(op, shape, constants, attrs, path):
    """x (bytes) -> DequantizeLinear -> op -> QuantizeLinear; weights of ConvTranspose are bytes with a scale a channel."""
    inits = [nh.from_array(np.float32(0.02), "s"), nh.from_array(np.uint8(120), "z"), nh.from_array(np.float32(0.05), "t")]
    nodes, names = [h.make_node("DequantizeLinear", ["x", "s", "z"], ["real"])], ["real"]
    for i, c in enumerate(constants):
        if c is None:
            names.append("")
            continue
        names.append(f"c{i}")
        if op == "ConvTranspose":
            inits += [nh.from_array(np.clip(np.rint(c * 40), -127, 127).astype(np.int8), f"q{i}"), nh.from_array(np.full(c.shape[1], 0.025, np.float32), f"s{i}")]
            nodes.append(h.make_node("DequantizeLinear", [f"q{i}", f"s{i}"], [f"c{i}"], axis=1))
        else:
            inits.append(nh.from_array(np.asarray(c), f"c{i}"))
    nodes.append(h.make_node(op, names, ["made"], name="it", **attrs))
    other = op in ("ConvTranspose", "AveragePool")
    nodes.append(h.make_node("QuantizeLinear", ["made", "t" if other else "s", "z"], ["y"]))
    ins, out = [h.make_tensor_value_info("x", T.UINT8, shape)], h.make_tensor_value_info("y", T.UINT8, None)
    m = h.make_model(h.make_graph(nodes, "g", ins, [out], inits), opset_imports=[h.make_opsetid("", 21)])
    m.ir_version = 8
    onnx.save(m, path)


def model(op, inputs, constants, attrs, path):
    names = [f"x{i}" for i in range(len(inputs))]
    ins = [h.make_tensor_value_info(n, T.FLOAT, d) for n, d in zip(names, inputs)]
    inits = [nh.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants)]
    node = h.make_node(op, names + [i.name for i in inits], ["y"], name="it", **attrs)
    out = h.make_tensor_value_info("y", T.FLOAT, None)
    m = h.make_model(h.make_graph([node], "g", ins, [out], inits), opset_imports=[h.make_opsetid("", 21)])
    m.ir_version = 8
    onnx.save(m, path)


def step(hone, path, threads):
    text = subprocess.run([hone, "bench", path, "--layers", "-q", f"--threads={threads}", "--runs=15", "--warmup=3"], capture_output=True, text=True)
    for line in text.stdout.splitlines():
        m = re.match(r"\s*\d+\s+it\s+\S+\s+(\S+)\s.*?([\d.]+)\s+[\d.]+%$", line)
        if m:
            return m[1], float(m[2])
    return text.stderr.strip()[:60], float("nan")


def run(hone, path, threads):
    text = subprocess.run([hone, "bench", path, "-q", f"--threads={threads}", "--runs=15", "--warmup=3"], capture_output=True, text=True)
    m = re.search(r"\.onnx\s+([\d.]+) (ms|us)\s+([\d.]+) (ms|us)", text.stdout)
    return float(m[3]) / (1 if m[4] == "ms" else 1000) if m else float("nan")


def bytes_table(o, path):
    print("| of bytes | " + ("before, ms | " if o.before else "") + "ms |\n|---|" + ("---|" if o.before else "") + "---|")
    for name, *case in BYTES:
        bytes_model(*case, path)
        before = f"{run(o.before, path, o.threads):.3f} | " if o.before else ""
        print(f"| {name} | {before}{run(o.hone, path, o.threads):.3f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--before")
    p.add_argument("--threads", default="1")
    p.add_argument("--bytes", action="store_true")
    o = p.parse_args()
    if o.bytes:
        with tempfile.TemporaryDirectory() as work:
            bytes_table(o, os.path.join(work, "m.onnx"))
        return
    print("| operator | " + ("before, ms | " if o.before else "") + "kernel | ms |\n|---|" + ("---|" if o.before else "") + "---|---|")
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "m.onnx")
        for name, op, inputs, constants, attrs in CASES:
            model(op, inputs, constants, attrs, path)
            before = f"{step(o.before, path, o.threads)[1]:.3f} | " if o.before else ""
            kernel, ms = step(o.hone, path, o.threads)
            print(f"| {name} | {before}{kernel} | {ms:.3f} |", flush=True)


main()
