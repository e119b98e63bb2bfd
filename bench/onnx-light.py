#!/usr/bin/python3
"""onnx-light.py HONE FOLDER: the ONNX project's light models (whole networks, weights constant) against their expected
outputs. The input is what the ONNX backend tests give them: 0, 1/n, 2/n, ... Needs python3-onnx and python3-numpy."""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper


def run(program, file, folder):
    model, want = onnx.load(file), onnx.TensorProto()
    with open(file.replace(".onnx", "_output_0.pb"), "rb") as f:
        want.ParseFromString(f.read())
    want = numpy_helper.to_array(want)
    weights = {i.name for i in model.graph.initializer}
    args = []
    for i in model.graph.input:
        if i.name in weights:
            continue
        shape = [d.dim_value or 1 for d in i.type.tensor_type.shape.dim]
        n = int(np.prod(shape))
        np.save(f"{folder}/in.npy", (np.arange(n).reshape(shape) / n).astype(np.float32))
        args.append(f"--input={i.name}={folder}/in.npy")
    for step in ([program, "optimize", file, "-o", f"{folder}/m.hone", "--no-verify"],
                 [program, "run", f"{folder}/m.hone", *args, "--output-dir", f"{folder}/out"]):
        r = subprocess.run(step, capture_output=True, text=True)
        if r.returncode:
            return r.stderr.strip()
    got = np.load(glob.glob(f"{folder}/out/*.npy")[0])
    return abs(got - want).max() if got.shape == want.shape else f"shape {got.shape}, not {want.shape}"


def main(program, folder):
    bad = 0
    for file in sorted(glob.glob(f"{folder}/light_*.onnx")):
        with tempfile.TemporaryDirectory() as work:
            d = run(program, file, work)
        fine = not isinstance(d, str) and d < 1e-4
        bad += not fine
        print(f"{os.path.basename(file)}: {d if isinstance(d, str) else f'differs by {d:.2g}'}")
    sys.exit(bad != 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
