"""Builds Keras models layer by layer, in numpy and as the files that Keras writes: .h5 of Keras 2, .keras of Keras 3,
and the tfjs layers-model form. No TensorFlow: the formats are written down here a second time."""
import io
import json
import os
import re
import zipfile
import h5py
import numpy as np


def snake(name):
    name = re.sub(r'\W+', '', name)
    name = re.sub('(.)([A-Z][a-z]+)', r'\1_\2', name)
    return re.sub('([a-z])([A-Z])', r'\1_\2', name).lower()


class Tensor:
    def __init__(self, layer, node, index, value):
        self.layer, self.node, self.index, self.value = layer, node, index, value


class Layer:
    """kind, name, config; weights: [(path in Keras 2, object in Keras 3, array)], nodes: lists of tensors and keywords."""

    def __init__(self, kind, name, config, weights=(), model=None):
        self.kind, self.name, self.config, self.weights, self.model = kind, name, dict(config, name=name), list(weights), model
        self.nodes = []


class Net:
    def __init__(self, name='net', version='2.15.0', sequential=False):
        self.name, self.version, self.sequential = name, version, sequential
        self.layers, self.inputs, self.outputs = [], [], []

    def input(self, name, value, shape=None, dtype='float32'):
        shape = [None] + list(value.shape[1:]) if shape is None else shape
        v3 = self.version[0] == '3'
        layer = Layer('InputLayer', name, {'batch_shape' if v3 else 'batch_input_shape': shape, 'dtype': dtype, 'sparse': False})
        self.layers.append(layer)
        t = Tensor(layer, 0, 0, np.asarray(value, dtype if dtype != 'float32' else np.float64))
        self.inputs.append(t)
        return t

    def layer(self, kind, name, config, weights=(), model=None):
        layer = Layer(kind, name, config, weights, model)
        self.layers.append(layer)
        return layer

    def call(self, layer, tensors, result, **keywords):
        """result: what it computes, or a list of that."""
        tensors = tensors if isinstance(tensors, list) else [tensors]
        layer.nodes.append((tensors, keywords))
        node = len(layer.nodes) - 1 + (1 if layer.model is not None and not layer.model.sequential else 0)
        if isinstance(result, list):
            return [Tensor(layer, node, i, v) for i, v in enumerate(result)]
        return Tensor(layer, node, 0, result)

    def add(self, kind, name, config, tensors, result, weights=(), **keywords):
        return self.call(self.layer(kind, name, config, weights), tensors, result, **keywords)

    # ---- configurations

    def ref(self, t):
        if self.version[0] != '3':
            return [t.layer.name, t.node, t.index]
        return {'class_name': '__keras_tensor__', 'config': {'shape': [None] + list(t.value.shape[1:]), 'dtype': 'float32',
                                                               'keras_history': [t.layer.name, t.node, t.index]}}

    def keywords(self, kw):
        return {k: self.ref(v) if isinstance(v, Tensor) else [self.ref(x) for x in v] if isinstance(v, list) and v and
                isinstance(v[0], Tensor) else v for k, v in kw.items()}

    def inbound(self, layer):
        if self.version[0] == '3':
            return [{'args': [self.ref(ts[0]) if len(ts) == 1 else [self.ref(t) for t in ts]], 'kwargs': self.keywords(kw)}
                    for ts, kw in layer.nodes]
        if layer.kind == 'TFOpLambda' and layer.config.get('function') != 'concat':
            return [self.ref(ts[0]) + [self.keywords(kw)] for ts, kw in layer.nodes]
        return [[self.ref(t) + [self.keywords(kw)] for t in ts] for ts, kw in layer.nodes]

    def layer_config(self, layer):
        config = layer.config if layer.model is None else layer.model.config()['config']
        kind = layer.kind if layer.model is None else layer.model.config()['class_name']
        j = {'class_name': kind, 'name': layer.name, 'config': config}
        if 'module' in layer.config:
            j['module'] = layer.config['module']
        if not self.sequential:
            j['inbound_nodes'] = self.inbound(layer)
        return j

    def config(self):
        if self.sequential:
            return {'class_name': 'Sequential', 'config': {'name': self.name, 'layers': [self.layer_config(l) for l in self.layers]}}
        kind = 'Model' if self.version.startswith('2.2') else 'Functional'
        history = lambda t: [t.layer.name, t.node, t.index]
        return {'class_name': kind, 'config': {'name': self.name, 'layers': [self.layer_config(l) for l in self.layers],
                                                 'input_layers': [history(t) for t in self.inputs],
                                                 'output_layers': [history(t) for t in self.outputs]}}

    # ---- weights

    def flat(self, top=True):
        """[(path of Keras 2, array)] of a nested model: all layers' in order."""
        return [(f'{l.name}/{path}:0', a) for l in self.layers for path, _, a in l.weights] + \
               [w for l in self.layers if l.model for w in l.model.flat()]

    def groups(self):
        return [(l.name, l.model.flat() if l.model else [(f'{l.name}/{p}:0', a) for p, _, a in l.weights]) for l in self.layers]

    def places(self, prefix=''):
        """[(path of Keras 3, array)]"""
        used, out = {}, []
        for l in self.layers:
            if l.config.get('module', '').startswith('keras.src.ops'):
                continue
            s = snake(l.kind if l.model is None else l.model.config()['class_name'])
            used[s] = used.get(s, -1) + 1
            at = f'{prefix}layers/{s}' + (f'_{used[s]}' if used[s] else '')
            counts = {}
            for _, obj, a in l.weights:
                n = counts[obj] = counts.get(obj, -1) + 1
                out.append((f'{at}/{obj + "/" if obj else ""}vars/{n}', a))
            if l.model:
                out += l.model.places(at + '/')
        return out

    # ---- files

    def save_h5(self, path):
        with h5py.File(path, 'w') as f:
            f.attrs['backend'] = 'tensorflow'
            f.attrs['keras_version'] = self.version
            f.attrs['model_config'] = json.dumps(self.config())
            g = f.create_group('model_weights')
            g.attrs['layer_names'] = [n.encode() for n, _ in self.groups()]
            for name, weights in self.groups():
                layer = g.create_group(name)
                layer.attrs['weight_names'] = np.array([n.encode() for n, _ in weights], dtype='S')
                for n, a in weights:
                    layer.create_dataset(n, data=np.asarray(a, np.float32))

    def save_keras(self, path):
        h5 = io.BytesIO()
        with h5py.File(h5, 'w') as f:
            for at, a in self.places():
                f.create_dataset(at, data=np.asarray(a, np.float32))
        with zipfile.ZipFile(path, 'w') as z:
            for name, data in (('metadata.json', json.dumps({'keras_version': self.version, 'date_saved': ''})),
                               ('config.json', json.dumps(dict(self.config(), module='keras', registered_name='Functional'))),
                               ('model.weights.h5', h5.getvalue())):
                z.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data)

    def save_tfjs(self, folder, quantize=None):
        os.makedirs(folder, exist_ok=True)
        specs, raw = [], b''
        for _, weights in self.groups():
            for name, a in weights:
                a = np.asarray(a, np.float32)
                spec = {'name': name[:-2], 'shape': list(a.shape), 'dtype': 'float32'}
                if quantize in ('uint8', 'uint16'):
                    top = 255 if quantize == 'uint8' else 65535
                    low, scale = float(a.min()), float((a.max() - a.min()) / top) or 1.0
                    spec['quantization'] = {'min': low, 'scale': scale, 'dtype': quantize}
                    raw += np.round((a - low) / scale).astype(quantize).tobytes()
                elif quantize == 'float16':
                    spec['quantization'] = {'dtype': 'float16'}
                    raw += a.astype(np.float16).tobytes()
                else:
                    raw += a.tobytes()
                specs.append(spec)
        half = len(raw) // 2
        for i, part in enumerate((raw[:half], raw[half:])):
            open(f'{folder}/group1-shard{i + 1}of2.bin', 'wb').write(part)
        json.dump({'format': 'layers-model', 'modelTopology': {'keras_version': self.version, 'backend': 'tensor_flow', 'model_config': self.config()},
                   'weightsManifest': [{'paths': ['group1-shard1of2.bin', 'group1-shard2of2.bin'], 'weights': specs}]}, open(f'{folder}/model.json', 'w'))

    def save_expected(self, path):
        """path.txt: a line a tensor; path.bin: float32 inputs, then outputs."""
        names = []
        with open(path + '.txt', 'w') as text, open(path + '.bin', 'wb') as data:
            for t in self.inputs:
                text.write(f'input {t.layer.name} {"x".join(map(str, t.value.shape))}\n')
                data.write(np.asarray(t.value, np.float32).tobytes())
            for t in self.outputs:
                name, n = t.layer.name, 1
                while name in names:
                    name, n = f'{t.layer.name}_{n}', n + 1
                names.append(name)
                text.write(f'output {name} {"x".join(map(str, t.value.shape))}\n')
                data.write(np.asarray(t.value, np.float32).tobytes())
