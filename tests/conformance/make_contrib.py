#!/usr/bin/python3
"""make_contrib.py DIR: cases of ONNX Runtime's own quantized operators (com.microsoft), as folders of the form of ONNX's backend tests.
What is wanted is computed here in double precision from what the operators' documentation says; numbers that would lie on the border
of two steps are drawn again, so integers must be met exactly. Needs python3-onnx; DIR is committed (tests/data/contrib)."""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.RandomState(7)
root = sys.argv[1]
TYPES = {np.dtype("u1"): TensorProto.UINT8, np.dtype("i1"): TensorProto.INT8, np.dtype("u2"): TensorProto.UINT16,
         np.dtype("f4"): TensorProto.FLOAT, np.dtype("i4"): TensorProto.INT32, np.dtype("bool"): TensorProto.BOOL}


class Border(Exception):
    pass


def close(x, scale, zero):
    """What QuantizeLinear makes of reals."""
    steps = x / np.float64(scale) + zero
    if (abs(steps - np.floor(steps) - 0.5) < 1e-3).any():
        raise Border
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(steps), limits.min, limits.max).astype(zero.dtype)


def real(q, scale, zero=0):
    return (q.astype("f8") - zero) * np.float64(scale)


def f(x):
    return np.float32(x)


def whole(t, *shape):
    limits = np.iinfo(t)
    return rng.randint(limits.min, limits.max + 1, shape).astype(t)


def save(name, op, args, feeds, wanted, domain="com.microsoft", **attributes):
    """args: (name, array) in order, None where absent; those named in feeds are inputs, the rest constants."""
    node = helper.make_node(op, [a[0] if a else "" for a in args], ["y"], name=op.lower(), domain=domain, **attributes)
    given = [a for a in args if a]
    info = [helper.make_tensor_value_info(k, TYPES[v.dtype], v.shape) for k, v in given if k in feeds]
    out = helper.make_tensor_value_info("y", TYPES[wanted.dtype], wanted.shape)
    constants = [numpy_helper.from_array(v, k) for k, v in given if k not in feeds]
    graph = helper.make_graph([node], name, info, [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version, model.producer_name = 7, ""
    folder = os.path.join(root, "test_" + name)
    os.makedirs(os.path.join(folder, "test_data_set_0"), exist_ok=True)
    onnx.save(model, os.path.join(folder, "model.onnx"))
    data = [v for k, v in given if k in feeds]
    for kind, arrays in (("input", data), ("output", [wanted])):
        for i, v in enumerate(arrays):
            with open(os.path.join(folder, "test_data_set_0", "%s_%d.pb" % (kind, i)), "wb") as to:
                to.write(numpy_helper.from_array(v, "%s_%d" % (kind, i)).SerializeToString())


def binary(name, op, function, t):
    a, b, z = whole(t, 3, 40), whole(t, 3, 40), np.array(5, t)
    y = close(function(real(a, .02, 5), real(b, .03, 9)), f(.05), np.array(3, t))
    save(name, op, [("a", a), ("as", np.array(.02, "f4")), ("az", z), ("b", b), ("bs", np.array(.03, "f4")), ("bz", np.array(9, t)),
                    ("ys", np.array(.05, "f4")), ("yz", np.array(3, t))], "ab", y)


def without_zeros():
    a, b = whole("u1", 3, 40), whole("u1", 3, 40)
    save("add_without_zeros", "QLinearAdd", [("a", a), ("as", np.array(.02, "f4")), None, ("b", b), ("bs", np.array(.03, "f4")), None, ("ys", np.array(.05, "f4"))],
         "ab", close(real(a, f(.02)) + real(b, f(.03)), f(.05), np.array(0, "u1")))


def unary(name, op, function, t, shape, scale, **attributes):
    x, z = whole(t, *shape), np.array(11, t)
    y = close(function(real(x, f(.04), 11)), f(scale), np.array(-20 if t == "i1" else 30, t))
    save(name, op, [("x", x), ("xs", np.array(.04, "f4")), ("xz", z), ("ys", np.array(scale, "f4")), ("yz", np.array(-20 if t == "i1" else 30, t))],
         "x", y, **attributes)


def windows(x):  # 3x3, steps of 2, over [n, c, h, w]
    h, w = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    return sum(x[:, :, i:i + 2 * h - 1:2, j:j + 2 * w - 1:2] for i in range(3) for j in range(3)) / 9


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def concat():
    parts = [(whole("u1", 2, 5), f(.02), 9), (whole("u1", 2, 7), f(.04), 60), (whole("u1", 2, 3), f(.03), 0)]
    y = close(np.concatenate([real(q, s, z) for q, s, z in parts], 1), f(.035), np.array(20, "u1"))
    args = [("ys", np.array(.035, "f4")), ("yz", np.array(20, "u1"))]
    for i, (q, s, z) in enumerate(parts):
        args += [("x%d" % i, q), ("s%d" % i, np.array(s)), ("z%d" % i, np.array(z, "u1"))]
    save("concat", "QLinearConcat", args, ("x0", "x1", "x2"), y, axis=1)


def where():
    c, a, b = rng.rand(3, 8) < .5, whole("u1", 3, 8), whole("u1", 3, 8)
    y = close(np.where(c, real(a, f(.02), 9), real(b, f(.03), 99)), f(.04), np.array(50, "u1"))
    save("where", "QLinearWhere", [("c", c), ("a", a), ("as", np.array(.02, "f4")), ("az", np.array(9, "u1")), ("b", b), ("bs", np.array(.03, "f4")),
                                   ("bz", np.array(99, "u1")), ("ys", np.array(.04, "f4")), ("yz", np.array(50, "u1"))], "cab", y)


def gemm(name, turned, columns, floats=False):
    a, w, c = whole("u1", 4, 24), whole("i1", 24, 10), rng.randint(-3000, 3000, 10).astype("i4")
    s = (rng.rand(10) * .01 + .001).astype("f4") if columns else np.array(.008, "f4")
    reals = real(a, f(.02), 9) @ real(w, s) + c * (np.float64(f(.02)) * s)
    y = reals.astype("f4") if floats else close(reals, f(.1), np.array(120, "u1"))
    args = [("a", a), ("as", np.array(.02, "f4")), ("az", np.array(9, "u1")), ("w", np.ascontiguousarray(w.T) if turned else w), ("ws", s),
            ("wz", np.zeros(s.shape, "i1")), ("c", c)]
    save(name, "QGemm", args + ([] if floats else [("ys", np.array(.1, "f4")), ("yz", np.array(120, "u1"))]), "a", y, transB=int(turned))


def scaled_product():
    a, w, s, b = whole("u1", 4, 24), whole("i1", 24, 10), (rng.rand(10) * .01 + .001).astype("f4"), rng.randn(10).astype("f4")
    args = [("a", a), ("w", w), ("as", np.array(.02, "f4")), ("ws", s), ("az", np.array(9, "u1")), ("wz", np.zeros(10, "i1")), ("b", b)]
    save("integer_to_float", "MatMulIntegerToFloat", args, "a", (real(a, f(.02), 9) @ real(w, s) + b).astype("f4"))


def dynamic_product():
    x, w, b = rng.randn(4, 24).astype("f4"), whole("i1", 24, 10), rng.randn(10).astype("f4")
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = f((high - low) / f(255))
    zero = np.array(np.rint(np.clip(-low / np.float64(scale), 0, 255)), "u1")
    y = real(close(x.astype("f8"), scale, zero), scale, zero) @ real(w, f(.01)) + b
    save("dynamic_product", "DynamicQuantizeMatMul", [("x", x), ("w", w), ("ws", np.array(.01, "f4")), None, ("b", b)], "x", y.astype("f4"))


def few_bits(name, bits, k, zeros, bias):
    n, block = 6, 16
    blocks, middle = (k + block - 1) // block, 1 << (bits - 1)
    q, z = rng.randint(0, 1 << bits, (n, blocks * block)), rng.randint(0, 1 << bits, (n, blocks)) if zeros else np.full((n, blocks), middle)
    s, x, b = (rng.rand(n, blocks) * .1 + .01).astype("f4"), rng.randn(3, k).astype("f4"), rng.randn(n).astype("f4")

    def packed(v):
        if bits == 8:
            return v.astype("u1")
        v = np.pad(v, [(0, 0), (0, v.shape[1] % 2)])
        return (v[:, 0::2] | v[:, 1::2] << 4).astype("u1")
    w = ((q - z.repeat(block, 1)) * s.astype("f8").repeat(block, 1))[:, :k]
    args = [("x", x), ("w", packed(q).reshape(n, blocks, -1)), ("s", s.ravel()), ("z", packed(z).ravel()) if zeros else None]
    save(name, "MatMulNBits", args + ([None, ("b", b)] if bias else []), "x", (x @ w.T + (b if bias else 0)).astype("f4"), K=k, N=n, bits=bits, block_size=block)


def wide():
    x = rng.randn(2, 9).astype("f4")
    save("sixteen_bits", "QuantizeLinear", [("x", x), ("s", np.array(1e-4, "f4")), ("z", np.array(30000, "u2"))], "x",
         close(x.astype("f8"), f(1e-4), np.array(30000, "u2")))


def plain_product():  # ONNX's own: signed weights that do not fit 8 bits less their zero point
    a, w = whole("u1", 5, 64), whole("i1", 64, 8)
    y = close(real(a, f(.02), 9) @ real(w, f(.01), 3), f(.5), np.array(128, "u1"))
    save("signed_weights_with_zero", "QLinearMatMul",
         [("a", a), ("as", np.array(.02, "f4")), ("az", np.array(9, "u1")), ("w", w), ("ws", np.array(.01, "f4")), ("wz", np.array(3, "i1")),
          ("ys", np.array(.5, "f4")), ("yz", np.array(128, "u1"))], "a", y, domain="")


def drawn(case, *args, **kw):
    while True:
        try:
            return case(*args, **kw)
        except Border:
            pass


def last(function):
    return lambda x: function(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


def mean(x):
    return x.mean((2, 3), keepdims=True)


if __name__ == "__main__":
    drawn(binary, "add", "QLinearAdd", np.add, "u1")
    drawn(binary, "add_signed", "QLinearAdd", np.add, "i1")
    drawn(binary, "mul", "QLinearMul", np.multiply, "u1")
    drawn(unary, "sigmoid", "QLinearSigmoid", lambda x: 1 / (1 + np.exp(-x)), "u1", (3, 40), 1 / 200)
    drawn(unary, "leaky", "QLinearLeakyRelu", lambda x: np.where(x < 0, x * f(.1), x), "i1", (3, 40), .03, alpha=.1)
    drawn(unary, "average", "QLinearAveragePool", windows, "u1", (1, 3, 9, 7), .03, kernel_shape=[3, 3], strides=[2, 2])
    drawn(unary, "average_last", "QLinearAveragePool", last(windows), "u1", (1, 9, 7, 3), .03, kernel_shape=[3, 3], strides=[2, 2], channels_last=1)
    drawn(unary, "global", "QLinearGlobalAveragePool", mean, "u1", (2, 3, 5, 6), .03, channels_last=0)
    drawn(unary, "global_last", "QLinearGlobalAveragePool", last(mean), "i1", (2, 5, 6, 3), .03, channels_last=1)
    drawn(unary, "softmax", "QLinearSoftmax", softmax, "u1", (3, 9), 1 / 256, axis=-1, opset=13)
    drawn(concat)
    drawn(where)
    drawn(gemm, "gemm", False, False)
    drawn(gemm, "gemm_columns", True, True)
    gemm("gemm_floats", False, True, True)
    scaled_product()
    drawn(dynamic_product)
    few_bits("four_bits", 4, 64, False, False)
    few_bits("four_bits_zeros", 4, 72, True, True)
    few_bits("eight_bits", 8, 40, True, False)
    drawn(wide)
    drawn(plain_product)
    drawn(without_zeros)
