#!/usr/bin/env python3
"""operators.py [--hone PROGRAM] [--before PROGRAM] [--threads N] [--bytes] [--only WORD] [--write DIR]

Graphs of one operator each, on shapes as models have them: the time of that step by hone, and by another build of it beside.
--bytes: operators between integers of 8 bits (DequantizeLinear before, QuantizeLinear behind), the time of the whole run.
--write: the graphs as files alone, for vs-onnxruntime.js."""
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
    ("ScatterElements, sums, 128 x 8000 into 128 x 20,000", "ScatterElements", [(128, 20000)],
     [R.integers(0, 20000, (128, 8000)), f(128, 8000)], {"axis": 1, "reduction": "add"}),
    ("ScatterND, sums, 5000 rows into 2000 x 64", "ScatterND", [(2000, 64)], [R.integers(0, 2000, (5000, 1)), f(5000, 64)], {"reduction": "add"}),
    ("Gather, 128 rows of 30,000 x 768", "Gather", [(30000, 768)], [R.integers(0, 30000, (1, 128))], {}),
    ("Gather, 56 of 112 channels of 28 x 28", "Gather", [(1, 112, 28, 28)], [R.permutation(112)[:56]], {"axis": 1}),
    ("sine of 197 x 768", "Sin", [(1, 197, 768)], [], {}),
    ("cosine of 197 x 768", "Cos", [(1, 197, 768)], [], {}),
    ("arc tangent of 197 x 768", "Atan", [(1, 197, 768)], [], {}),
    ("Erf of 197 x 3072", "Erf", [(1, 197, 3072)], [], {}),
    ("Tanh of 197 x 3072", "Tanh", [(1, 197, 3072)], [], {}),
    ("Softplus of 197 x 768", "Softplus", [(1, 197, 768)], [], {}),
    ("NaN of 12 x 128 x 128", "IsNaN", [(12, 128, 128)], [], {}),
    ("float to int64, 12 x 128 x 128", "Cast", [(12, 128, 128)], [], {"to": T.INT64}),
    ("float to float16, 12 x 128 x 128", "Cast", [(12, 128, 128)], [], {"to": T.FLOAT16}),
    ("float to bool, 12 x 128 x 128", "Cast", [(12, 128, 128)], [], {"to": T.BOOL}),
    ("x + bias of channels, 64 x 112 x 112", "Add", [(1, 64, 112, 112)], [f(64, 1, 1)], {}),
    ("x * y, 8 x 1 x 512 by 8 x 512 x 1", "Mul", [(8, 1, 512), (8, 512, 1)], [], {}),
    ("mean of three, 64 x 56 x 56", "Mean", [(1, 64, 56, 56)] * 3, [], {}),
    ("logarithm of sum of exponentials, rows of 1000 x 1000", "ReduceLogSumExp", [(1000, 1000)], [np.array([1], np.int64)], {}),
    ("sum over the first axis, 1000 x 1000", "ReduceSum", [(1000, 1000)], [np.array([0], np.int64)], {}),
    ("ArgMax of 21 x 256 x 256", "ArgMax", [(1, 21, 256, 256)], [], {"axis": 1}),
    ("TopK, 100 of 20,000", "TopK", [(1, 20000)], [np.array([100], np.int64)], {}),
    ("TopK, 1 of 1000 x 1000", "TopK", [(1000, 1000)], [np.array([1], np.int64)], {}),
    ("sorted, 20,000", "TopK", [(1, 20000)], [np.array([20000], np.int64)], {}),
    ("Softmax of 12 x 197 x 197", "Softmax", [(12, 197, 197)], [], {"axis": -1}),
    ("Softmax over channels, 21 x 256 x 256", "Softmax", [(1, 21, 256, 256)], [], {"axis": 1}),
    ("Hardmax of 1000 x 1000", "Hardmax", [(1000, 1000)], [], {}),
    ("LpNormalization of 1000 x 512", "LpNormalization", [(1000, 512)], [], {}),
    ("MeanVarianceNormalization of 64 x 56 x 56", "MeanVarianceNormalization", [(1, 64, 56, 56)], [], {}),
    ("LayerNormalization of 197 x 768", "LayerNormalization", [(1, 197, 768)], [f(768), f(768)], {}),
    ("InstanceNormalization of 64 x 112 x 112", "InstanceNormalization", [(1, 64, 112, 112)], [f(64), f(64)], {}),
    ("LRN of 64 x 56 x 56", "LRN", [(1, 64, 56, 56)], [], {"size": 5}),
    ("Einsum bhqd,bhkd->bhqk, 12 x 128 x 64", "Einsum", [(1, 12, 128, 64)] * 2, [], {"equation": "bhqd,bhkd->bhqk"}),
    ("Einsum bhwc,hkc->bhwk, 14 x 14 x 64", "Einsum", [(12, 14, 14, 64)], [f(14, 14, 64)], {"equation": "bhwc,hkc->bhwk"}),
    ("Einsum ij,jk,kl->il, 256", "Einsum", [(256, 256)] * 3, [], {"equation": "ij,jk,kl->il"}),
    ("MatMul of 12 x 197 x 64 by 64 x 197", "MatMul", [(12, 197, 64), (12, 64, 197)], [], {}),
    ("MatMul of 1 x 768 by 768 x 3072", "MatMul", [(1, 768)], [f(768, 3072)], {}),
    ("MatMul of 1000 x 8 x 8 by 8 x 8", "MatMul", [(1000, 8, 8), (1000, 8, 8)], [], {}),
    ("convolution of 1 axis, 3, 512 to 512 on 1500", "Conv", [(1, 512, 1500)], [f(512, 512, 3)], {"pads": [1, 1]}),
    ("convolution of 1 axis, depthwise 31, 256 on 500", "Conv", [(1, 256, 500)], [f(256, 1, 31)], {"pads": [15, 15], "group": 256}),
    ("convolution of 3 axes, 3x3x3, 32 to 32 on 16 x 56 x 56", "Conv", [(1, 32, 16, 56, 56)], [f(32, 32, 3, 3, 3)], {"pads": [1] * 6}),
    ("convolution 3x3, 32 groups, 256 to 256 on 28 x 28", "Conv", [(1, 256, 28, 28)], [f(256, 8, 3, 3)], {"pads": [1] * 4, "group": 32}),
    ("convolution 3x3 dilated by 6, 256 to 256 on 33 x 33", "Conv", [(1, 256, 33, 33)], [f(256, 256, 3, 3)], {"pads": [6] * 4, "dilations": [6, 6]}),
    ("convolution 7x7 depthwise, 192 on 28 x 28", "Conv", [(1, 192, 28, 28)], [f(192, 1, 7, 7)], {"pads": [3] * 4, "group": 192}),
    ("convolution 31x31 depthwise, 64 on 56 x 56", "Conv", [(1, 64, 56, 56)], [f(64, 1, 31, 31)], {"pads": [15] * 4, "group": 64}),
    ("convolution 16x16 by 16, 3 to 768 on 224 x 224", "Conv", [(1, 3, 224, 224)], [f(768, 3, 16, 16)], {"strides": [16, 16]}),
    ("transposed convolution 2x2 by 2, 64 to 64 on 80 x 80", "ConvTranspose", [(1, 64, 80, 80)], [f(64, 64, 2, 2)], {"strides": [2, 2]}),
    ("transposed convolution 4x4 by 2, 256 to 128 on 28 x 28", "ConvTranspose", [(1, 256, 28, 28)], [f(256, 128, 4, 4)], {"strides": [2, 2], "pads": [1] * 4}),
    ("transposed convolution of 1 axis, 16 by 8, 128 to 64 on 500", "ConvTranspose", [(1, 128, 500)], [f(128, 64, 16)], {"strides": [8], "pads": [4, 4]}),
    ("transposed depthwise convolution 4x4 by 2, 64 on 56 x 56", "ConvTranspose", [(1, 64, 56, 56)], [f(64, 1, 4, 4)], {"strides": [2, 2], "pads": [1] * 4, "group": 64}),
    ("MaxPool 3x3 by 2, 64 x 112 x 112", "MaxPool", [(1, 64, 112, 112)], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}),
    ("MaxPool 5x5, 256 x 20 x 20", "MaxPool", [(1, 256, 20, 20)], [], {"kernel_shape": [5, 5], "pads": [2] * 4}),
    ("MaxPool of 3 axes, 2x2x2 by 2, 32 x 16 x 56 x 56", "MaxPool", [(1, 32, 16, 56, 56)], [], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}),
    ("AveragePool of 3 axes, 2x2x2 by 2, 32 x 16 x 56 x 56", "AveragePool", [(1, 32, 16, 56, 56)], [], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}),
    ("AveragePool of 1 axis, 2 by 2, 256 x 1500", "AveragePool", [(1, 256, 1500)], [], {"kernel_shape": [2], "strides": [2]}),
    ("LpPool 3x3, 64 x 56 x 56", "LpPool", [(1, 64, 56, 56)], [], {"kernel_shape": [3, 3]}),
    ("RoiAlign, 300 of 256 x 50 x 50 to 7 x 7", "RoiAlign", [(1, 256, 50, 50)],
     [np.sort(R.uniform(0, 50, (300, 2, 2)), 1).reshape(300, 4).astype(np.float32), np.zeros(300, np.int64)], {"output_height": 7, "output_width": 7, "sampling_ratio": 2}),
    ("GridSample, 32 x 128 x 128", "GridSample", [(1, 32, 128, 128)], [R.uniform(-1, 1, (1, 128, 128, 2)).astype(np.float32)], {"mode": "linear"}),
    ("GridSample, nearest, 32 x 128 x 128", "GridSample", [(1, 32, 128, 128)], [R.uniform(-1, 1, (1, 128, 128, 2)).astype(np.float32)], {"mode": "nearest"}),
    ("DeformConv 3x3, 64 to 64 on 28 x 28", "DeformConv", [(1, 64, 28, 28)], [f(64, 64, 3, 3), f(1, 18, 28, 28)], {"pads": [1] * 4}),
    ("Col2Im, 64 channels, 3x3 on 56 x 56", "Col2Im", [(1, 576, 3136)], [np.array([56, 56], np.int64), np.array([3, 3], np.int64)], {"pads": [1] * 4}),
    ("Resize, linear x 2, 64 x 80 x 80", "Resize", [(1, 64, 80, 80)], [np.float32([]), np.float32([1, 1, 2, 2])], {"mode": "linear"}),
    ("Resize, nearest x 2, 64 x 80 x 80", "Resize", [(1, 64, 80, 80)], [np.float32([]), np.float32([1, 1, 2, 2])], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ("Resize, cubic x 2, 3 x 224 x 224", "Resize", [(1, 3, 224, 224)], [np.float32([]), np.float32([1, 1, 2, 2])], {"mode": "cubic"}),
    ("Resize, cubic, 768 x 14 x 14 to 16 x 16", "Resize", [(1, 768, 14, 14)], [np.float32([]), np.float32([]), np.array([1, 768, 16, 16], np.int64)], {"mode": "cubic"}),
    ("Resize, linear with antialiasing, 3 x 500 x 500 to 224 x 224", "Resize", [(1, 3, 500, 500)], [np.float32([]), np.float32([]), np.array([1, 3, 224, 224], np.int64)], {"mode": "linear", "antialias": 1}),
    ("Resize, linear over three axes x 2, 16 x 16 x 28 x 28", "Resize", [(1, 16, 16, 28, 28)], [np.float32([]), np.float32([1, 1, 2, 2, 2])], {"mode": "linear"}),
    ("Trilu of 12 x 512 x 512", "Trilu", [(12, 512, 512)], [], {"upper": 0}),
    ("NonZero of 256 x 256", "NonZero", [(256, 256)], [], {}),
    ("Compress, rows of 20,000 x 64", "Compress", [(20000, 64)], [R.random(20000) < 0.5], {"axis": 0}),
    ("Unique of 20,000", "Unique", [(20000,)], [], {}),
    ("ReverseSequence, 128 x 32 x 256", "ReverseSequence", [(128, 32, 256)], [R.integers(1, 128, 32)], {}),
    ("Transpose 0213 of 197 x 12 x 64", "Transpose", [(1, 197, 12, 64)], [], {"perm": [0, 2, 1, 3]}),
    ("Transpose 0312 of 112 x 112 x 64", "Transpose", [(1, 112, 112, 64)], [], {"perm": [0, 3, 1, 2]}),
    ("Transpose 10 of 1000 x 1000", "Transpose", [(1000, 1000)], [], {"perm": [1, 0]}),
    ("Slice by 2 and 2 of 64 x 112 x 112", "Slice", [(1, 64, 112, 112)], [np.array([0, 0]), np.array([112, 112]), np.array([2, 3]), np.array([2, 2])], {}),
    ("Slice backwards of 64 x 112 x 112", "Slice", [(1, 64, 112, 112)], [np.array([-1]), np.array([-1000]), np.array([3]), np.array([-1])], {}),
    ("Pad by less than nothing, 64 x 112 x 112", "Pad", [(1, 64, 112, 112)], [np.array([0, 0, -2, -2, 0, 0, -2, -2], np.int64)], {}),
    ("Pad of edges by 3, 64 x 112 x 112", "Pad", [(1, 64, 112, 112)], [np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)], {"mode": "edge"}),
    ("Tile to 8 x 64 x 56 x 56", "Tile", [(1, 64, 56, 56)], [np.array([8, 1, 1, 1], np.int64)], {}),
    ("DepthToSpace by 2, 256 x 56 x 56", "DepthToSpace", [(1, 256, 56, 56)], [], {"blocksize": 2}),
    ("CenterCropPad of 64 x 112 x 112 to 96 x 128", "CenterCropPad", [(1, 64, 112, 112)], [np.array([96, 128], np.int64)], {"axes": [2, 3]}),
    ("LSTM, 100 steps, 128 to 256", "LSTM", [(100, 1, 128)], [f(1, 1024, 128) * 0.1, f(1, 1024, 256) * 0.1], {"hidden_size": 256}),
    ("GRU, 100 steps, 128 to 256", "GRU", [(100, 1, 128)], [f(1, 768, 128) * 0.1, f(1, 768, 256) * 0.1], {"hidden_size": 256}),
    ("DFT of 400 x 512", "DFT", [(400, 512, 1)], [], {"axis": 1, "onesided": 1}),
    ("STFT, frames of 400 by 160, 16,000", "STFT", [(1, 16000, 1)], [np.int64(160), np.hanning(400).astype(np.float32)], {}),
]


# the same for bytes: name, operator, shape of the input, constants (a tuple: the shape of another input of bytes), attributes
BYTES = [
    ("transposed convolution 2x2 by 2, 24 to 24 on 160 x 160", "ConvTranspose", (1, 24, 160, 160), [f(24, 24, 2, 2)], {"strides": [2, 2]}),
    ("transposed convolution 4x4 by 2, 64 to 32 on 64 x 64", "ConvTranspose", (1, 64, 64, 64), [f(64, 32, 4, 4)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("nearest by 2, 96 x 80 x 80", "Resize", (1, 96, 80, 80), [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ("bilinear by 2, 64 x 64 x 64", "Resize", (1, 64, 64, 64), [None, np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}),
    ("average of 3x3, 192 x 35 x 35", "AveragePool", (1, 192, 35, 35), [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("largest of 3x3 by 2, 64 x 112 x 112", "MaxPool", (1, 64, 112, 112), [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("pad of 1 by zero, 64 x 112 x 112", "Pad", (1, 64, 112, 112), [np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)], {}),
    ("reflected pad of 3, 64 x 112 x 112", "Pad", (1, 64, 112, 112), [np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)], {"mode": "reflect"}),
    ("keys by queries, 12 x 197 x 64 by 12 x 64 x 197", "MatMul", (12, 197, 64), [(12, 64, 197)], {}),
    ("values by weights, 12 x 197 x 197 by 12 x 197 x 64", "MatMul", (12, 197, 197), [(12, 197, 64)], {}),
    ("512 x 512 by 512 x 512, both given", "MatMul", (512, 512), [(512, 512)], {}),
    ("rows picked, 1000 of 20,000 x 256", "Gather", (20000, 256), [R.integers(0, 20000, 1000)], {}),
]


def bytes_model(op, shape, constants, attrs, path):
    """x (bytes) -> DequantizeLinear -> op -> QuantizeLinear; weights of ConvTranspose are bytes with a scale a channel."""
    inits = [nh.from_array(np.float32(0.02), "s"), nh.from_array(np.uint8(120), "z"), nh.from_array(np.float32(0.05), "t")]
    nodes, names = [h.make_node("DequantizeLinear", ["x", "s", "z"], ["real"])], ["real"]
    ins = [h.make_tensor_value_info("x", T.UINT8, shape)]
    for i, c in enumerate(constants):
        if c is None:
            names.append("")
            continue
        names.append(f"c{i}")
        if isinstance(c, tuple):
            ins.append(h.make_tensor_value_info(f"x{i}", T.UINT8, c))
            nodes.append(h.make_node("DequantizeLinear", [f"x{i}", "s", "z"], [f"c{i}"]))
        elif op == "ConvTranspose":
            inits += [nh.from_array(np.clip(np.rint(c * 40), -127, 127).astype(np.int8), f"q{i}"), nh.from_array(np.full(c.shape[1], 0.025, np.float32), f"s{i}")]
            nodes.append(h.make_node("DequantizeLinear", [f"q{i}", f"s{i}"], [f"c{i}"], axis=1))
        else:
            inits.append(nh.from_array(np.asarray(c), f"c{i}"))
    nodes.append(h.make_node(op, names, ["made"], name="it", **attrs))
    other = op in ("ConvTranspose", "AveragePool", "MatMul")
    nodes.append(h.make_node("QuantizeLinear", ["made", "t" if other else "s", "z"], ["y"]))
    out = h.make_tensor_value_info("y", T.UINT8, None)
    m = h.make_model(h.make_graph(nodes, "g", ins, [out], inits), opset_imports=[h.make_opsetid("", 21)])
    m.ir_version = 8
    onnx.save(m, path)


def model(op, inputs, constants, attrs, path):
    names = [f"x{i}" for i in range(len(inputs))]
    ins = [h.make_tensor_value_info(n, T.FLOAT, d) for n, d in zip(names, inputs)]
    inits = [nh.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants)]
    node = h.make_node(op, names + [i.name for i in inits], ["y", "z"] if op == "TopK" else ["y"], name="it", **attrs)
    out = h.make_empty_tensor_value_info("y")
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
    p.add_argument("--only", default="", help="cases whose name or operator has this in it")
    p.add_argument("--write", metavar="DIR")
    o = p.parse_args()
    if o.bytes:
        with tempfile.TemporaryDirectory() as work:
            bytes_table(o, os.path.join(work, "m.onnx"))
        return
    cases = [c for c in CASES if o.only.lower() in (c[0] + " " + c[1]).lower()]
    if o.write:
        os.makedirs(o.write, exist_ok=True)
        for name, op, inputs, constants, attrs in cases:
            model(op, inputs, constants, attrs, os.path.join(o.write, re.sub(r"[^\w.>-]+", "_", name) + ".onnx"))
        return
    print("| operator | " + ("before, ms | " if o.before else "") + "kernel | ms |\n|---|" + ("---|" if o.before else "") + "---|---|")
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "m.onnx")
        for name, op, inputs, constants, attrs in cases:
            model(op, inputs, constants, attrs, path)
            before = f"{step(o.before, path, o.threads)[1]:.3f} | " if o.before else ""
            kernel, ms = step(o.hone, path, o.threads)
            print(f"| {name} | {before}{kernel} | {ms:.3f} |", flush=True)


main()
