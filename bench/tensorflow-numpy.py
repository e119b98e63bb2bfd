#!/usr/bin/env python3
"""Frozen TensorFlow graphs computed by numpy alone, node by node, against hone before and after optimization.

    bench/tensorflow-numpy.py HONE GRAPH.pb INPUT=SHAPE... [INPUT=NUMBER...]

An independent reading of the format and of the operators: protobuf is parsed here, and each operator is what numpy says.
Prints the largest difference of each output; fails above 1e-5 of the largest value."""
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

TYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64, 10: np.bool_}


def varint(b, i):
    v = s = 0
    while True:
        c = b[i]
        i += 1
        v |= (c & 127) << s
        s += 7
        if not c & 128:
            return v, i


def fields(b):
    i = 0
    while i < len(b):
        k, i = varint(b, i)
        if k & 7 == 0:
            v, i = varint(b, i)
        else:
            n, i = varint(b, i) if k & 7 == 2 else ({1: 8, 5: 4}[k & 7], i)
            v, i = b[i:i + n], i + n
        yield k >> 3, v


def signed(v):
    return v - (1 << 64) if v >> 63 else v


def packed(v):
    if isinstance(v, int):
        return [signed(v)]
    out, i = [], 0
    while i < len(v):
        x, i = varint(v, i)
        out.append(signed(x))
    return out


def tensor(b):
    dtype, dims, content, values = np.float32, [], b"", []
    for f, v in fields(b):
        if f == 1:
            dtype = TYPES[v]
        elif f == 2:
            dims = [dict(fields(d)).get(1, 0) for n, d in fields(v) if n == 2]
        elif f == 4:
            content = v
        elif f == 5:
            values += struct.unpack("<%df" % (len(v) // 4), v)
        elif f in (7, 10, 11):
            values += packed(v)
    if content:
        return np.frombuffer(content, dtype).reshape(dims)
    count = int(np.prod(dims, dtype=np.int64))
    values = values or [0]
    return np.array(values + [values[-1]] * (count - len(values)), dtype).reshape(dims)


def attr(b):
    for f, v in fields(b):
        if f == 8:
            return tensor(v)
        if f == 1:
            return [x for n, w in fields(v) if n == 3 for x in packed(w)]
        return signed(v) if f == 3 else struct.unpack("<f", v)[0] if f == 4 else bool(v) if f == 5 else v
    return None


def load(path):
    nodes = {}
    for f, v in fields(open(path, "rb").read()):
        if f != 1:
            continue
        name = op = None
        inputs, attrs = [], {}
        for k, w in fields(v):
            if k == 1:
                name = w.decode()
            elif k == 2:
                op = w.decode()
            elif k == 3:
                inputs.append(w.decode())
            elif k == 5:
                e = dict(fields(w))
                attrs[e[1].decode()] = attr(e.get(2, b""))
        nodes[name] = (op, inputs, attrs)
    return nodes


def strided(x, begin, end, step, a):
    index = []
    for i in range(len(begin)):
        if a.get("ellipsis_mask", 0) >> i & 1:
            index.append(Ellipsis)
        elif a.get("new_axis_mask", 0) >> i & 1:
            index.append(None)
        elif a.get("shrink_axis_mask", 0) >> i & 1:
            index.append(int(begin[i]))
        else:
            index.append(slice(None if a.get("begin_mask", 0) >> i & 1 else int(begin[i]),
                               None if a.get("end_mask", 0) >> i & 1 else int(end[i]), int(step[i])))
    return x[tuple(index)]


OPS = {
    "Const": lambda a: a["value"],
    "Identity": lambda a, x: x,
    "MatMul": lambda a, x, y: (x.T if a.get("transpose_a") else x) @ (y.T if a.get("transpose_b") else y),
    "BiasAdd": lambda a, x, y: x + y, "Add": lambda a, x, y: x + y, "AddV2": lambda a, x, y: x + y,
    "Mul": lambda a, x, y: x * y, "Sub": lambda a, x, y: x - y, "RealDiv": lambda a, x, y: x / y,
    "Sigmoid": lambda a, x: 1 / (1 + np.exp(-x)), "Tanh": lambda a, x: np.tanh(x), "Relu": lambda a, x: np.maximum(x, 0),
    "Floor": lambda a, x: np.floor(x),
    "Shape": lambda a, x: np.array(x.shape, np.int32),
    "StridedSlice": lambda a, x, b, e, s: strided(x, b, e, s, a),
    "Pack": lambda a, *x: np.stack(x, a.get("axis", 0) or 0),
    "Unpack": lambda a, x: [np.take(x, i, a.get("axis", 0) or 0) for i in range(a["num"])],
    "Reshape": lambda a, x, s: x.reshape(s), "ExpandDims": lambda a, x, d: np.expand_dims(x, int(d)),
    "ConcatV2": lambda a, *x: np.concatenate(x[:-1], int(x[-1])),
    "Fill": lambda a, s, v: np.full(s, v),
    "Split": lambda a, d, x: np.split(x, a["num_split"], int(d)),
    "RandomUniform": lambda a, s: np.full(s, 0.5, np.float32),  # of a dropout that keeps everything
}


def compute(nodes, name, known):
    node, _, port = name.partition(":")
    stack = [node]
    while stack:
        at = stack[-1]
        op, inputs, attrs = nodes[at]
        inputs = [i for i in inputs if not i.startswith("^")]
        missing = [i.split(":")[0] for i in inputs if i.split(":")[0] not in known]
        if at in known or not missing:
            if at not in known:
                args = []
                for i in inputs:
                    n, _, p = i.partition(":")
                    args.append(known[n][int(p or 0)] if isinstance(known[n], list) else known[n])
                known[at] = OPS[op](attrs, *args)
            stack.pop()
        else:
            stack += missing
    return known[node]


def main():
    hone, path, feeds, worst = sys.argv[1], sys.argv[2], {}, 0
    rng = np.random.default_rng(1)
    for a in sys.argv[3:]:
        name, _, v = a.partition("=")
        feeds[name] = np.float32(float(v)) if "." in v else rng.random([int(d) for d in v.split("x")], np.float32)
    nodes = load(path)
    with tempfile.TemporaryDirectory() as t:
        args = []
        for name, v in feeds.items():
            np.save(os.path.join(t, name + ".npy"), np.asarray(v))
            args.append("--input=%s=%s" % (name, os.path.join(t, name + ".npy")))
        subprocess.run([hone, "optimize", path, "-o", os.path.join(t, "m.hone")], check=True, stdout=subprocess.DEVNULL)
        for what, model in (("as it is", path), ("optimized", os.path.join(t, "m.hone"))):
            out = os.path.join(t, "out")
            subprocess.run([hone, "run", model, "--output-dir=" + out] + args, check=True, stdout=subprocess.DEVNULL)
            for file in sorted(os.listdir(out)):
                got = np.load(os.path.join(out, file))
                want = compute(nodes, file[:-4], dict(feeds))
                if got.shape != want.shape:
                    sys.exit("%s: shape %s, not %s" % (file, got.shape, want.shape))
                d = np.abs(got - want).max() / np.abs(want).max()
                worst = max(worst, d)
                print("%-10s %-8s %-12s largest difference %.2e of the largest value" % (what, file[:-4], want.shape, d))
    if not worst < 1e-5:
        sys.exit("that is too much")


main()
