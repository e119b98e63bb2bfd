#!/usr/bin/env python3
"""Makes tests/keras/models: small Keras models of every kind of layer, with inputs and what they give, computed by
reference.py; and models that must be refused. Run it in this folder; the result is committed."""
import json
import os
import struct
import zipfile
import zlib
import h5py
import numpy as np
import reference as R
from build import Net, snake

rng = np.random.default_rng(7)
os.makedirs('models/bad', exist_ok=True)


def w(*shape):
    return rng.normal(size=shape).astype(np.float32) * 0.5


def x(*shape):
    return rng.normal(size=shape).astype(np.float32).astype(float)


def finish(net, kind='h5', **how):
    base = f'models/{net.name}'
    if kind == 'h5':
        net.save_h5(base + '.h5')
    elif kind == 'keras':
        net.save_keras(base + '.keras')
    else:
        net.save_tfjs(base, **how)
    net.save_expected(base)


def names(net):
    """Adds layers under names counted by kind; what it adds is an output."""
    count = {}

    def add(kind, config, tensors, result, weights=(), output=True, **keywords):
        s = snake(kind)
        count[s] = count.get(s, -1) + 1
        t = net.add(kind, s + (f'_{count[s]}' if count[s] else ''), config, tensors, result, weights, **keywords)
        if output:
            net.outputs += t if isinstance(t, list) else [t]
        return t
    return add


# ------------------------------------------------------------------------------------------------ convolutions

def convolutions(version, kind):
    net = Net('convolutions' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, b, v = net.input('line', x(2, 9, 4)), net.input('image', x(2, 7, 6, 4)), net.input('volume', x(2, 5, 4, 5, 2))
    for pad, s, d, g in (('valid', 1, 1, 1), ('same', 2, 1, 1), ('causal', 1, 2, 1), ('same', 1, 3, 2)):
        k, bias = w(3, 4 // g, 6), w(6)
        add('Conv1D', dict(filters=6, kernel_size=[3], strides=[s], padding=pad, dilation_rate=[d], groups=g, activation='linear', use_bias=True,
                           data_format='channels_last'), a, R.conv(a.value, k, bias, s, pad, d, g), [('kernel', '', k), ('bias', '', bias)])
    for pad, s, d, g, act in (('valid', 1, 1, 1, 'relu'), ('same', 2, 1, 1, 'linear'), ('same', [1, 2], 1, 4, 'tanh'), ('valid', 1, 2, 2, 'softmax')):
        k, bias = w(3, 2, 4 // g, 8), w(8)
        y = R.ACTIVATIONS[act](R.conv(b.value, k, bias, s, pad, d, g))
        add('Conv2D', dict(filters=8, kernel_size=[3, 2], strides=s if isinstance(s, list) else [s, s], padding=pad, dilation_rate=[d, d], groups=g,
                           activation=act, use_bias=True), b, y, [('kernel', '', k), ('bias', '', bias)])
    k = w(1, 1, 4, 3)
    add('Conv2D', dict(filters=3, kernel_size=[1, 1], padding='valid', activation='linear', use_bias=False), b, R.conv(b.value, k), [('kernel', '', k)])
    k, bias = w(2, 3, 2, 2, 3), w(3)
    add('Conv3D', dict(filters=3, kernel_size=[2, 3, 2], strides=[1, 2, 1], padding='same', activation='linear', use_bias=True), v,
        R.conv(v.value, k, bias, (1, 2, 1), 'same'), [('kernel', '', k), ('bias', '', bias)])
    for pad, s, m, d in (('same', 1, 1, 1), ('valid', 2, 2, 1), ('same', 2, 1, 1), ('same', 1, 3, 2)):
        k, bias = w(3, 3, 4, m), w(4 * m)
        add('DepthwiseConv2D', dict(kernel_size=[3, 3], strides=[s, s], padding=pad, depth_multiplier=m, dilation_rate=[d, d], activation='linear', use_bias=True),
            b, R.depthwise(b.value, k, bias, s, pad, d), [('depthwise_kernel', '', k), ('bias', '', bias)])
    k, bias = w(3, 4, 2), w(8)
    add('DepthwiseConv1D', dict(kernel_size=3, strides=2, padding='same', depth_multiplier=2, activation='relu', use_bias=True), a,
        np.maximum(R.depthwise(a.value, k, bias, 2, 'same'), 0), [('depthwise_kernel', '', k), ('bias', '', bias)])
    for pad, s in (('same', 2), ('valid', 1)):
        k, p, bias = w(3, 3, 4, 2), w(1, 1, 8, 5), w(5)
        add('SeparableConv2D', dict(filters=5, kernel_size=[3, 3], strides=[s, s], padding=pad, depth_multiplier=2, activation='linear', use_bias=True), b,
            R.conv(R.depthwise(b.value, k, None, s, pad), p, bias), [('depthwise_kernel', '', k), ('pointwise_kernel', '', p), ('bias', '', bias)])
    k, p, bias = w(3, 4, 1), w(1, 4, 5), w(5)
    add('SeparableConv1D', dict(filters=5, kernel_size=[3], strides=[1], padding='valid', depth_multiplier=1, activation='linear', use_bias=True), a,
        R.conv(R.depthwise(a.value, k), p, bias), [('depthwise_kernel', '', k), ('pointwise_kernel', '', p), ('bias', '', bias)])
    for pad, s, ks, op, d in (('same', 2, 3, None, 1), ('valid', 2, 3, None, 1), ('same', 3, 2, None, 1), ('valid', 3, 2, None, 1), ('same', 2, 4, None, 1),
                              ('same', 2, 3, 1, 1), ('valid', 2, 3, 1, 1), ('same', 1, 3, None, 2)):
        k, bias = w(ks, ks, 3, 4), w(3)
        add('Conv2DTranspose', dict(filters=3, kernel_size=[ks, ks], strides=[s, s], padding=pad, output_padding=op and [op, op], dilation_rate=[d, d],
                                    activation='linear', use_bias=True), b, R.conv_transpose(b.value, k, bias, s, pad, d, op), [('kernel', '', k), ('bias', '', bias)])
    k, bias = w(4, 3, 4), w(3)
    add('Conv1DTranspose', dict(filters=3, kernel_size=[4], strides=[2], padding='same', output_padding=None, activation='linear', use_bias=True), a,
        R.conv_transpose(a.value, k, bias, 2, 'same'), [('kernel', '', k), ('bias', '', bias)])
    k = w(2, 2, 3, 3, 2)
    add('Conv3DTranspose', dict(filters=3, kernel_size=[2, 2, 3], strides=[2, 1, 2], padding='valid', output_padding=None, activation='linear', use_bias=False), v,
        R.conv_transpose(v.value, k, None, (2, 1, 2), 'valid'), [('kernel', '', k)])
    finish(net, kind)


def channels_first():
    net = Net('channels_first')
    add = names(net)
    a = net.input('image', x(2, 4, 7, 6))
    last = a.value.transpose(0, 2, 3, 1)
    first = lambda y: y.transpose(0, 3, 1, 2)
    k, bias = w(3, 3, 4, 5), w(5)
    df = dict(data_format='channels_first')
    add('Conv2D', dict(df, filters=5, kernel_size=[3, 3], strides=[2, 2], padding='same', activation='linear', use_bias=True), a,
        first(R.conv(last, k, bias, 2, 'same')), [('kernel', '', k), ('bias', '', bias)])
    add('MaxPooling2D', dict(df, pool_size=[2, 2], strides=None, padding='valid'), a, first(R.pool(last, 2)))
    add('GlobalAveragePooling2D', df, a, a.value.mean(axis=(2, 3)))
    add('Flatten', df, a, last.reshape(2, -1))
    add('ZeroPadding2D', dict(df, padding=[[1, 2], [0, 3]]), a, np.pad(a.value, ((0, 0), (0, 0), (1, 2), (0, 3))))
    g, b, m, v = w(4), w(4), w(4), np.abs(w(4)) + 0.5
    s = lambda p: p.reshape(1, 4, 1, 1)
    add('BatchNormalization', dict(axis=1, epsilon=1e-3, center=True, scale=True), a, (a.value - s(m)) / np.sqrt(s(v) + 1e-3) * s(g) + s(b),
        [('gamma', '', g), ('beta', '', b), ('moving_mean', '', m), ('moving_variance', '', v)])
    finish(net)


# ---------------------------------------------------------------------------------------- pooling, shapes, sizes

def pooling_and_shapes(version, kind):
    net = Net('shapes' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, b, v, f = net.input('line', x(2, 9, 4)), net.input('image', x(2, 7, 6, 4)), net.input('volume', x(2, 5, 4, 6, 2)), net.input('flat', x(2, 12))
    for kind_, mean in (('MaxPooling', False), ('AveragePooling', True)):
        add(kind_ + '1D', dict(pool_size=[2], strides=[2], padding='valid'), a, R.pool(a.value, 2, 2, 'valid', mean))
        add(kind_ + '1D', dict(pool_size=3, strides=2, padding='same'), a, R.pool(a.value, 3, 2, 'same', mean))
        add(kind_ + '2D', dict(pool_size=[2, 2], strides=[2, 2], padding='same'), b, R.pool(b.value, 2, 2, 'same', mean))
        add(kind_ + '2D', dict(pool_size=[3, 2], strides=[1, 2], padding='same'), b, R.pool(b.value, (3, 2), (1, 2), 'same', mean))
        add(kind_ + '2D', dict(pool_size=[3, 3], strides=None, padding='valid'), b, R.pool(b.value, 3, None, 'valid', mean))
        add(kind_ + '3D', dict(pool_size=[2, 2, 2], strides=[2, 1, 2], padding='valid'), v, R.pool(v.value, 2, (2, 1, 2), 'valid', mean))
        for n, t in ((1, a), (2, b), (3, v)):
            for keep in (False, True):
                axes = tuple(range(1, n + 1))
                add(f'Global{kind_}{n}D', dict(keepdims=keep), t, (t.value.mean if mean else t.value.max)(axis=axes, keepdims=keep))
    add('Flatten', {}, b, b.value.reshape(2, -1))
    add('Reshape', dict(target_shape=[3, -1]), f, f.value.reshape(2, 3, 4))
    add('Reshape', dict(target_shape=[7, 24]), b, b.value.reshape(2, 7, 24))
    add('Permute', dict(dims=[3, 1, 2]), b, b.value.transpose(0, 3, 1, 2))
    add('RepeatVector', dict(n=3), f, np.repeat(f.value[:, None], 3, axis=1))
    add('ZeroPadding1D', dict(padding=[1, 2]), a, np.pad(a.value, ((0, 0), (1, 2), (0, 0))))
    add('ZeroPadding2D', dict(padding=[[1, 0], [2, 3]]), b, np.pad(b.value, ((0, 0), (1, 0), (2, 3), (0, 0))))
    add('ZeroPadding2D', dict(padding=[1, 2]), b, np.pad(b.value, ((0, 0), (1, 1), (2, 2), (0, 0))))
    add('ZeroPadding3D', dict(padding=1), v, np.pad(v.value, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0))))
    add('Cropping1D', dict(cropping=[1, 2]), a, a.value[:, 1:-2])
    add('Cropping2D', dict(cropping=[[1, 0], [2, 1]]), b, b.value[:, 1:, 2:-1])
    add('Cropping3D', dict(cropping=[[1, 1], [0, 1], [2, 0]]), v, v.value[:, 1:-1, :-1, 2:])
    add('UpSampling1D', dict(size=3), a, a.value.repeat(3, 1))
    add('UpSampling2D', dict(size=[2, 3], interpolation='nearest'), b, b.value.repeat(2, 1).repeat(3, 2))
    add('UpSampling2D', dict(size=[2, 2], interpolation='bilinear'), b, R.resize(b.value, 14, 12, False))
    add('UpSampling3D', dict(size=[1, 2, 2]), v, v.value.repeat(2, 2).repeat(2, 3))
    add('Resizing', dict(height=5, width=9, interpolation='bilinear', crop_to_aspect_ratio=False), b, R.resize(b.value, 5, 9, False))
    add('Resizing', dict(height=10, width=4, interpolation='nearest', crop_to_aspect_ratio=False), b, R.resize(b.value, 10, 4, True))
    add('CenterCrop', dict(height=4, width=3), b, b.value[:, 1:5, 1:4])
    for kind_ in ('Dropout', 'SpatialDropout2D', 'GaussianNoise', 'GaussianDropout', 'ActivityRegularization', 'RandomFlip'):
        t = add(kind_, dict(rate=0.5), b, b.value, output=False)
        add('Activation', dict(activation='relu'), t, np.maximum(b.value, 0))
    finish(net, kind)


# --------------------------------------------------------------------------------- normalizations, activations

def normalizations(version, kind):
    net = Net('normalizations' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, b, f = net.input('line', x(2, 5, 6)), net.input('image', x(2, 3, 4, 6)), net.input('flat', x(2, 6))
    for t in (a, b, f):
        for center, scale, eps in ((True, True, 1e-3), (True, False, 1e-5), (False, True, 1e-3), (False, False, 0.1)):
            g, be, m, v = w(6), w(6), w(6), np.abs(w(6)) + 0.3
            y = (t.value - m) / np.sqrt(v + eps) * (g if scale else 1) + (be if center else 0)
            add('BatchNormalization', dict(axis=[t.value.ndim - 1] if center else -1, epsilon=eps, center=center, scale=scale), t, y,
                [('gamma', '', g)] * scale + [('beta', '', be)] * center + [('moving_mean', '', m), ('moving_variance', '', v)])
    g, be = w(6), w(6)
    for t in (a, b, f):
        add('LayerNormalization', dict(axis=[-1], epsilon=1e-3, center=True, scale=True), t, R.layer_norm(t.value, g, be, (-1,), 1e-3),
            [('gamma', '', g), ('beta', '', be)])
    add('LayerNormalization', dict(axis=-1, epsilon=1e-2, center=False, scale=False), a, R.layer_norm(a.value, None, None, (-1,), 1e-2))
    add('LayerNormalization', dict(axis=-1, epsilon=1e-2, center=True, scale=False), a, R.layer_norm(a.value, None, be, (-1,), 1e-2), [('beta', '', be)])
    g2, b2 = w(4, 6), w(4, 6)
    add('LayerNormalization', dict(axis=[2, 3], epsilon=1e-3, center=True, scale=True), b, R.layer_norm(b.value, g2, b2, (2, 3), 1e-3),
        [('gamma', '', g2), ('beta', '', b2)])
    g3, b3 = w(3), w(3)
    add('LayerNormalization', dict(axis=[1], epsilon=1e-3, center=True, scale=True), b, R.layer_norm(b.value, g3, b3, (1,), 1e-3),
        [('gamma', '', g3), ('beta', '', b3)])
    for t, groups in ((a, 2), (b, 3), (b, -1)):
        add('GroupNormalization', dict(groups=groups, axis=-1, epsilon=1e-3, center=True, scale=True), t,
            R.group_norm(t.value, g, be, 6 if groups == -1 else groups, 1e-3), [('gamma', '', g), ('beta', '', be)])
    add('UnitNormalization', dict(axis=[-1]), a, a.value / np.sqrt((a.value ** 2).sum(-1, keepdims=True)))
    m, v = w(6), np.abs(w(6)) + 0.3
    add('Normalization', dict(axis=[-1], invert=False, mean=None, variance=None), b, (b.value - m) / np.sqrt(v),
        [('mean', '', m), ('variance', '', v), ('count', '', np.float32(3))])
    add('Normalization', dict(axis=[-1], mean=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], variance=[1, 2, 3, 4, 5, 6]), b,
        (b.value - np.arange(1, 7) / 10) / np.sqrt(np.arange(1, 7)))
    add('Normalization', dict(axis=None, mean=0.5, variance=4.0), f, (f.value - 0.5) / 2)
    add('Rescaling', dict(scale=1 / 127.5, offset=-1), b, b.value / 127.5 - 1)
    add('Rescaling', dict(scale=[1, 2, 3, 4, 5, 6], offset=0.0), b, b.value * np.arange(1, 7))
    if version[0] == '3':
        add('RMSNormalization', dict(axis=-1, epsilon=1e-6), a, a.value / np.sqrt((a.value ** 2).mean(-1, keepdims=True) + 1e-6) * g, [('scale', '', g)])
    finish(net, kind)


def activations(version, kind):
    net = Net('activations' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, b = net.input('a', x(2, 3, 5) * 3), net.input('b', x(2, 4, 4, 3) * 3)
    v3 = version[0] == '3'
    for name, fn in R.ACTIVATIONS.items():
        if name.endswith('_3') or (not v3 and name in ('squareplus', 'hard_tanh')):
            continue
        add('Activation', dict(activation=name), a, R.ACTIVATIONS['hard_sigmoid_3'](a.value) if v3 and name == 'hard_sigmoid' else fn(a.value))
    y = b.value
    add('ReLU', dict(max_value=None, negative_slope=0.0, threshold=0.0), b, np.maximum(y, 0))
    add('ReLU', dict(max_value=6.0, negative_slope=0.0, threshold=0.0), b, np.clip(y, 0, 6))
    add('ReLU', dict(max_value=2.0, negative_slope=0.1, threshold=0.0), b, np.minimum(np.where(y > 0, y, 0.1 * y), 2))
    add('ReLU', dict(max_value=None, negative_slope=0.0, threshold=0.5), b, np.where(y > 0.5, y, 0))
    add('ReLU', dict(max_value=4.0, negative_slope=0.2, threshold=0.5), b, np.minimum(np.where(y >= 0.5, y, 0.2 * (y - 0.5)), 4))
    add('LeakyReLU', {'negative_slope' if v3 else 'alpha': 0.25}, b, np.where(y > 0, y, 0.25 * y))
    add('ELU', dict(alpha=0.7), b, np.where(y > 0, y, 0.7 * np.expm1(y)))
    if not v3:
        add('ThresholdedReLU', dict(theta=0.8), b, np.where(y > 0.8, y, 0))
    add('Softmax', dict(axis=-1), b, R.softmax(y))
    add('Softmax', dict(axis=1), b, R.softmax(y, 1))
    for shape, axes in (((4, 4, 3), None), ((1, 1, 3), [1, 2])):
        al = w(*shape)
        add('PReLU', dict(shared_axes=axes), b, np.where(y > 0, y, al * y), [('alpha', '', al)])
    k, bias = w(5, 4), w(4)
    act = {'class_name': 'LeakyReLU', 'config': {'negative_slope' if v3 else 'alpha': 0.1}}
    z = a.value @ k + bias
    add('Dense', dict(units=4, activation=act, use_bias=True), a, np.where(z > 0, z, 0.1 * z), [('kernel', '', k), ('bias', '', bias)])
    finish(net, kind)


# ---------------------------------------------------------------------------------------------- merging, calls

def merges(version, kind):
    net = Net('merges' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, b, c, f = net.input('a', x(2, 3, 4, 5)), net.input('b', x(2, 3, 4, 5)), net.input('c', x(2, 3, 4, 5)), net.input('f', x(2, 5))
    A, B, C, F = a.value, b.value, c.value, f.value
    add('Add', {}, [a, b, c], A + B + C)
    add('Add', {}, [a, f], A + F[:, None, None])
    add('Subtract', {}, [a, b], A - B)
    add('Multiply', {}, [a, b], A * B)
    add('Average', {}, [a, b, c], (A + B + C) / 3)
    add('Maximum', {}, [a, b, c], np.maximum(np.maximum(A, B), C))
    add('Minimum', {}, [a, b], np.minimum(A, B))
    add('Concatenate', dict(axis=-1), [a, b, c], np.concatenate([A, B, C], -1))
    add('Concatenate', dict(axis=1), [a, b], np.concatenate([A, B], 1))
    p, q = net.input('p', x(2, 3, 4)), net.input('q', x(2, 4, 5))
    r = net.input('r', x(2, 5))
    add('Dot', dict(axes=[2, 1], normalize=False), [p, q], p.value @ q.value)
    unit = lambda v, ax: v / np.sqrt((v ** 2).sum(ax, keepdims=True))
    add('Dot', dict(axes=1, normalize=True), [f, r], (unit(F, 1) * unit(r.value, 1)).sum(1, keepdims=True))
    add('Dot', dict(axes=[2, 1], normalize=False), [q, r], (q.value @ r.value[:, :, None])[..., 0])
    k, bias = w(5, 7), w(7)
    add('Dense', dict(units=7, activation='relu', use_bias=True), a, np.maximum(A @ k + bias, 0), [('kernel', '', k), ('bias', '', bias)])
    k = w(5, 2)
    add('Dense', dict(units=2, activation='softmax', use_bias=False), f, R.softmax(F @ k), [('kernel', '', k)])
    k, bias = w(5, 2, 3), w(2, 3)
    add('EinsumDense', dict(equation='abc,cde->abde', output_shape=[None, 2, 3], activation='linear', bias_axes='de'), q,
        np.einsum('abc,cde->abde', q.value, k) + bias, [('kernel', '', k), ('bias', '', bias)])
    k = w(5, 2)
    add('EinsumDense', dict(equation='...x,xy->...y', output_shape=2, activation='relu', bias_axes=None), a, np.maximum(A @ k, 0), [('kernel', '', k)])
    finish(net, kind)


def nested(version, kind, name='nested', **how):
    """A nested functional model called twice, a Sequential in it, a shared layer, several inputs and outputs."""
    net = Net(name + ('_3' if version[0] == '3' else ''), version)
    a, b = net.input('a', x(2, 6)), net.input('b', x(2, 6))
    k0, b0, k1, b1, k2 = w(6, 4), w(4), w(4, 3), w(3), w(3, 3)
    seq = Net('stack', version, sequential=True)
    seq.layer('Dense', 'inner', dict(units=3, activation='tanh', use_bias=True), [('kernel', '', k1), ('bias', '', b1)])
    seq.layer('Dropout', 'inner_dropout', dict(rate=0.1))
    inner = Net('block', version)
    i = inner.input('block_in', a.value)
    h = inner.add('Dense', 'first', dict(units=4, activation='relu', use_bias=True), i, np.maximum(a.value @ k0 + b0, 0), [('kernel', '', k0), ('bias', '', b0)])
    g, be, m, v = w(4), w(4), w(4), np.abs(w(4)) + 0.5
    bn = lambda t: (t - m) / np.sqrt(v + 1e-3) * g + be
    hb = inner.add('BatchNormalization', 'norm', dict(axis=-1, epsilon=1e-3, center=True, scale=True), h, bn(h.value),
                   [('gamma', '', g), ('beta', '', be), ('moving_mean', '', m), ('moving_variance', '', v)])
    sl = inner.layer('Sequential', 'stack', {}, model=seq)
    s = inner.call(sl, hb, np.tanh(hb.value @ k1 + b1))
    inner.outputs = [s, h]
    block = net.layer('Functional', 'block', {}, model=inner)

    def run(t):
        u = np.maximum(t @ k0 + b0, 0)
        return [np.tanh(bn(u) @ k1 + b1), u]
    y0, z0 = net.call(block, a, run(a.value))
    y1, z1 = net.call(block, b, run(b.value))
    shared = net.layer('Dense', 'shared', dict(units=3, activation='linear', use_bias=False), [('kernel', '', k2)])
    s0, s1 = net.call(shared, y0, y0.value @ k2), net.call(shared, y1, y1.value @ k2)
    total = net.add('Add', 'total', {}, [s0, s1], s0.value + s1.value)
    net.outputs = [total, s1, z1, net.add('Concatenate', 'both', dict(axis=-1), [z0, z1], np.concatenate([z0.value, z1.value], -1))]
    finish(net, kind, **how)


def sequential(version, kind, how='layers'):
    net = Net('sequential' + ('_3' if version[0] == '3' else '') + ('_old' if how == 'list' else ''), version, sequential=True)
    v = x(3, 8, 8, 2)
    k, bias, d, db = w(3, 3, 2, 4), w(4), w(36, 5), w(5)
    if version[0] == '3':
        net.layer('InputLayer', 'input_layer', dict(batch_shape=[None, 8, 8, 2], dtype='float32'))
    first = {} if version[0] == '3' else dict(batch_input_shape=[None, 8, 8, 2])
    c = net.layer('Conv2D', 'conv', dict(first, filters=4, kernel_size=[3, 3], activation='relu', padding='valid', use_bias=True), [('kernel', '', k), ('bias', '', bias)])
    net.layer('MaxPooling2D', 'pool', dict(pool_size=[2, 2], strides=[2, 2], padding='valid'))
    net.layer('Flatten', 'flatten', {})
    out = net.layer('Dense', 'dense', dict(units=5, activation='softmax', use_bias=True), [('kernel', '', d), ('bias', '', db)])
    y = R.softmax(R.pool(np.maximum(R.conv(v, k, bias), 0), 2).reshape(3, -1) @ d + db)

    class Port:
        pass
    i, o = Port(), Port()
    i.layer, i.value = Port(), v
    i.layer.name = 'input_layer' if version[0] == '3' else 'conv_input'
    o.layer, o.value = out, y
    net.inputs, net.outputs = [i], [o]
    if how == 'list':
        whole = net.config
        net.config = lambda: {'class_name': 'Sequential', 'config': [{'class_name': l['class_name'], 'config': l['config']} for l in whole()['config']['layers']]}
    finish(net, kind)


# ----------------------------------------------------------------------------------------- sequences, attention

def recurrent(version, kind):
    net = Net('recurrent' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, h, c = net.input('a', x(2, 5, 3)), net.input('h', x(2, 4)), net.input('c', x(2, 4))
    v3 = version[0] == '3'
    hard = R.ACTIVATIONS['hard_sigmoid_3' if v3 else 'hard_sigmoid']
    for cls, n, g in (('SimpleRNN', 'rnn', 1), ('GRU', 'gru', 3), ('LSTM', 'lstm', 4)):
        for seq, back, gate, after, use_state in ((False, False, 'sigmoid', True, False), (True, False, 'hard_sigmoid', False, False),
                                                   (True, True, 'sigmoid', True, False), (False, True, 'sigmoid', False, False), (True, False, 'sigmoid', True, True)):
            wk, wu, wb = w(3, 4 * g), w(4, 4 * g), w(2, 4 * g) if n == 'gru' and after else w(4 * g)
            y, hn, cn = R.rnn(n, a.value, wk, wu, wb, np.tanh, hard if gate == 'hard_sigmoid' else R.sigmoid, after, back,
                              h.value if use_state else None, c.value if use_state else None)
            config = dict(units=4, activation='tanh', use_bias=True, return_sequences=seq, return_state=use_state, go_backwards=back, stateful=False)
            if n != 'rnn':
                config['recurrent_activation'] = gate
            if n == 'gru':
                config['reset_after'] = after
            weights = [('kernel', 'cell', wk), ('recurrent_kernel', 'cell', wu), ('bias', 'cell', wb)]
            value = y if seq else hn
            states = [h, c] if n == 'lstm' else [h]
            if use_state:
                value = [value, hn] + ([cn] if n == 'lstm' else [])
            if use_state and v3:
                add(cls, config, a, value, weights, initial_state=states)
            else:
                add(cls, config, [a] + states if use_state else a, value, weights)
    for cls, n, g in (('GRU', 'gru', 3), ('LSTM', 'lstm', 4)):
        for mode, seq in (('concat', True), ('sum', False), ('mul', True), ('ave', False)):
            ws = [(w(3, 4 * g), w(4, 4 * g), w(2, 4 * g) if n == 'gru' else w(4 * g)) for _ in range(2)]
            y = [R.rnn(n, a.value, *ws[i], backwards=bool(i)) for i in range(2)]
            f, b = (y[0][0], y[1][0][:, ::-1]) if seq else (y[0][1], y[1][1])
            merged = np.concatenate([f, b], -1) if mode == 'concat' else f + b if mode == 'sum' else f * b if mode == 'mul' else (f + b) / 2
            config = dict(units=4, activation='tanh', recurrent_activation='sigmoid', use_bias=True, return_sequences=seq, reset_after=True, name=n)
            weights = [(f'{part}_{n}/{p}', f'{part}_layer/cell', arr) for part, trio in zip(('forward', 'backward'), ws)
                       for p, arr in zip(('kernel', 'recurrent_kernel', 'bias'), trio)]
            add('Bidirectional', dict(merge_mode=mode, layer={'class_name': cls, 'config': config}), a, merged, weights)
    k, bias = w(3, 6), w(6)
    add('TimeDistributed', dict(layer={'class_name': 'Dense', 'config': dict(name='td', units=6, activation='relu', use_bias=True)}), a,
        np.maximum(a.value @ k + bias, 0), [('kernel', 'layer', k), ('bias', 'layer', bias)])
    clip = net.input('clip', x(2, 3, 6, 6, 2))
    k, bias = w(3, 3, 2, 4), w(4)
    add('TimeDistributed', dict(layer={'class_name': 'Conv2D', 'config': dict(name='tc', filters=4, kernel_size=[3, 3], padding='same', activation='linear', use_bias=True)}), clip,
        np.stack([R.conv(clip.value[:, t], k, bias, 1, 'same') for t in range(3)], 1), [('kernel', 'layer', k), ('bias', 'layer', bias)])
    ids = net.input('ids', rng.integers(0, 9, (2, 5)).astype(float))
    table = w(9, 4)
    add('Embedding', dict(input_dim=9, output_dim=4, mask_zero=False), ids, table[ids.value.astype(int)], [('embeddings', '', table)])
    finish(net, kind)


def masks(version, kind):
    net = Net('masks' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    ids = net.input('ids', np.array([[3, 1, 0, 5, 0], [0, 0, 7, 2, 8], [4, 0, 0, 0, 0], [1, 2, 3, 4, 5]], float))
    table = w(9, 4)
    m = ids.value != 0
    e = add('Embedding', dict(input_dim=9, output_dim=4, mask_zero=True), ids, table[ids.value.astype(int)], [('embeddings', '', table)])
    v = x(4, 5, 3)
    v[0, [1, 4]] = v[2, 0] = v[3] = 0  # the last has no step that counts
    a = net.input('a', v)
    s = add('Masking', dict(mask_value=0.0), a, v)
    sm = (v != 0).any(-1)
    d = add('Dropout', dict(rate=.5), e, e.value)
    for cls, n, g in (('SimpleRNN', 'rnn', 1), ('GRU', 'gru', 3), ('LSTM', 'lstm', 4)):
        for src, mask, seq, back, zeros in ((d, m, True, False, False), (s, sm, False, False, False), (d, m, True, True, False), (s, sm, False, True, False), (s, sm, True, False, True), (d, m, True, True, True)):
            wk, wu, wb = w(src.value.shape[2], 4 * g), w(4, 4 * g), w(2, 4 * g) if n == 'gru' else w(4 * g)
            y, hn, _ = R.masked_rnn(n, src.value, mask, wk, wu, wb, back, zeros)
            config = dict(units=4, activation='tanh', use_bias=True, return_sequences=seq, return_state=False, go_backwards=back, stateful=False, reset_after=True)
            if n != 'rnn':
                config['recurrent_activation'] = 'sigmoid'
            if zeros:
                config['zero_output_for_mask'] = True
            last = add(cls, config, src, y if seq else hn, [('kernel', 'cell', wk), ('recurrent_kernel', 'cell', wu), ('bias', 'cell', wb)])
            if seq and not back and not zeros:  # the mask goes on
                k2, u2, b2 = w(4, 12), w(4, 12), w(2, 12)
                add('GRU', dict(units=4, activation='tanh', recurrent_activation='sigmoid', use_bias=True, reset_after=True), last, R.masked_rnn('gru', y, mask, k2, u2, b2)[1],
                    [('kernel', 'cell', k2), ('recurrent_kernel', 'cell', u2), ('bias', 'cell', b2)])
    for mode, seq in (('concat', True), ('sum', False)):
        ws = [(w(4, 16), w(4, 16), w(16)) for _ in range(2)]
        y = [R.masked_rnn('lstm', e.value, m, *ws[i], backwards=bool(i)) for i in range(2)]
        f, b = (y[0][0], y[1][0][:, ::-1]) if seq else (y[0][1], y[1][1])
        config = dict(units=4, activation='tanh', recurrent_activation='sigmoid', use_bias=True, return_sequences=seq, name='lstm')
        weights = [(f'{part}_lstm/{p}', f'{part}_layer/cell', arr) for part, trio in zip(('forward', 'backward'), ws) for p, arr in zip(('kernel', 'recurrent_kernel', 'bias'), trio)]
        add('Bidirectional', dict(merge_mode=mode, layer={'class_name': 'LSTM', 'config': config}), e, np.concatenate([f, b], -1) if mode == 'concat' else f + b, weights)
    add('GlobalAveragePooling1D', dict(), e, (e.value * m[..., None]).sum(1) / m.sum(1, keepdims=True))
    table2 = w(9, 4)
    e2 = add('Embedding', dict(input_dim=9, output_dim=4, mask_zero=True), net.input('ids2', np.array([[1, 0, 2, 3, 4], [1, 0, 0, 2, 8], [4, 3, 0, 0, 0], [1, 0, 3, 4, 0]], float)), None or table2[np.array([[1, 0, 2, 3, 4], [1, 0, 0, 2, 8], [4, 3, 0, 0, 0], [1, 0, 3, 4, 0]])], [('embeddings', '', table2)])
    m2 = np.array([[1, 0, 2, 3, 4], [1, 0, 0, 2, 8], [4, 3, 0, 0, 0], [1, 0, 3, 4, 0]]) != 0
    both = m & m2
    t = add('Add', dict(), [e, e2], e.value + e2.value)
    add('GlobalAveragePooling1D', dict(), t, (t.value * both[..., None]).sum(1) / np.maximum(both.sum(1, keepdims=True), 0))
    line = add('Concatenate', dict(axis=1), [e, e2], np.concatenate([e.value, e2.value], 1))
    mm = np.concatenate([m, m2], 1)
    add('GlobalAveragePooling1D', dict(), line, (line.value * mm[..., None]).sum(1) / mm.sum(1, keepdims=True))
    scores = e.value @ e2.value.transpose(0, 2, 1) - 1e9 * ~m2[:, None, :]
    add('Attention', dict(use_scale=False, score_mode='dot'), [e, e2], (R.softmax(scores) @ e2.value) * m[..., None])
    finish(net, kind)


def conv_lstm(version, kind):
    net = Net('conv_lstm' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    clip, line = net.input('clip', x(2, 3, 6, 5, 2)), net.input('line', x(2, 4, 7, 3))
    hard = R.ACTIVATIONS['hard_sigmoid_3' if version[0] == '3' else 'hard_sigmoid']
    for pad, stride, seq, back, gate, k in (('same', 1, True, False, 'hard_sigmoid', 3), ('valid', 2, False, False, 'sigmoid', 3), ('same', 2, True, True, 'sigmoid', 2), ('valid', 1, False, True, 'sigmoid', 1)):
        wk, wu, wb = w(k, k, 2, 16), w(k, k, 4, 16), w(16)
        y, h, c = R.conv_lstm(clip.value, wk, wu, wb, stride, pad, np.tanh, hard if gate == 'hard_sigmoid' else R.sigmoid, back)
        config = dict(filters=4, kernel_size=[k, k], strides=[stride, stride], padding=pad, data_format='channels_last', dilation_rate=[1, 1], activation='tanh', recurrent_activation=gate,
                      use_bias=True, unit_forget_bias=True, return_sequences=seq, return_state=back, go_backwards=back, stateful=False)
        value = y if seq else h
        add('ConvLSTM2D', config, clip, [value, h, c] if back else value, [('kernel', 'cell', wk), ('recurrent_kernel', 'cell', wu), ('bias', 'cell', wb)])
    wk, wu, wb = w(3, 3, 8), w(3, 2, 8), w(8)
    add('ConvLSTM1D', dict(filters=2, kernel_size=[3], strides=[1], padding='same', dilation_rate=[1], activation='tanh', recurrent_activation='sigmoid', use_bias=True, return_sequences=True), line,
        R.conv_lstm(line.value, wk, wu, wb, 1, 'same', np.tanh, R.sigmoid)[0], [('kernel', 'cell', wk), ('recurrent_kernel', 'cell', wu), ('bias', 'cell', wb)])
    finish(net, kind)


def cudnn():
    net = Net('cudnn')
    add = names(net)
    a = net.input('a', x(2, 5, 3))
    for cls, n, g in (('CuDNNGRU', 'gru', 3), ('CuDNNLSTM', 'lstm', 4)):
        for seq, back in ((True, False), (False, True)):
            wk, wu, wb = w(3, 4 * g), w(4, 4 * g), w(8 * g)
            y, h, _ = R.rnn(n, a.value, wk, wu, wb.reshape(2, -1) if n == 'gru' else wb[:4 * g] + wb[4 * g:], backwards=back)
            add(cls, dict(units=4, return_sequences=seq, go_backwards=back, stateful=False), a, y if seq else h, [('kernel', '', wk), ('recurrent_kernel', '', wu), ('bias', '', wb)])
    finish(net, 'h5')


def attention(version, kind):
    net = Net('attention' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    q, v = net.input('q', x(2, 5, 6)), net.input('v', x(2, 4, 6))
    s = R.softmax
    add('Attention', dict(use_scale=False, score_mode='dot'), [q, v], s(q.value @ v.value.transpose(0, 2, 1)) @ v.value)
    scale = np.float32(0.7)
    add('Attention', dict(use_scale=True, score_mode='dot'), [q, v], s(scale * (q.value @ v.value.transpose(0, 2, 1))) @ v.value, [('scale', '', scale)])
    sc = w(6)
    add('AdditiveAttention', dict(use_scale=True), [q, v], s((np.tanh(q.value[:, :, None] + v.value[:, None]) * sc).sum(-1)) @ v.value, [('scale', '', sc)])

    def heads(t, k, b):
        return np.einsum('btf,fhd->bhtd', t, k) + b[None, :, None]
    for cross, mask in ((False, False), (True, False), (False, True)):
        H, D = 2, 3
        ks, bs = [w(6, H, D) for _ in range(3)], [w(H, D) for _ in range(3)]
        ko, bo = w(H, D, 6), w(6)
        other = v.value if cross else q.value
        Q, K, V = heads(q.value, ks[0], bs[0]), heads(other, ks[1], bs[1]), heads(other, ks[2], bs[2])
        scores = Q @ K.transpose(0, 1, 3, 2) / np.sqrt(D)
        if mask:
            scores = scores + np.triu(np.full((5, 5), -1e9), 1)
        y = np.einsum('bhtd,hdf->btf', s(scores) @ V, ko) + bo
        weights = []
        for n, k, b in zip(('query', 'key', 'value'), ks, bs):
            weights += [(f'{n}/kernel', f'{n}_dense', k), (f'{n}/bias', f'{n}_dense', b)]
        weights += [('attention_output/kernel', 'output_dense', ko), ('attention_output/bias', 'output_dense', bo)]
        config = dict(num_heads=H, key_dim=D, value_dim=D, use_bias=True, output_shape=None, attention_axes=None)
        more = dict(use_causal_mask=True) if mask else {}
        if version[0] == '3':
            add('MultiHeadAttention', config, [q], y, weights, value=v if cross else q, **more)
        else:
            add('MultiHeadAttention', config, q, y, weights, value=v if cross else q, **more)
    finish(net, kind)


def operations():
    net = Net('operations', '2.15.0')
    a, b = net.input('a', x(2, 3, 4)), net.input('b', x(2, 3, 4))
    n = [0]

    def op(function, tensors, value, **kw):
        n[0] += 1
        layer = net.layer('TFOpLambda', f'op_{n[0]}', dict(function=function))
        t = net.call(layer, tensors, value, **kw)
        net.outputs.append(t)
        return t
    A, B = a.value, b.value
    op('__operators__.add', a, A + 3, y=3.0)
    op('math.multiply', a, A * B, y=b)
    op('math.truediv', a, A / np.arange(1, 5), y=[1.0, 2.0, 3.0, 4.0])
    op('nn.relu', a, np.maximum(A, 0))
    op('nn.relu6', a, np.clip(A, 0, 6))
    op('math.reduce_mean', a, A.mean((1, 2)), axis=[1, 2], keepdims=False)
    op('concat', [a, b], np.concatenate([A, B], -1), axis=-1)
    op('reshape', a, A.reshape(-1, 12), shape=[-1, 12])
    op('expand_dims', a, A[:, None], axis=1)
    op('math.square', a, A * A)
    finish(net)
    net = Net('operations_3', '3.5.0')
    a, b = net.input('a', x(2, 3, 4)), net.input('b', x(2, 3, 4))
    A, B = a.value, b.value

    def op3(kind, module, tensors, value, config=None):
        n[0] += 1
        t = net.add(kind, f'op_{n[0]}', dict(config or {}, module='keras.src.ops.' + module), tensors, value)
        net.outputs.append(t)
        return t
    inbound = net.inbound

    def arguments(layer):
        nodes = inbound(layer)
        for node in nodes:
            if layer.kind in ('Multiply', 'Subtract') and 'module' in layer.config:
                first = node['args'][0]
                node['args'] = [2.5, first] if not isinstance(first, list) else first
        return nodes
    net.inbound = arguments
    op3('Multiply', 'numpy', a, 2.5 * A)
    op3('Subtract', 'numpy', [a, b], A - B)
    op3('Relu', 'nn', a, np.maximum(A, 0))
    op3('Mean', 'numpy', a, A.mean(1, keepdims=True), dict(axis=1, keepdims=True))
    k = w(4, 2)
    net.outputs.append(net.add('Dense', 'dense', dict(units=2, activation='linear', use_bias=False), a, A @ k, [('kernel', '', k)]))
    finish(net, 'keras')


# ------------------------------------------------------------------------------------------------ to be refused

def small(name='small', units=3):
    net = Net(name)
    a = net.input('a', x(1, 4))
    h = net.add('Dense', 'one', dict(units=units, activation='relu', use_bias=True), a, np.zeros((1, 3)), [('kernel', '', w(4, 3)), ('bias', '', w(3))])
    h = net.add('Dense', 'two', dict(units=2, activation='linear', use_bias=True), h, np.zeros((1, 2)), [('kernel', '', w(3, 2)), ('bias', '', w(2))])
    net.outputs = [h]
    return net


def bad(name, change, net=None):
    path = f'models/bad/{name}.h5'
    (net or small()).save_h5(path)
    with h5py.File(path, 'a') as f:
        change(f)


def drop(*paths):
    def change(f):
        for p in paths:
            group, name = f['model_weights/' + p.split('/')[0]], p.split('/', 1)[1]
            keep = [n for n in group.attrs['weight_names'] if not n.decode().endswith(name + ':0')]
            del group.attrs['weight_names']
            group.attrs['weight_names'] = np.array(keep, dtype='S')
    return change


def refused():
    bad('missing_weights', drop('one/kernel', 'one/bias', 'two/kernel', 'two/bias'))
    bad('missing_dataset', lambda f: f['model_weights/two/two'].pop('kernel:0'))
    bad('wrong_shape', lambda f: None, small(units=5))
    bad('weights_only', lambda f: f.attrs.pop('model_config'))
    bad('not_json', lambda f: f.attrs.__setitem__('model_config', '{"class_name": "Model", '))
    bad('no_layers', lambda f: f.attrs.__setitem__('model_config', '{"class_name": "Model", "config": {"layers": []}}'))
    bad('subclass', lambda f: f.attrs.__setitem__('model_config', '{"class_name": "MyModel", "config": {}}'))

    def huge(f):
        g = f['model_weights/one/one']
        del g['kernel:0']
        g.create_dataset('kernel:0', shape=(1 << 40, 1 << 20), dtype='f4', chunks=(1024, 1024))
    bad('huge_dataset', huge)

    def vast(f):
        g = f['model_weights/one/one']
        del g['kernel:0']
        g.create_dataset('kernel:0', shape=(1 << 16, 1 << 16), dtype='f4', chunks=(64, 64))
    bad('vast_dataset', vast)

    def external(f):
        g = f['model_weights/one/one']
        del g['kernel:0']
        g['kernel:0'] = h5py.ExternalLink('/etc/passwd', '/x')
    bad('external_link', external)

    def elsewhere(f):
        g = f['model_weights/one/one']
        del g['kernel:0']
        g.create_dataset('kernel:0', shape=(4, 3), dtype='f4', external=[('/etc/passwd', 0, 48)])
    bad('external_storage', elsewhere)

    def text(f):
        g = f['model_weights/one/one']
        del g['kernel:0']
        g['kernel:0'] = 'no numbers'
    bad('text_weight', text)

    net = small()
    for kind in ('Lambda', 'MyLayer', 'MyLayer', 'ThinLayer'):
        net.layer(kind, f'{kind.lower()}_{len(net.layers)}', {}).nodes = [([net.inputs[0]], {})]
    bad('unknown_layers', lambda f: None, net)

    net = small()
    net.layers[1].nodes = [([net.outputs[0]], {})]
    bad('cycle', lambda f: None, net)

    net = Net('masked')
    a = net.input('ids', np.zeros((1, 4)))
    e = net.add('Embedding', 'embedding', dict(input_dim=9, output_dim=4, mask_zero=True), a, np.zeros((1, 4, 4)), [('embeddings', '', w(9, 4))])
    net.outputs = [net.add('Softmax', 'softmax', dict(axis=-1), e, np.zeros((1, 4, 4)))]
    bad('mask', lambda f: None, net)

    deep = json.dumps(small().config())
    config = small().config()
    for i in range(60):
        config = {'class_name': 'Functional', 'config': {'name': f'm{i}', 'layers': [dict(config, name='inner', inbound_nodes=[])], 'input_layers': [], 'output_layers': [['inner', 0, 0]]}}
    bad('deep', lambda f: (f.attrs.pop('model_config'), f.attrs.__setitem__('model_config', json.dumps(config))))

    whole = open('models/bad/wrong_shape.h5', 'rb').read()
    open('models/bad/truncated.h5', 'wb').write(whole[:len(whole) * 2 // 3])
    open('models/bad/header_only.h5', 'wb').write(whole[:100])

    net = small('small_3')
    net.version = '3.5.0'
    net.save_keras('models/bad/small.keras')
    data = open('models/bad/small.keras', 'rb').read()
    open('models/bad/truncated.keras', 'wb').write(data[:len(data) - 40])
    with zipfile.ZipFile('models/bad/small.keras') as z:
        parts = {n: z.read(n) for n in z.namelist()}
    os.remove('models/bad/small.keras')
    with zipfile.ZipFile('models/bad/bomb.keras', 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('config.json', parts['config.json'])
        z.writestr('metadata.json', parts['metadata.json'])
        z.writestr('model.weights.h5', parts['model.weights.h5'][:8] + bytes(100 << 20))
    with zipfile.ZipFile('models/bad/no_weights.keras', 'w') as z:
        z.writestr('config.json', parts['config.json'])
        z.writestr('metadata.json', parts['metadata.json'])
    damaged = bytearray(data)
    at = data.index(parts['model.weights.h5']) + 4000
    damaged[at] ^= 255
    open('models/bad/checksum.keras', 'wb').write(damaged)

    net = small()
    for name, change in (('tfjs_outside', lambda j: j['weightsManifest'][0].__setitem__('paths', ['../cycle.h5'])),
                         ('tfjs_absolute', lambda j: j['weightsManifest'][0].__setitem__('paths', ['/etc/passwd'])),
                         ('tfjs_short', lambda j: j['weightsManifest'][0]['paths'].pop()),
                         ('tfjs_huge', lambda j: j['weightsManifest'][0]['weights'][0].__setitem__('shape', [1 << 40, 1 << 40])),
                         ('tfjs_graph', lambda j: j.__setitem__('format', 'graph-model'))):
        folder = f'models/bad/{name}'
        net.save_tfjs(folder)
        j = json.load(open(folder + '/model.json'))
        change(j)
        json.dump(j, open(folder + '/model.json', 'w'))


def given_masks(version, kind):
    """Masks by keyword, as floats and of the input's shape."""
    net = Net('given_masks' + ('_3' if version[0] == '3' else ''), version)
    add = names(net)
    a, m = net.input('a', x(4, 5)), net.input('m', np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 1, 0, 0]], float))
    s = net.input('s', x(4, 5, 3))
    add('Softmax', dict(axis=-1), a, R.ACTIVATIONS['softmax'](np.where(m.value > 0, a.value, -1e9)), mask=m)
    add('GlobalAveragePooling1D', dict(data_format='channels_last'), s, (s.value * m.value[..., None]).sum(1) / m.value.sum(1)[:, None], mask=m)
    k, u, b = w(3, 16), w(4, 16), w(16)
    add('LSTM', dict(units=4, activation='tanh', recurrent_activation='sigmoid', use_bias=True), s, R.masked_rnn('lstm', s.value, m.value > 0, k, u, b)[1],
        [('kernel', 'cell', k), ('recurrent_kernel', 'cell', u), ('bias', 'cell', b)], mask=m)
    finish(net, kind)


def unheeded():
    """A keyword that the layer does not know."""
    net = Net('unheeded')
    a = net.input('a', x(4, 5))
    net.outputs = [net.add('ReLU', 're_lu', {}, a, a.value, scale=a)]
    net.save_h5('models/bad/unheeded.h5')


convolutions('2.15.0', 'h5')
convolutions('3.5.0', 'keras')
channels_first()
pooling_and_shapes('2.15.0', 'h5')
pooling_and_shapes('3.5.0', 'keras')
normalizations('2.15.0', 'h5')
normalizations('3.5.0', 'keras')
activations('2.2.4-tf', 'h5')
activations('3.5.0', 'keras')
merges('2.15.0', 'h5')
merges('3.5.0', 'keras')
nested('2.2.4', 'h5', 'nested_old')
nested('2.15.0', 'h5')
nested('3.5.0', 'keras')
nested('2.15.0', 'tfjs', 'nested_tfjs')
sequential('2.15.0', 'h5')
sequential('2.1.6', 'h5', 'list')
sequential('3.5.0', 'keras')
recurrent('2.15.0', 'h5')
recurrent('3.5.0', 'keras')
attention('2.15.0', 'h5')
attention('3.5.0', 'keras')
operations()
refused()
masks('2.15.0', 'h5')
masks('3.5.0', 'keras')
conv_lstm('2.15.0', 'h5')
conv_lstm('3.5.0', 'keras')
cudnn()
given_masks('2.15.0', 'h5')
given_masks('3.5.0', 'keras')
unheeded()
