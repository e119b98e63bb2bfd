#!/usr/bin/env python3
"""Makes tests/tensorflow/graphs: TensorFlow graphs as exporters write them, with inputs and what they give by reference.py. Run it in
this folder; the result is committed. NAME.txt: a line a tensor, NAME.bin: its bytes."""
import os
import sys

import numpy as np

import reference as R
from graphdef import Floats, Func, Graph, Shape, Type, UNKNOWN_SHAPE, saved_model

rng = np.random.default_rng(11)
F32, I32, I64, BOOL = Type('float32'), Type('int32'), Type('int64'), Type('bool')


def x(*shape):
    return rng.normal(size=shape).astype(np.float32)


class Case:
    """A graph, what is fed and what comes out."""

    def __init__(self, name):
        self.name, self.graph, self.inputs, self.outputs, self.options = name, Graph(), [], [], []

    def feed(self, name, value, shape=None):
        value = np.asarray(value)
        self.graph.placeholder(name, value.dtype.name, shape if shape is not None else value.shape)
        self.inputs.append((name, value))
        return name

    def want(self, tensor, value, dtype=None):
        """The tensor gets an Identity of its own, so that each is an output."""
        value = np.asarray(value)
        value = value.astype(dtype or (np.float32 if value.dtype == np.float64 else value.dtype))
        out = self.graph.add('Identity', [tensor], 'out', T=Type(value.dtype.name))
        self.outputs.append((out, value))

    def save(self, folder='graphs'):
        with open(f'{folder}/{self.name}.pb', 'wb') as f:
            f.write(self.graph.bytes())
        self.save_expected(folder)

    def save_expected(self, folder):
        with open(f'{folder}/{self.name}.txt', 'w') as text, open(f'{folder}/{self.name}.bin', 'wb') as data:
            for o in self.options:
                text.write(f'option {o} -\n')
            for kind, tensors in (('input', self.inputs), ('output', self.outputs)):
                for name, v in tensors:
                    text.write(f'{kind} {name} {v.dtype.name}:{"x".join(map(str, v.shape))}\n')
                    data.write(np.ascontiguousarray(v).tobytes())


# ------------------------------------------------------------------------------------------------- single operators

def resizing():
    c = Case('resizing')
    g = c.graph
    image = c.feed('image', x(2, 5, 7, 3), (-1, 5, 7, 3))
    v = c.inputs[0][1]
    for size in ((10, 14), (3, 4), (7, 5), (1, 9), (5, 7)):
        s = g.i32(size)
        for align, centers in ((False, False), (True, False), (False, True)):
            how = dict(align_corners=align, half_pixel_centers=centers)
            c.want(g.add('ResizeBilinear', [image, s], T=F32, **how), R.resize_bilinear(v, size, align, centers))
            c.want(g.add('ResizeNearestNeighbor', [image, s], T=F32, **how), R.resize_nearest(v, size, align, centers))
            c.want(g.add('ResizeBicubic', [image, s], T=F32, **how), R.resize_bicubic(v, size, align, centers))
            if not centers:
                c.want(g.add('ResizeArea', [image, s], T=F32, align_corners=align), R.resize_area(v, size, align))
    c.save()


def patches():
    c = Case('patches')
    g = c.graph
    image = c.feed('image', x(2, 8, 9, 2), (-1, 8, 9, 2))
    v = c.inputs[0][1]
    for k, s, r in (((3, 3), (1, 1), (1, 1)), ((2, 3), (3, 2), (2, 1)), ((1, 1), (2, 2), (1, 1))):
        for padding in ('SAME', 'VALID'):
            c.want(g.add('ExtractImagePatches', [image], T=F32, ksizes=[1, *k, 1], strides=[1, *s, 1], rates=[1, *r, 1], padding=padding),
                   R.image_patches(v, k, s, r, padding))
    c.save()


def crops():
    c = Case('crops')
    g = c.graph
    image = c.feed('image', x(2, 6, 5, 3), (-1, 6, 5, 3))
    boxes = np.array([[0, 0, 1, 1], [.2, .1, .7, .9], [-.3, -.2, .6, 1.4], [.9, .8, .1, .2], [.5, .5, .5, .5], [1.2, 0, 1.5, 1], [0, .25, 1, .75]], np.float32)
    which = np.array([0, 1, 0, 1, 1, 0, 1], np.int32)
    b, w = c.feed('boxes', boxes, (-1, 4)), c.feed('box_ind', which, (-1,))
    v = c.inputs[0][1]
    for size, method, outside in (((4, 3), 'bilinear', 0.0), ((3, 3), 'nearest', -1.5), ((1, 1), 'bilinear', 2.0), ((6, 5), 'bilinear', 0.0), ((2, 1), 'nearest', 0.0)):
        c.want(g.add('CropAndResize', [image, b, w, g.i32(size)], T=F32, method=method, extrapolation_value=outside), R.crop_and_resize(v, boxes, which, size, method, outside))
    c.save()


def boxes_of(n, batch=()):
    corner, size = rng.random(batch + (n, 2)) * .8, rng.random(batch + (n, 2)) * .4 + .05
    return np.concatenate([corner, corner + size], -1).astype(np.float32)


def suppression():
    c = Case('suppression')
    g = c.graph
    n = 30
    boxes, scores = boxes_of(n), rng.random(n).astype(np.float32)
    boxes[3], boxes[4] = boxes[3][[2, 3, 0, 1]], boxes[4][[0, 3, 2, 1]]  # corners the other way
    boxes[7, 2] = boxes[7, 0]  # without area
    scores[12] = scores[5]  # a tie
    b, s = c.feed('boxes', boxes, (-1, 4)), c.feed('scores', scores, (-1,))
    for most, overlap, threshold in ((10, .3, .2), (5, .5, 0.), (30, .1, .6), (30, 0., -1.), (4, 1., .95)):
        k, o, t = g.i32(most), g.f32(overlap), g.f32(threshold)
        picked = R.nms(boxes, scores, most, overlap, threshold)
        every = R.nms(boxes, scores, most, overlap)
        c.want(g.add('NonMaxSuppression', [b, s, k], iou_threshold=float(overlap)), every)
        c.want(g.add('NonMaxSuppressionV2', [b, s, k, o], T=F32), every)
        c.want(g.add('NonMaxSuppressionV3', [b, s, k, o, t], T=F32, T_threshold=F32), picked)
        for padded in (False, True):
            full = np.concatenate([picked, np.zeros(most - len(picked), np.int32)]) if padded else picked
            v4 = g.add('NonMaxSuppressionV4', [b, s, k, o, t], T=F32, T_threshold=F32, pad_to_max_output_size=padded)
            c.want(v4, full)
            c.want(v4 + ':1', np.int32(len(picked)))
            v5 = g.add('NonMaxSuppressionV5', [b, s, k, o, t, g.f32(0)], T=F32, pad_to_max_output_size=padded)
            c.want(v5, full)
            c.want(v5 + ':1', np.concatenate([scores[picked], np.zeros(len(full) - len(picked), np.float32)]))
            c.want(v5 + ':2', np.int32(len(picked)))
    c.save()


def soft(name='soft', fed=False):
    """Version 5 with a sigma: a constant, or fed."""
    own = np.random.default_rng(17)
    c = Case(name)
    g = c.graph
    n = 40
    corner = own.random((n, 2)) * .6
    boxes, scores = np.concatenate([corner, corner + own.random((n, 2)) * .4 + .1], -1).astype(np.float32), own.random(n).astype(np.float32)
    boxes[3], boxes[4] = boxes[3][[2, 3, 0, 1]], boxes[4][[0, 3, 2, 1]]
    boxes[7, 2] = boxes[7, 0]
    boxes[20] = boxes[21] = boxes[22]
    scores[12] = scores[5]
    b, s = c.feed('boxes', boxes, (-1, 4)), c.feed('scores', scores, (-1,))
    given = c.feed('sigma', np.float32(.4), ()) if fed else None
    if fed:
        c.options = ['no-onnx']  # whether it is positive is not known
    for most, threshold, sigma in ((10, .2, .5), (40, .25, .1), (40, 0., 1.), (3, .9, .5), (0, .1, .5), (15, .3, 1e-3)):
        if fed:
            sigma = .4
        picked, kept = R.soft_nms(boxes, scores, most, np.float32(threshold), sigma)
        for padded in (False, True):
            more = most - len(picked) if padded else 0
            v5 = g.add('NonMaxSuppressionV5', [b, s, g.i32(most), g.f32(.4), g.f32(threshold), given or g.f32(sigma)], T=F32, pad_to_max_output_size=padded)
            c.want(v5, np.concatenate([picked, np.zeros(more, np.int32)]))
            c.want(v5 + ':1', np.concatenate([kept, np.zeros(more, np.float32)]))
            c.want(v5 + ':2', np.int32(len(picked)))
    c.save()


def soft_fed():
    soft('soft_fed', True)


def combined():
    c = Case('combined')
    c.options = ['unwritable']  # a suppression for each image of an open batch
    g = c.graph
    n, classes = 20, 3
    shared, own = boxes_of(n, (2,))[:, :, None], np.stack([boxes_of(n, (2,)) for _ in range(classes)], 2)
    shared = shared * 1.3 - .1  # beyond the image
    scores = rng.random((2, n, classes)).astype(np.float32)
    s = c.feed('scores', scores, (-1, n, classes))
    feeds = [(c.feed('shared', shared.astype(np.float32), (-1, n, 1, 4)), shared), (c.feed('own', own, (-1, n, classes, 4)), own)]
    for b, v in feeds:
        for per_class, total, pad, clip in ((4, 10, False, True), (5, 6, False, False), (2, 50, True, True), (20, 100, False, True)):
            nms = g.add('CombinedNonMaxSuppression', [b, s, g.i32(per_class), g.i32(total), g.f32(.4), g.f32(.35)], pad_per_class=pad, clip_boxes=clip)
            for i, w in enumerate(R.combined_nms(v.astype(np.float32), scores, per_class, total, np.float32(.4), np.float32(.35), pad, clip)):
                c.want(f'{nms}:{i}' if i else nms, w)
    c.save()


def cells():
    c = Case('cells')
    g = c.graph
    steps, batch, n_in, n = 6, 2, 3, 4
    seq, cs, h = c.feed('seq', x(steps, batch, n_in)), c.feed('cs', x(batch, n)), c.feed('h', x(batch, n))
    v = dict(c.inputs)
    w, b, peep = x(n_in + n, 4 * n), x(4 * n), [x(n) for _ in range(3)]
    wn, bn, pn = g.f32(w, 'w'), g.f32(b, 'b'), [g.f32(p, 'peephole') for p in peep]
    one = g.add('Unpack', [seq], 'step', T=F32, num=steps, axis=0)
    for peephole, forget, clip in ((False, 1.0, 3.0), (True, 0.5, 0.7), (True, 0.0, -1.0)):
        how = dict(forget=forget, clip=clip, peephole=peep if peephole else None)
        cell = g.add('LSTMBlockCell', [one, cs, h, wn, *pn, bn], T=F32, forget_bias=forget, cell_clip=clip, use_peephole=peephole)
        for i, want in enumerate(R.lstm_cell(v['seq'][0], v['cs'], v['h'], w, b, **how)):
            c.want(f'{cell}:{i}' if i else cell, want)
        for length in (steps, 4):
            block = g.add('BlockLSTM', [g.const(np.int64(length)), seq, cs, h, wn, *pn, bn], T=F32, forget_bias=forget, cell_clip=clip, use_peephole=peephole)
            for i, want in enumerate(R.block_lstm(length, v['seq'], v['cs'], v['h'], w, b, **how)):
                c.want(f'{block}:{i}' if i else block, want)
        block = g.add('BlockLSTMV2', [g.const(np.int64(5)), seq, cs, h, wn, *pn, bn], T=F32, cell_clip=clip, use_peephole=peephole)
        for i, want in enumerate(R.block_lstm(5, v['seq'], v['cs'], v['h'], w, b, peephole=how['peephole'], forget=0.0, clip=clip, order='ifco')):
            c.want(f'{block}:{i}' if i else block, want)
    ru, wc, bru, bc = x(n_in + n, 2 * n), x(n_in + n, n), x(2 * n), x(n)
    gru = g.add('GRUBlockCell', [one, h, g.f32(ru), g.f32(wc), g.f32(bru), g.f32(bc)], T=F32)
    for i, want in enumerate(R.gru_cell(v['seq'][0], v['h'], ru, wc, bru, bc)):
        c.want(f'{gru}:{i}' if i else gru, want)
    c.save()


def cudnn():
    c = Case('cudnn')
    g = c.graph
    steps, batch, n_in, n = 5, 3, 4, 6
    seq = c.feed('seq', x(steps, batch, n_in))
    v = dict(c.inputs)['seq'].astype(float)
    for mode, gates, layers, directions, op in (('lstm', 4, 2, 1, 'CudnnRNN'), ('lstm', 4, 2, 2, 'CudnnRNNV3'), ('gru', 3, 1, 2, 'CudnnRNNV2'), ('rnn_relu', 1, 1, 1, 'CudnnRNN'), ('rnn_tanh', 1, 2, 1, 'CudnnRNN')):
        h0, c0 = x(layers * directions, batch, n), x(layers * directions, batch, n)
        lengths = np.array([5, 2, 4], np.int32)
        matrices, biases, flat = {}, {}, []
        for l in range(layers):
            for d in range(directions):
                wide = n_in if l == 0 else n * directions
                matrices[l, d] = [x(n, wide) * np.float32(.5) for _ in range(gates)], [x(n, n) * np.float32(.5) for _ in range(gates)]
                flat += [m.ravel() for kind in matrices[l, d] for m in kind]
        for l in range(layers):
            for d in range(directions):
                biases[l, d] = x(gates, n), x(gates, n)
                flat += [b.ravel() for b in biases[l, d]]
        ids = [g.f32(h0), g.f32(c0 if mode == 'lstm' else 0), g.f32(np.concatenate(flat))]
        inputs = [seq, *ids] + ([g.const(lengths)] if op == 'CudnnRNNV3' else [])
        node = g.add(op, inputs, T=F32, rnn_mode=mode, input_mode='linear_input', direction='bidirectional' if directions == 2 else 'unidirectional', **({'time_major': True} if op == 'CudnnRNNV3' else {}))
        y, ends, cells = v, [], []
        for l in range(layers):
            sides = []
            for d in range(directions):
                (W, U), (bw, bu) = matrices[l, d], biases[l, d]
                out, hs, cs = np.zeros((steps, batch, n)), h0[l * directions + d].astype(float), c0[l * directions + d].astype(float)
                for r in range(batch):
                    h1, c1 = hs[r], cs[r]
                    count = lengths[r] if op == 'CudnnRNNV3' else steps
                    for t in range(count)[::-1] if d else range(count):
                        a, b = [w @ y[t, r] + k for w, k in zip(W, bw)], [u @ h1 + k for u, k in zip(U, bu)]
                        if mode == 'lstm':
                            i, f, o = R.sigmoid(a[0] + b[0]), R.sigmoid(a[1] + b[1]), R.sigmoid(a[3] + b[3])
                            c1 = f * c1 + i * np.tanh(a[2] + b[2])
                            h1 = o * np.tanh(c1)
                        elif mode == 'gru':
                            reset, update = R.sigmoid(a[0] + b[0]), R.sigmoid(a[1] + b[1])
                            h1 = (1 - update) * np.tanh(a[2] + reset * b[2]) + update * h1
                        else:
                            h1 = np.tanh(a[0] + b[0]) if mode == 'rnn_tanh' else np.maximum(a[0] + b[0], 0)
                        out[t, r] = h1
                    hs[r], cs[r] = h1, c1
                sides.append(out)
                ends.append(hs)
                cells.append(cs)
            y = np.concatenate(sides, -1)
        c.want(node, y)
        c.want(node + ':1', np.stack(ends))
        if mode == 'lstm':
            c.want(node + ':2', np.stack(cells))
    c.save()


def quantized():
    c = Case('quantized')
    g = c.graph
    v = np.concatenate([x(5, 4) * 3, np.linspace(-8, 8, 60, dtype=np.float32).reshape(15, 4)])
    a = c.feed('a', v, (-1, 4))
    for low, high, bits, narrow in ((-6., 6., 8, False), (0., 6., 8, False), (-1., 3., 4, True), (.5, 2., 8, False), (-2., -.5, 8, True), (-3.3, 4.7, 3, False)):
        c.want(g.add('FakeQuantWithMinMaxArgs', [a], min=low, max=high, num_bits=bits, narrow_range=narrow), R.fake_quant(v, low, high, bits, narrow))
        c.want(g.add('FakeQuantWithMinMaxVars', [a, g.f32(low), g.f32(high)], num_bits=bits, narrow_range=narrow), R.fake_quant(v, low, high, bits, narrow))
    low, high = np.array([-1, -2, 0, -.3], np.float32), np.array([1, 5, 6, 7], np.float32)
    want = np.stack([R.fake_quant(v[:, i], low[i], high[i], 8, True) for i in range(4)], 1)
    c.want(g.add('FakeQuantWithMinMaxVarsPerChannel', [a, g.f32(low), g.f32(high)], num_bits=8, narrow_range=True), want)
    low[1] = high[1] = 0
    want = np.stack([R.fake_quant(v[:, i], low[i], high[i]) for i in range(4)], 1)
    c.want(g.add('FakeQuantWithMinMaxVarsPerChannel', [a, g.f32(low), g.f32(high)]), want)
    c.save()


def aware():
    """As quantization aware training leaves a network: a convolution with a scale for each channel of its weights, a depthwise one and a
    product with one; activations between."""
    c, r = Case('aware'), np.random.default_rng(5)
    g = c.graph

    def x(*shape):
        return r.normal(size=shape).astype(np.float32)

    v = x(1, 9, 9, 3)

    def fake(t, value, low, high, narrow=False):
        op = 'FakeQuantWithMinMaxVarsPerChannel' if np.ndim(low) else 'FakeQuantWithMinMaxVars'
        a, b = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if np.ndim(low):
            value = np.stack([R.fake_quant(value[..., i], a[i], b[i], 8, narrow) for i in range(len(a))], -1)
        else:
            value = R.fake_quant(value, a, b, 8, narrow)
        return g.add(op, [t, g.f32(a), g.f32(b)], num_bits=8, narrow_range=narrow), value

    t, v = fake(c.feed('image', v, (1, 9, 9, 3)), v, -3, 3)
    w = x(3, 3, 3, 16) * .3
    top = np.abs(w).max((0, 1, 2))
    k, w = fake(g.f32(w), w, -top, top, True)
    b = x(16) * .1
    t = g.add('Conv2D', [t, k], T=F32, strides=[1, 1, 1, 1], padding='SAME', data_format='NHWC')
    t = g.add('Relu6', [g.add('BiasAdd', [t, g.f32(b)], T=F32)], T=F32)
    t, v = fake(t, np.clip(R.conv(v, w) + b, 0, 6), 0, 6)
    w = x(3, 3, 16, 1) * .3
    top = np.abs(w).max()
    k, w = fake(g.f32(w), w, -top, top, True)
    t = g.add('DepthwiseConv2dNative', [t, k], T=F32, strides=[1, 2, 2, 1], padding='SAME', data_format='NHWC')
    t, v = fake(g.add('Relu6', [t], T=F32), np.clip(R.conv(v, w, 2, 'SAME', True), 0, 6), 0, 6)
    t = g.add('Mean', [t, g.i32([1, 2])], T=F32, Tidx=I32, keep_dims=False)
    t, v = fake(t, v.mean((1, 2)), 0, 6)
    w = x(16, 10) * .3
    top = np.abs(w).max()
    k, w = fake(g.f32(w), w, -top, top, True)
    t, v = fake(g.add('MatMul', [t, k], T=F32), v.astype(np.float64) @ w, -4, 4)
    c.want(t, v)
    c.save()


def indices():
    c = Case('indices')
    g = c.graph
    v = x(3, 5, 6)
    a = c.feed('a', v, (-1, 5, 6))
    for low, up in ((1, 2), (-1, 0), (0, -1), (-1, -1), (3, 0), (0, 0), (10, 10)):
        r, k = np.mgrid[0:5, 0:6]
        keep = ((low < 0) | (r - k <= low)) & ((up < 0) | (k - r <= up))
        c.want(g.add('MatrixBandPart', [a, g.i32(low), g.i32(up)], T=F32, Tindex=I32), v * keep)
    dense = np.full(9, -1, np.float32)
    dense[[1, 4, 8]] = 5, 6, 7
    c.want(g.add('SparseToDense', [g.i32([1, 4, 8]), g.i32([9]), g.f32([5, 6, 7]), g.f32(-1)], T=F32, Tindices=I32, validate_indices=True), dense)
    dense = np.zeros((3, 4), np.float32)
    dense[[0, 2], [1, 3]] = 2.5
    c.want(g.add('SparseToDense', [g.i32([[0, 1], [2, 3]]), g.i32([3, 4]), g.f32(2.5), g.f32(0)], T=F32, Tindices=I32, validate_indices=True), dense)
    dense = np.zeros(4, np.float32)
    dense[2] = 9
    c.want(g.add('SparseToDense', [g.i32(2), g.i32([4]), g.f32(9), g.f32(0)], T=F32, Tindices=I32, validate_indices=True), dense)
    top = g.add('TopKV2', [a, g.i32(3)], T=F32, sorted=True)
    order = np.argsort(-v, -1, kind='stable')[..., :3]
    c.want(top, np.take_along_axis(v, order, -1))
    c.want(top + ':1', order.astype(np.int32))
    ties = np.array([[1, 3, 3, 2, 3], [0, 0, 0, 0, 0]], np.float32)
    t = c.feed('ties', ties, (-1, 5))
    top = g.add('TopKV2', [t, g.i32(4)], T=F32, sorted=True)  # of equal ones the first
    c.want(top + ':1', np.argsort(-ties, -1, kind='stable')[:, :4].astype(np.int32))
    c.want(g.add('ArgMax', [t, g.i32(1)], T=F32, Tidx=I32, output_type=I64), ties.argmax(1))
    c.want(g.add('ArgMin', [t, g.i32(-1)], T=F32, Tidx=I32, output_type=I32), ties.argmin(1).astype(np.int32))
    positive = g.add('Greater', [a, g.f32(.5)], T=F32)
    c.want(g.add('Where', [positive], T=BOOL), np.argwhere(v > .5).astype(np.int64))
    for exclusive, reverse in ((False, False), (True, False), (False, True), (True, True)):
        w = v[:, ::-1] if reverse else v
        s = np.cumsum(w, 1)
        s = s - w if exclusive else s
        c.want(g.add('Cumsum', [a, g.i32(1)], T=F32, Tidx=I32, exclusive=exclusive, reverse=reverse), s[:, ::-1] if reverse else s)
    lengths = np.array([2, 5, 3], np.int32)
    turned = v.copy()
    for i, n in enumerate(lengths):
        turned[i, :n] = v[i, :n][::-1]
    c.want(g.add('ReverseSequence', [a, c.feed('lengths', lengths, (-1,))], T=F32, Tlen=I32, seq_dim=1, batch_dim=0), turned)
    index = np.array([0, 2, -1, 7, 3], np.int32)
    hot = np.full((5, 4), -2, np.float32)
    hot[[0, 1, 4], [0, 2, 3]] = 3
    i = c.feed('index', index, (-1,))
    c.want(g.add('OneHot', [i, g.i32(4), g.f32(3), g.f32(-2)], T=F32, TI=I32, axis=-1), hot)
    c.want(g.add('OneHot', [i, g.i32(4), g.f32(3), g.f32(-2)], T=F32, TI=I32, axis=0), hot.T)
    at = np.array([[0, 1], [2, 4], [0, 1]], np.int32)
    c.want(g.add('GatherNd', [a, g.i32(at)], Tparams=F32, Tindices=I32), v[at[:, 0], at[:, 1]])
    scattered = np.zeros((3, 5), np.float32)
    np.add.at(scattered, (at[:, 0], at[:, 1]), [1, 2, 3])
    c.want(g.add('ScatterNd', [g.i32(at), g.f32([1, 2, 3]), g.i32([3, 5])], T=F32, Tindices=I32), scattered)
    rows = g.add('GatherV2', [a, g.i32([[1, 0], [2, 2]]), g.i32(0)], Tparams=F32, Tindices=I32, Taxis=I32, batch_dims=0)
    c.want(rows, v[np.array([[1, 0], [2, 2]])])
    batched = np.array([[0, 4], [1, 1], [3, 2]], np.int32)
    c.want(g.add('GatherV2', [a, g.i32(batched), g.i32(1)], Tparams=F32, Tindices=I32, Taxis=I32, batch_dims=1), np.stack([v[k, batched[k]] for k in range(3)]))
    c.want(g.add('MirrorPad', [a, g.i32([[0, 0], [2, 1], [3, 0]])], T=F32, Tpaddings=I32, mode='REFLECT'), np.pad(v, ((0, 0), (2, 1), (3, 0)), 'reflect'))
    c.want(g.add('MirrorPad', [a, g.i32([[0, 0], [2, 1], [3, 0]])], T=F32, Tpaddings=I32, mode='SYMMETRIC'), np.pad(v, ((0, 0), (2, 1), (3, 0)), 'symmetric'))
    image = c.feed('image', x(2, 4, 6, 3), (-1, 4, 6, 3))
    m = dict(c.inputs)['image']
    blocks = m.reshape(2, 2, 2, 3, 2, 3).transpose(2, 4, 0, 1, 3, 5).reshape(8, 2, 3, 3)
    c.want(g.add('SpaceToBatchND', [image, g.i32([2, 2]), g.i32([[0, 0], [0, 0]])], T=F32, Tblock_shape=I32, Tpaddings=I32), blocks)
    c.want(g.add('BatchToSpaceND', [g.add('SpaceToBatchND', [image, g.i32([2, 2]), g.i32([[0, 0], [0, 0]])], T=F32, Tblock_shape=I32, Tpaddings=I32), g.i32([2, 2]),
                                    g.i32([[1, 0], [0, 2]])], T=F32, Tblock_shape=I32, Tcrops=I32), m[:, 1:, :4])
    c.want(g.add('SpaceToDepth', [image], T=F32, block_size=2), m.reshape(2, 2, 2, 3, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 12))
    c.save()


def rounding():
    c = Case('rounding')
    g = c.graph
    v = np.array([-2.5, -1.5, -.5, .5, 1.5, 2.5, 7.3, -7.3, 0, 3.9999], np.float32)
    a, i = c.feed('a', v), c.feed('i', np.array([7, -7, 6, -6, 5, -5, 1, -1, 0, 9], np.int32))
    n = dict(c.inputs)['i']
    c.want(g.add('Round', [a], T=F32), np.rint(v))
    c.want(g.add('Rint', [a], T=F32), np.rint(v))
    c.want(g.add('Cast', [a], SrcT=F32, DstT=I32), v.astype(np.int32))
    for d in (3, -4):
        k = g.i32(d)
        c.want(g.add('FloorDiv', [i, k], T=I32), n // d)
        c.want(g.add('FloorMod', [i, k], T=I32), n % d)
        c.want(g.add('TruncateDiv', [i, k], T=I32), np.trunc(n / d).astype(np.int32))
        c.want(g.add('TruncateMod', [i, k], T=I32), np.fmod(n, d))
        c.want(g.add('FloorMod', [a, g.f32(d)], T=F32), np.mod(v, np.float32(d)))
        c.want(g.add('FloorDiv', [a, g.f32(d)], T=F32), np.floor(v / np.float32(d)))
    c.want(g.add('DivNoNan', [a, g.f32(0)], T=F32), v * 0)
    c.want(g.add('SquaredDifference', [a, g.f32(2)], T=F32), (v - 2) ** 2)
    c.want(g.add('ClipByValue', [a, g.f32(-1), g.f32(2)], T=F32), np.clip(v, -1, 2))
    c.want(g.add('LeakyRelu', [a], T=F32, alpha=.3), np.where(v > 0, v, v * np.float32(.3)))
    c.want(g.add('Softplus', [a], T=F32), np.log1p(np.exp(v.astype(np.float64))))
    c.save()


CASES = [resizing, patches, crops, suppression, soft, soft_fed, combined, cells, cudnn, quantized, aware, indices, rounding]

if __name__ == '__main__':
    os.makedirs('graphs', exist_ok=True)
    try:
        from make_models import MODELS
    except ImportError:
        MODELS = []
    for case in CASES + MODELS:
        if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
            case()
