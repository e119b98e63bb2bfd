#!/usr/bin/python3
"""int8-options.py [--hone PROGRAM] [--models DIR] [--photos DIR] [--crops N] [--examples N] [--only NAME,...] [--rows PATTERN]

What each observer and each option of `hone optimize --precision=int8` does to trained networks, every layer quantized (--no-mixed)
so that they are compared on equal terms, and one row for the default mixture: by the ratio of signal to quantization noise of the
outputs (of a classifier also of its scores before Softmax, but for their mean), the agreement of the best class with that in floats
or, where there are labels, the accuracy, and the time that calibration and quantization took. Calibrated with some random crops
(the drawn pages of int8-accuracy.py for the detector of text) and measured on others.
  mobilenet_v2, inception_v3: Keras image classifiers; detector: PP-OCRv4; digits: the embedded model with its labels.
--rows: only the rows whose options hold PATTERN, and the plain one. Needs python3-pil and python3-numpy.
"""
import argparse
import importlib
import os
import re
import shlex
import sys
import tempfile

import numpy as np
from PIL import Image

accuracy = importlib.import_module("int8-accuracy")
ROWS = ["", "--observer=moving-average", "--observer=percentile", "--observer=percentile --percentile=99.999", "--observer=entropy",
        "--observer=mse", "--equalize", "--balance", "--equalize --balance", "--bias-correction", "--adaround", "--adaround --bias-correction",
        "--equalize --bias-correction", "--balance --bias-correction", "--balance --adaround --bias-correction",
        "--equalize --balance --adaround --bias-correction", "--observer=mse --adaround --bias-correction"]


def decibels(want, got):
    want, got = want.astype(float), got.astype(float)
    return 10 * np.log10((want ** 2).sum() / max(((want - got) ** 2).sum(), 1e-300))


def logits(p):
    """Scores before Softmax, with a mean of zero."""
    l = np.log(np.maximum(p.astype(float), 1e-30))
    return l - l.mean(1, keepdims=True)


class Case:
    """A model, what it is calibrated with, and the inputs it is measured on."""

    def __init__(self, model, calibrate, x, batch, look=(), labels=None, classes=True):
        self.model, self.calibrate, self.x, self.batch, self.look, self.labels, self.classes = model, calibrate, x, batch, look, labels, classes

    def outputs(self, o, model, folder):
        return np.concatenate([list(accuracy.run(o.hone, model, folder, None, self.x[i:i + self.batch]).values())[0]
                               for i in range(0, len(self.x), self.batch)])

    def row(self, o, options, folder, want):
        out = f"{folder}/int8.hone"
        text = accuracy.hone(o.hone, "optimize", self.model, "-o", out, "--tune=off", "--no-verify", "--precision=int8", f"--calibrate={self.calibrate}",
                             f"--threads={o.threads}", *self.look, *shlex.split(options))
        layers, seconds = re.search(r"quantized (\d+ of \d+) .* in ([0-9.]+) s", text).groups()
        got = self.outputs(o, out, folder)
        cells = [f"{decibels(want, got):.2f}"]
        if self.classes:
            same = (want.argmax(1) == got.argmax(1)).mean() if self.labels is None else (got.argmax(1) == self.labels).mean()
            cells += [f"{decibels(logits(want), logits(got)):.2f}" if abs(want.sum(1) - 1).max() < 1e-3 else "", f"{100 * same:.1f} %"]
        else:
            cells += ["", ""]
        return cells + [seconds, layers]


def classifier(o, folder, name, size):
    accuracy.crops(o.photos, f"{folder}/a", o.examples, size, 1)
    x = accuracy.crops(o.photos, f"{folder}/b", o.crops, size, 2).astype(np.float32) / 255
    return Case(f"{o.models}/keras/nsfw_{name}.h5", f"{folder}/a", x, 10)


def detector(o, folder):
    accuracy.pages(folder, 40, 1)
    os.makedirs(f"{folder}/other")
    accuracy.pages(f"{folder}/other", 20, 2)
    look = ["--shape=1x3x640x640", "--colour=bgr", "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"]
    pages = [Image.open(f"{folder}/other/pages/{i:03}.png") for i in range(20)]
    x = np.concatenate([accuracy.bgr(p, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for p in pages])
    return Case(f"{o.models}/onnx/ch_PP-OCRv4_det_infer.onnx", f"{folder}/pages", x, 1, look, classes=False)


def digits(o, folder):
    """Calibrated with every sixth of the images, measured on the others."""
    source = os.path.join(os.path.dirname(__file__), "../models/digits")
    labels = [l.split() for l in open(f"{source}/labels.txt") if l.strip()]
    os.makedirs(f"{folder}/a")
    for name, _ in labels[::6]:
        os.symlink(os.path.abspath(f"{source}/{name}"), f"{folder}/a/{name}")
    rest = [l for i, l in enumerate(labels) if i % 6]
    x = np.stack([np.asarray(Image.open(f"{source}/{n}").convert("L"), np.float32) / 255 for n, _ in rest])[:, None]
    return Case(os.path.join(source, "../digits.onnx"), f"{folder}/a", x, 50, labels=np.array([int(k) for _, k in rest]))


CASES = {"mobilenet_v2": lambda o, f: classifier(o, f, "mobilenet_v2", 224), "inception_v3": lambda o, f: classifier(o, f, "inception_v3", 299),
         "detector": detector, "digits": digits}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hone", "build/release/hone"), ("models", "build/models"), ("photos", "../shared/data/images"), ("threads", "1"), ("rows", ""), ("only", ",".join(CASES))):
        p.add_argument(f"--{name}", default=default)
    p.add_argument("--crops", type=int, default=200)
    p.add_argument("--examples", type=int, default=100)
    o = p.parse_args()
    for name in o.only.split(","):
        if name not in CASES:
            sys.exit(f"--only: there is no '{name}'; one of {', '.join(CASES)}")
        with tempfile.TemporaryDirectory() as folder:
            case = CASES[name](o, folder)
            floats = f"{folder}/f32.hone"
            accuracy.hone(o.hone, "optimize", case.model, "-o", floats, "--tune=off", "--no-verify", f"--threads={o.threads}", *[l for l in case.look if "shape" in l])
            want = case.outputs(o, floats, folder)
            right = f"; in floats {100 * (want.argmax(1) == case.labels).mean():.1f} % right" if case.labels is not None else ""
            print(f"\n{name}, {len(case.x)} inputs{right}\n\n| options | output, dB | before Softmax, dB | {'accuracy' if right else 'same best class'} | s | layers |\n|---|---|---|---|---|---|")
            for options in ROWS:
                if o.rows in options or not options:
                    print(f"| {options or 'min-max, nearest'} | {' | '.join(case.row(o, options + ' --no-mixed', folder, want))} |", flush=True)
            if not o.rows:
                print(f"| the default mixture | {' | '.join(case.row(o, '', folder, want))} |", flush=True)


if __name__ == "__main__":
    main()
