"""Writes GraphDefs and SavedModels: protobuf's wire format by TensorFlow's public field numbers, and nothing of TensorFlow."""
import contextlib

import numpy as np

TYPES = {'float32': 1, 'float64': 2, 'int32': 3, 'uint8': 4, 'int16': 5, 'int8': 6, 'str': 7, 'int64': 9, 'bool': 10, 'resource': 20, 'variant': 21}


def varint(v):
    v &= (1 << 64) - 1
    out = b''
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, value):
    if isinstance(value, (bool, int, np.integer)):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, float):
        return varint(number << 3 | 5) + np.float32(value).tobytes()
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape_proto(dims):
    return field(3, 1) if dims is None else b''.join(field(2, field(1, d)) for d in dims)


def tensor_proto(a):
    a = np.asarray(a)
    if a.dtype.kind in 'US':
        return field(1, 7) + field(2, shape_proto(a.shape)) + b''.join(field(8, str(s)) for s in a.ravel())
    return field(1, TYPES[a.dtype.name]) + field(2, shape_proto(a.shape)) + field(4, np.ascontiguousarray(a).tobytes())


class Type(str):
    """An element type as an attribute."""


class Shape(tuple):
    """A shape as an attribute; Shape.unknown: its rank is open."""


UNKNOWN_SHAPE = object()


class Func(str):
    """A function's name as an attribute."""


class Floats(list):
    """A list of floats."""


def attr(v):
    if v is UNKNOWN_SHAPE:
        return field(7, shape_proto(None))
    if isinstance(v, Type):
        return field(6, TYPES[v])
    if isinstance(v, Shape):
        return field(7, shape_proto(v))
    if isinstance(v, Func):
        return field(10, field(1, str(v)))
    if isinstance(v, bool):
        return field(5, v)
    if isinstance(v, int):
        return field(3, v)
    if isinstance(v, float):
        return field(4, v)
    if isinstance(v, (str, bytes)):
        return field(2, v)
    if isinstance(v, Floats):
        return field(1, b''.join(field(4, float(x)) for x in v))
    if isinstance(v, list):
        number = {Type: 6, Shape: 7, str: 2}.get(type(v[0]) if v else int, 3)
        return field(1, b''.join(field(number, TYPES[x] if number == 6 else shape_proto(x) if number == 7 else x) for x in v))
    return field(8, tensor_proto(v))


def node_def(name, op, inputs, attrs):
    return (field(1, name) + field(2, op) + b''.join(field(3, i) for i in inputs) +
            b''.join(field(5, field(1, k) + field(2, attr(v))) for k, v in sorted(attrs.items())))


class Graph:
    """Nodes in order. Calls give the name of the node, which is its first output."""

    def __init__(self):
        self.nodes, self.functions, self.names, self.prefix, self.reads = [], [], {}, '', {}

    def freeze(self, outputs):
        """Drops what the outputs do not need, as TensorFlow's extract_sub_graph does."""
        stack, kept = list(outputs), set()
        while stack:
            name = stack.pop()
            if name not in kept:
                kept.add(name)
                stack += self.reads[name]
        self.nodes = [n for n, name in zip(self.nodes, self.reads) if name in kept]

    @contextlib.contextmanager
    def scope(self, name):
        before, self.prefix = self.prefix, self.unique(self.prefix + name) + '/'
        yield
        self.prefix = before

    def unique(self, name):
        n, free = self.names.get(name, 0), name
        while free in self.names:
            n += 1
            free = f'{name}_{n}'
        self.names[name] = n
        self.names[free] = self.names.get(free, 0)
        return free

    def add(self, op, inputs=(), name=None, **attrs):
        name = self.unique(self.prefix + (name or op))
        self.nodes.append(node_def(name, op, inputs, attrs))
        self.reads[name] = [i.lstrip('^').split(':')[0] for i in inputs]
        return name

    def const(self, value, name='Const'):
        value = np.asarray(value)
        return self.add('Const', (), name, value=value, dtype=Type('str' if value.dtype.kind in 'US' else value.dtype.name))

    def i32(self, value, name='Const'):
        return self.const(np.array(value, np.int32), name)

    def f32(self, value, name='Const'):
        return self.const(np.array(value, np.float32), name)

    def placeholder(self, name, dtype, shape):
        return self.add('Placeholder', (), name, dtype=Type(dtype), shape=UNKNOWN_SHAPE if shape is None else Shape(shape))

    def function(self, name, args, outputs, body, returns, control=()):
        """args, outputs: (name, type); body: a Graph; returns: what computes each output, "node:out:0" or an argument."""
        def arg(a):
            return field(1, a[0]) + field(3, TYPES[a[1]])
        signature = field(1, name) + b''.join(field(2, arg(a)) for a in args) + b''.join(field(3, arg(a)) for a in outputs)
        self.functions.append(field(1, signature) + b''.join(field(3, n) for n in body.nodes) +
                              b''.join(field(4, field(1, o[0]) + field(2, r)) for o, r in zip(outputs, returns)) +
                              b''.join(field(6, field(1, c) + field(2, c)) for c in control))

    def bytes(self):
        library = b''.join(field(1, f) for f in self.functions)
        return b''.join(field(1, n) for n in self.nodes) + (field(2, library) if library else b'') + field(4, field(1, 1087))


def saved_model(graph, signatures, tags=('serve',)):
    """signatures: key -> (inputs, outputs), each key -> (tensor, type, shape)."""
    def info(t):
        return field(1, t[0]) + field(2, TYPES[t[1]]) + field(3, shape_proto(t[2]))
    meta = field(1, b''.join(field(4, t) for t in tags) + field(5, '2.10.0')) + field(2, graph.bytes())
    for key, (ins, outs) in sorted(signatures.items()):
        s = b''.join(field(1, field(1, k) + field(2, info(t))) for k, t in sorted(ins.items()))
        s += b''.join(field(2, field(1, k) + field(2, info(t))) for k, t in sorted(outs.items())) + field(3, 'tensorflow/serving/predict')
        meta += field(5, field(1, key) + field(2, s))
    return field(1, 1) + field(2, meta)
