#!/usr/bin/env python3
"""Makes tests/tensorflow/checkpoints: checkpoints of TensorFlow's first format with their MetaGraphs, one in two shards with a partitioned
variable, one in a single file with a compressed block. Run it in this folder; the result is committed, and test_tf_checkpoint.c knows
what the graphs compute."""
import os

import numpy as np

from graphdef import Graph, Shape, TYPES, Type, field, shape_proto, varint

F32 = Type('float32')


# ---- LevelDB's tables

def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    crc ^= 0xffffffff
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def u32(v):
    return int(v).to_bytes(4, 'little')


def snappy(data):
    """As literals, but for runs, which are copies of what lies one byte back."""
    out, i = varint(len(data)), 0
    while i < len(data):
        run = 1
        while i + run < len(data) and run < 60 and data[i + run] == data[i]:
            run += 1
        if run > 8:
            out += bytes([0, data[i], (run - 1 - 4) << 2 | 1, 1]) if run - 1 < 12 else bytes([0, data[i], (run - 2) << 2 | 2, 1, 0])
            i += run
        else:
            out += bytes([0, data[i]])
            i += 1
    return out


def table(pairs, compressed=False, per_block=2):
    out, index = b'', []

    def block(entries, packed=False):
        nonlocal out
        data, before = b'', b''
        for k, v in entries:
            shared = len(os.path.commonprefix([before, k]))
            data += varint(shared) + varint(len(k) - shared) + varint(len(v)) + k[shared:] + v
            before = k
        data += u32(0) + u32(1)
        kind = b'\1' if packed else b'\0'
        data = snappy(data) if packed else data
        handle = varint(len(out)) + varint(len(data))
        out += data + kind + u32(crc32c(data + kind))
        return handle

    pairs = sorted(pairs)
    for i in range(0, len(pairs), per_block):
        index.append((pairs[min(i + per_block, len(pairs)) - 1][0], block(pairs[i:i + per_block], compressed)))
    footer = block([]) + block(index)
    return out + footer.ljust(40, b'\0') + bytes.fromhex('57fb808b247547db')


# ---- slices

def number(v):
    body = int(v).to_bytes((int(v).bit_length() + 7) // 8, 'big')
    return bytes([len(body)]) + body


def signed(v):
    assert -64 <= v < 64
    return bytes([(v & 0xff) ^ 0x80])


def slice_proto(spec):
    return b''.join(field(1, b'' if s is None else field(1, s[0]) + field(2, s[1])) for s in spec)


def key(name, spec):
    out = number(0) + name.encode() + b'\0\1' + number(len(spec))
    return out + b''.join(signed(0) + signed(-1) if s is None else signed(s[0]) + signed(s[1]) for s in spec)


VALUES = {'float32': 5, 'float64': 6, 'int32': 7, 'uint8': 7, 'int16': 7, 'int8': 7, 'str': 8, 'int64': 10, 'bool': 11}


def values(a):
    kind = 'str' if a.dtype.kind in 'US' else a.dtype.name
    if kind == 'str':
        return b''.join(field(8, str(s)) for s in a.ravel())
    if kind in ('float32', 'float64'):
        return field(VALUES[kind], a.tobytes())
    return field(VALUES[kind], b''.join(varint(int(v)) for v in a.ravel()))


def checkpoint(tensors, **how):
    """tensors: (name, shape of the whole, slice, value)."""
    contents, pairs = b'', []
    for name, shape, spec, value in tensors:
        value = np.asarray(value)
        kind = 'str' if value.dtype.kind in 'US' else value.dtype.name
        contents += field(1, field(1, name) + field(2, shape_proto(shape)) + field(3, TYPES[kind]) + field(4, slice_proto(spec)))
        pairs.append((key(name, spec), field(2, field(1, name) + field(2, slice_proto(spec)) + field(3, values(value)))))
    return table([(b'', field(1, contents + field(2, field(1, 1))))] + pairs, **how)


# ---- graphs

def restored(g, name, shape, tensor=None, spec='', op='RestoreV2', dtype='float32'):
    v = g.add('VariableV2', (), name, shape=Shape(shape), dtype=Type(dtype), container='', shared_name='')
    file, names, slices = (g.const(np.array(t), 'save/' + n) for t, n in (('model', 'Const'), (tensor or name, 'tensor_names'), (spec, 'shape_and_slices')))
    if op == 'RestoreV2':
        names, slices = (g.const(np.array([t]), 'save/' + n) for t, n in ((tensor or name, 'tensor_names'), (spec, 'shape_and_slices')))
        r = g.add(op, [file, names, slices], 'save/' + op, dtypes=[Type(dtype)])
    else:
        r = g.add(op, [file, names, slices], 'save/' + op, dt=Type(dtype), preferred_shard=-1)
    g.add('Assign', [v, r], 'save/Assign', T=Type(dtype), use_locking=True, validate_shape=True)
    return g.add('Identity', [v], name + '/read', T=Type(dtype))


def meta(g):
    return field(1, field(5, '0.11.0')) + field(2, g.bytes())


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def sharded():
    """y = (x w + b) * scale, w in two partitions of two rows."""
    g = Graph()
    x = g.placeholder('x', 'float32', (-1, 4))
    parts = [restored(g, f'w/part_{i}', (2, 3), 'w', f'4 3 {2 * i},2:-', 'RestoreSlice') for i in range(2)]
    w = g.add('ConcatV2', [*parts, g.i32(0)], 'w', N=2, T=F32, Tidx=Type('int32'))
    b, scale = restored(g, 'b', (3,), op='RestoreSlice'), restored(g, 'scale', (), op='RestoreSlice', dtype='int32')
    y = g.add('BiasAdd', [g.add('MatMul', [x, w], T=F32), b], T=F32)
    g.add('Mul', [y, g.add('Cast', [scale], SrcT=Type('int32'), DstT=F32)], 'y', T=F32)
    rows = np.arange(12, dtype=np.float32).reshape(4, 3) / 2
    f = 'checkpoints/sharded/'
    write(f + 'model-7.meta', meta(g))
    write(f + 'checkpoint', 'model_checkpoint_path: "/home/me/model-7-?????-of-00002"\nall_model_checkpoint_paths: "/home/me/model-7-?????-of-00002"\n')
    write(f + 'model-7-00000-of-00002', checkpoint([('w', (4, 3), [(0, 2), None], rows[:2]), ('scale', (), [], np.int32(-3)), ('labels', (2,), [None], ['a', 'b'])]))
    write(f + 'model-7-00001-of-00002', checkpoint([('w', (4, 3), [(2, 2), None], rows[2:]), ('b', (3,), [None], np.array([1, -2, 3], np.float32))], per_block=1))


def single():
    """y = x + v + d, of doubles and bytes."""
    g = Graph()
    x = g.placeholder('x', 'float32', (20,))
    v, d = restored(g, 'v', (20,)), restored(g, 'd', (20,), dtype='uint8')
    y = g.add('Add', [x, v], T=F32)
    g.add('Add', [y, g.add('Cast', [d], SrcT=Type('uint8'), DstT=F32)], 'y', T=F32)
    f = 'checkpoints/single/'
    write(f + 'model.ckpt.meta', meta(g))
    write(f + 'checkpoint', 'model_checkpoint_path: "model.ckpt"\n')
    write(f + 'model.ckpt', checkpoint([('v', (20,), [None], np.zeros(20, np.float32) + 2), ('d', (20,), [None], np.arange(20).astype(np.uint8))], compressed=True))


if __name__ == '__main__':
    sharded()
    single()
