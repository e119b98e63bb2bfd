#!/usr/bin/python3
"""keras-folding.py HONE MODEL.h5 ...: KITO's table. Layers and parameters of Keras models before and after batch
normalizations are folded into the layers beside them, counted as Keras counts; hone's own layers after all passes; and the
largest difference of the outputs on three random inputs. Needs python3-h5py."""
import json
import os
import subprocess
import sys
import tempfile
import h5py

# What folding needs and nothing more.
FOLD = 'simplify,recognize-pool,sink-transpose,fold-batchnorm,fold-scale,dead'


def keras(path):
    """Layers, batch normalizations and parameters by the file."""
    with h5py.File(path) as f:
        layers = json.loads(f.attrs['model_config'])['config']['layers']
        sizes = []
        f['model_weights'].visititems(lambda n, o: sizes.append(o.size) if isinstance(o, h5py.Dataset) and 'count' not in n else None)
    return len(layers), sum(l['class_name'] == 'BatchNormalization' for l in layers), sum(sizes)


def optimize(program, *args):
    r = subprocess.run([program, 'optimize', *args, '--json', '--runs=3'], capture_output=True, text=True)
    if r.returncode:
        sys.exit(r.stderr.strip())
    return json.loads(r.stdout)


def left(program, path):
    r = subprocess.run([program, 'show', path, '--json'], capture_output=True, text=True)
    return json.loads(r.stdout)['operators'].get('BatchNormalization', 0)


if len(sys.argv) < 3:
    sys.exit(__doc__)
print('| model | Keras layers | without batch normalizations | parameters | after folding | difference | hone\'s layers, all passes | difference |')
print('|---|---|---|---|---|---|---|---|')
with tempfile.TemporaryDirectory() as tmp:
    for path in sys.argv[2:]:
        layers, norms, parameters = keras(path)
        out = os.path.join(tmp, 'folded.onnx')
        folded = optimize(sys.argv[1], path, '-o', out, '--passes=' + FOLD)
        everything = optimize(sys.argv[1], path, '-o', os.path.join(tmp, 'all.hone'), '--tune=off', '--no-packs')
        print(f'| {os.path.basename(path)[:-3]} | {layers} | {layers - norms + left(sys.argv[1], out)} | {parameters:,} | {folded["after"]["parameters"]:,} | '
              f'{folded["difference"]["max_abs"]:.3g} | {everything["after"]["layers"]} | {everything["difference"]["max_abs"]:.3g} |', flush=True)
