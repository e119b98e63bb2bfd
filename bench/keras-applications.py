#!/usr/bin/python3
"""keras-applications.py FOLDER [NAME ...]: writes networks of keras.applications as Keras 2 .h5 files, layer by layer as
their authors publish them, with random weights (batch normalization's of both signs and any size): inception_v3,
mobilenet_v2_1.4, mobilenet_v2, resnet50, xception, efficientnet_b0, densenet121, vgg16. Needs python3-h5py; no TensorFlow."""
import json
import math
import sys
import h5py
import numpy as np

rng = np.random.default_rng(1)


class Net:
    def __init__(self, name, size, version='2.15.0'):
        self.name, self.layers, self.weights, self.channels, self.version = name, [], [], {}, version
        self.count = {}
        self.layer('InputLayer', [], 3, 'input_1', batch_input_shape=[None, size, size, 3], dtype='float32')
        self.input = 'input_1'

    def layer(self, kind, inputs, channels, name=None, weights=(), **config):
        if name is None:
            self.count[kind] = self.count.get(kind, 0) + 1
            name = f'{kind.lower()}_{self.count[kind]}'
        inputs = [inputs] if isinstance(inputs, str) else inputs
        self.layers.append({'class_name': kind, 'name': name, 'config': dict(config, name=name),
                            'inbound_nodes': [[[i, 0, 0, {}] for i in inputs]] if inputs else []})
        self.weights.append((name, [(f'{name}/{n}:0', a) for n, a in weights]))
        self.channels[name] = channels
        return name

    def conv(self, x, filters, kernel, stride=1, padding='same', bias=True, activation='linear', name=None):
        k = (kernel, kernel) if isinstance(kernel, int) else kernel
        cin = self.channels[x]
        w = [('kernel', rng.normal(size=(*k, cin, filters)) * math.sqrt(2 / (k[0] * k[1] * cin)))]
        if bias:
            w.append(('bias', rng.normal(size=filters) * 0.01))
        return self.layer('Conv2D', x, filters, name, w, filters=filters, kernel_size=list(k), strides=[stride, stride], padding=padding,
                          use_bias=bias, activation=activation, dilation_rate=[1, 1], groups=1, data_format='channels_last')

    def depthwise(self, x, kernel, stride=1, padding='same', name=None):
        c = self.channels[x]
        return self.layer('DepthwiseConv2D', x, c, name, [('depthwise_kernel', rng.normal(size=(kernel, kernel, c, 1)) * math.sqrt(2) / kernel)],
                          kernel_size=[kernel, kernel], strides=[stride, stride], padding=padding, use_bias=False, depth_multiplier=1,
                          activation='linear', dilation_rate=[1, 1], data_format='channels_last')

    def separable(self, x, filters, kernel, name=None):
        c = self.channels[x]
        return self.layer('SeparableConv2D', x, filters, name,
                          [('depthwise_kernel', rng.normal(size=(kernel, kernel, c, 1)) / kernel), ('pointwise_kernel', rng.normal(size=(1, 1, c, filters)) * math.sqrt(2 / c))],
                          filters=filters, kernel_size=[kernel, kernel], strides=[1, 1], padding='same', use_bias=False, depth_multiplier=1,
                          activation='linear', dilation_rate=[1, 1], data_format='channels_last')

    def bn(self, x, scale=True, eps=1e-3, name=None, gain=1.0):
        c = self.channels[x]
        w = [('gamma', gain * rng.uniform(0.6, 1.4, c))] if scale else []
        w += [('beta', rng.normal(size=c) * 0.1), ('moving_mean', rng.normal(size=c) * 0.2), ('moving_variance', rng.uniform(0.5, 1.5, c))]
        return self.layer('BatchNormalization', x, c, name, w, axis=[3], momentum=0.99, epsilon=eps, center=True, scale=scale)

    def act(self, x, how='relu', name=None):
        return self.layer('Activation', x, self.channels[x], name, activation=how)

    def relu(self, x, most=None, name=None):
        return self.layer('ReLU', x, self.channels[x], name, max_value=most, negative_slope=0.0, threshold=0.0)

    def pool(self, x, kind, size, stride, padding='valid', name=None):
        return self.layer(kind, x, self.channels[x], name, pool_size=[size, size], strides=[stride, stride], padding=padding, data_format='channels_last')

    def pad(self, x, padding, name=None):
        return self.layer('ZeroPadding2D', x, self.channels[x], name, padding=padding, data_format='channels_last')

    def add(self, inputs, name=None):
        return self.layer('Add', inputs, self.channels[inputs[0]], name)

    def concat(self, inputs, name=None):
        return self.layer('Concatenate', inputs, sum(self.channels[i] for i in inputs), name, axis=3)

    def gap(self, x, name=None, keepdims=False):
        return self.layer('GlobalAveragePooling2D', x, self.channels[x], name, data_format='channels_last', keepdims=keepdims)

    def dense(self, x, units, activation, name=None, inputs=None):
        n = inputs or self.channels[x]
        return self.layer('Dense', x, units, name, [('kernel', rng.normal(size=(n, units)) / math.sqrt(n)), ('bias', rng.normal(size=units) * 0.01)],
                          units=units, activation=activation, use_bias=True)

    def save(self, path):
        config = {'class_name': 'Functional', 'config': {'name': self.name, 'layers': self.layers, 'input_layers': [[self.input, 0, 0]],
                                                           'output_layers': [[self.layers[-1]['name'], 0, 0]]}}
        with h5py.File(path, 'w') as f:
            f.attrs['backend'], f.attrs['keras_version'] = 'tensorflow', self.version
            f.attrs['model_config'] = json.dumps(config)
            g = f.create_group('model_weights')
            g.attrs['layer_names'] = [n.encode() for n, _ in self.weights]
            for name, ws in self.weights:
                layer = g.create_group(name)
                layer.attrs['weight_names'] = np.array([n for n, _ in ws], dtype='S')
                for n, a in ws:
                    layer.create_dataset(n, data=np.asarray(a, np.float32))


def inception_v3(name='inception_v3'):
    n = Net(name, 299)

    def cb(x, f, kh, kw, stride=1, padding='same'):
        return n.act(n.bn(n.conv(x, f, (kh, kw), stride, padding, bias=False), scale=False))
    x = cb(n.input, 32, 3, 3, 2, 'valid')
    x = cb(x, 32, 3, 3, 1, 'valid')
    x = n.pool(cb(x, 64, 3, 3), 'MaxPooling2D', 3, 2)
    x = cb(x, 80, 1, 1, 1, 'valid')
    x = n.pool(cb(x, 192, 3, 3, 1, 'valid'), 'MaxPooling2D', 3, 2)
    for i, pool in enumerate((32, 64, 64)):
        b1, b5 = cb(x, 64, 1, 1), cb(cb(x, 48, 1, 1), 64, 5, 5)
        b3 = cb(cb(cb(x, 64, 1, 1), 96, 3, 3), 96, 3, 3)
        x = n.concat([b1, b5, b3, cb(n.pool(x, 'AveragePooling2D', 3, 1, 'same'), pool, 1, 1)], f'mixed{i}')
    b3 = cb(x, 384, 3, 3, 2, 'valid')
    bd = cb(cb(cb(x, 64, 1, 1), 96, 3, 3), 96, 3, 3, 2, 'valid')
    x = n.concat([b3, bd, n.pool(x, 'MaxPooling2D', 3, 2)], 'mixed3')
    for i, c in enumerate((128, 160, 160, 192)):
        b1, b7 = cb(x, 192, 1, 1), cb(cb(cb(x, c, 1, 1), c, 1, 7), 192, 7, 1)
        d = cb(cb(cb(cb(cb(x, c, 1, 1), c, 7, 1), c, 1, 7), c, 7, 1), 192, 1, 7)
        x = n.concat([b1, b7, d, cb(n.pool(x, 'AveragePooling2D', 3, 1, 'same'), 192, 1, 1)], f'mixed{4 + i}')
    b3 = cb(cb(x, 192, 1, 1), 320, 3, 3, 2, 'valid')
    b7 = cb(cb(cb(cb(x, 192, 1, 1), 192, 1, 7), 192, 7, 1), 192, 3, 3, 2, 'valid')
    x = n.concat([b3, b7, n.pool(x, 'MaxPooling2D', 3, 2)], 'mixed8')
    for i in range(2):
        b1, s = cb(x, 320, 1, 1), cb(x, 384, 1, 1)
        b3 = n.concat([cb(s, 384, 1, 3), cb(s, 384, 3, 1)], f'mixed9_{i}')
        d = cb(cb(x, 448, 1, 1), 384, 3, 3)
        bd = n.concat([cb(d, 384, 1, 3), cb(d, 384, 3, 1)])
        x = n.concat([b1, b3, bd, cb(n.pool(x, 'AveragePooling2D', 3, 1, 'same'), 192, 1, 1)], f'mixed{9 + i}')
    n.dense(n.gap(x, 'avg_pool'), 1000, 'softmax', 'predictions')
    return n


def mobilenet_v2(name='mobilenet_v2', alpha=1.0):
    def round8(v):
        r = max(8, int(v + 4) // 8 * 8)
        return r + 8 if r < 0.9 * v else r
    n = Net(name, 224)
    x = n.relu(n.bn(n.conv(n.input, round8(32 * alpha), 3, 2, bias=False, name='Conv1'), name='bn_Conv1'), 6.0, 'Conv1_relu')
    block = 0
    for t, c, reps, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for r in range(reps):
            stride, start, p = s if r == 0 else 1, x, f'block_{block}_' if block else 'expanded_conv_'
            if block:
                x = n.relu(n.bn(n.conv(x, t * n.channels[x], 1, bias=False, name=p + 'expand'), name=p + 'expand_BN'), 6.0, p + 'expand_relu')
            if stride == 2:
                x = n.pad(x, [[0, 1], [0, 1]], p + 'pad')
            x = n.relu(n.bn(n.depthwise(x, 3, stride, 'same' if stride == 1 else 'valid', p + 'depthwise'), name=p + 'depthwise_BN'), 6.0, p + 'depthwise_relu')
            x = n.bn(n.conv(x, round8(c * alpha), 1, bias=False, name=p + 'project'), name=p + 'project_BN')
            if stride == 1 and n.channels[start] == n.channels[x]:
                x = n.add([start, x], p + 'add')
            block += 1
    last = round8(1280 * alpha) if alpha > 1 else 1280
    x = n.relu(n.bn(n.conv(x, last, 1, bias=False, name='Conv_1'), name='Conv_1_bn'), 6.0, 'out_relu')
    n.dense(n.gap(x), 1000, 'softmax', 'predictions')
    return n


def resnet50():
    n = Net('resnet50', 224)
    bn = lambda x, gain=1.0: n.bn(x, eps=1.001e-5, gain=gain)
    x = n.conv(n.pad(n.input, [[3, 3], [3, 3]]), 64, 7, 2, 'valid')
    x = n.pool(n.pad(n.act(bn(x)), [[1, 1], [1, 1]]), 'MaxPooling2D', 3, 2)
    for f, reps, s in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for r in range(reps):
            stride = s if r == 0 else 1
            short = bn(n.conv(x, 4 * f, 1, stride, 'valid')) if r == 0 else x
            y = n.act(bn(n.conv(x, f, 1, stride, 'valid')))
            y = n.act(bn(n.conv(y, f, 3)))
            x = n.act(n.add([short, bn(n.conv(y, 4 * f, 1, 1, 'valid'), 0.3)]))
    n.dense(n.gap(x), 1000, 'softmax', 'predictions')
    return n


def xception():
    n = Net('xception', 299)
    x = n.act(n.bn(n.conv(n.input, 32, 3, 2, 'valid', False)))
    x = n.act(n.bn(n.conv(x, 64, 3, 1, 'valid', False)))
    for i, f in enumerate((128, 256, 728)):
        short = n.bn(n.conv(x, f, 1, 2, 'same', False))
        if i:
            x = n.act(x)
        x = n.act(n.bn(n.separable(x, f, 3)))
        x = n.pool(n.bn(n.separable(x, f, 3)), 'MaxPooling2D', 3, 2, 'same')
        x = n.add([x, short])
    for _ in range(8):
        y = x
        for _ in range(3):
            y = n.bn(n.separable(n.act(y), 728, 3), gain=0.5)
        x = n.add([y, x])
    short = n.bn(n.conv(x, 1024, 1, 2, 'same', False))
    y = n.bn(n.separable(n.act(x), 728, 3))
    y = n.pool(n.bn(n.separable(n.act(y), 1024, 3)), 'MaxPooling2D', 3, 2, 'same')
    x = n.add([y, short])
    x = n.act(n.bn(n.separable(x, 1536, 3)))
    x = n.act(n.bn(n.separable(x, 2048, 3)))
    n.dense(n.gap(x), 1000, 'softmax', 'predictions')
    return n


def efficientnet_b0():
    n = Net('efficientnet_b0', 224)
    x = n.layer('Rescaling', n.input, 3, None, scale=1 / 255, offset=0.0)
    x = n.layer('Normalization', x, 3, None, [('mean', np.array([0.485, 0.456, 0.406])), ('variance', np.array([0.229, 0.224, 0.225]) ** 2), ('count', np.float32(0))],
                axis=[-1], mean=None, variance=None)
    x = n.act(n.bn(n.conv(n.pad(x, [[0, 1], [0, 1]]), 32, 3, 2, 'valid', False)), 'swish')
    for k, reps, f, e, s in ((3, 1, 16, 1, 1), (3, 2, 24, 6, 2), (5, 2, 40, 6, 2), (3, 3, 80, 6, 2), (5, 3, 112, 6, 1), (5, 4, 192, 6, 2), (3, 1, 320, 6, 1)):
        for r in range(reps):
            start, stride, cin = x, s if r == 0 else 1, n.channels[x]
            if e != 1:
                x = n.act(n.bn(n.conv(x, cin * e, 1, bias=False)), 'swish')
            if stride == 2:
                a = (k - 1) // 2
                x = n.pad(x, [[a, a], [a, a]] if k == 5 and cin in (40,) else [[a - 1, a], [a - 1, a]] if k == 3 else [[a - 1, a], [a - 1, a]])
            x = n.act(n.bn(n.depthwise(x, k, stride, 'valid' if stride == 2 else 'same')), 'swish')
            c = n.channels[x]
            se = n.layer('Reshape', n.gap(x), c, None, target_shape=[1, 1, c])
            se = n.conv(n.conv(se, max(1, int(cin * 0.25)), 1, activation='swish'), c, 1, activation='sigmoid')
            x = n.layer('Multiply', [x, se], c)
            x = n.bn(n.conv(x, f, 1, bias=False))
            if stride == 1 and cin == f:
                x = n.add([n.layer('Dropout', x, f, None, rate=0.1), start])
    x = n.act(n.bn(n.conv(x, 1280, 1, bias=False)), 'swish')
    n.dense(n.layer('Dropout', n.gap(x), 1280, None, rate=0.2), 1000, 'softmax', 'predictions')
    return n


def densenet121():
    n = Net('densenet121', 224)
    bn = lambda x: n.bn(x, eps=1.001e-5)
    x = n.conv(n.pad(n.input, [[3, 3], [3, 3]]), 64, 7, 2, 'valid', False)
    x = n.pool(n.pad(n.act(bn(x)), [[1, 1], [1, 1]]), 'MaxPooling2D', 3, 2)
    for i, blocks in enumerate((6, 12, 24, 16)):
        for _ in range(blocks):
            y = n.act(bn(n.conv(n.act(bn(x)), 128, 1, bias=False)))
            x = n.concat([x, n.conv(y, 32, 3, bias=False)])
        if i < 3:
            x = n.pool(n.conv(n.act(bn(x)), n.channels[x] // 2, 1, bias=False), 'AveragePooling2D', 2, 2)
    n.dense(n.gap(n.act(bn(x))), 1000, 'softmax', 'predictions')
    return n


def vgg16():
    n = Net('vgg16', 224)
    x = n.input
    for f, reps in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(reps):
            x = n.conv(x, f, 3, activation='relu')
        x = n.pool(x, 'MaxPooling2D', 2, 2)
    x = n.layer('Flatten', x, 512 * 49, None, data_format='channels_last')
    n.dense(n.dense(n.dense(x, 4096, 'relu'), 4096, 'relu'), 1000, 'softmax', 'predictions')
    return n


NETS = {'inception_v3': inception_v3, 'mobilenet_v2_1.4': lambda: mobilenet_v2('mobilenet_v2_1.4', 1.4), 'mobilenet_v2': mobilenet_v2, 'resnet50': resnet50,
        'xception': xception, 'efficientnet_b0': efficientnet_b0, 'densenet121': densenet121, 'vgg16': vgg16}
if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or NETS:
        net = NETS[name]()
        net.save(f'{sys.argv[1]}/{name}.h5')
        print(f'{name}: {len(net.layers)} layers, {sum(int(np.size(a)) for _, ws in net.weights for _, a in ws):,} parameters')
