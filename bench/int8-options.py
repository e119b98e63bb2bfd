#!/usr/bin/python3
"""int8-options.py [--hone PROGRAM] [--models DIR] [--photos DIR] [--crops N] [--examples N] [--only NAME,...] [--rows PATTERN]

What each observer and each option of `hone optimize --precision=int8` does to trained networks, every layer quantized (--no-mixed)
so that they are compared on equal terms, and one row for the default mixture: by the ratio of signal to quantization noise of the
outputs (of a classifier also of its scores before Softmax, but for their mean), the agreement of the best class with that in floats
or, where there are labels, the accuracy, and the time that calibration and quantization took. Calibrated with some random crops
(the drawn pages of int8-accuracy.py for the detector of text) and measured on others.
  mobilenet_v2, inception_v3: Keras image classifiers; detector: PP-OCRv4; digits: the embedded model with its labels.
--rows: only the rows whose options PATTERN is found in, a regular expression, and the first one. Needs python3-pil and python3-numpy.
"""
import argparse
import glob
import importlib
import os
import re
import shlex
import sys
import tempfile

import numpy as np
from PIL import Image

accuracy = importlib.import_module("int8-accuracy")
ROWS = ["", "--no-bias-correction", "--observer=moving-average", "--observer=percentile", "--observer=percentile --percentile=99.999", "--observer=entropy",
        "--observer=mse", "--equalize", "--balance", "--equalize --balance", "--adaround", "--adaround --no-bias-correction", "--balance --adaround",
        "--equalize --balance --adaround"]


def decibels(want, got):
    want, got = want.astype(float), got.astype(float)
    return 10 * np.log10((want ** 2).sum() / max(((want - got) ** 2).sum(), 1e-300))


def logits(p):
    """Scores before Softmax, with a mean of zero."""
    l = np.log(np.maximum(p.astype(float), 1e-30))
    return l - l.mean(1, keepdims=True)


class Case:
    """A model, what it is calibrated with, and the batches it is measured on; `classes`: what its first output has scores of."""

    def __init__(self, model, calibrate, batches, look=(), labels=None, classes="class"):
        self.model, self.calibrate, self.batches, self.look, self.labels, self.classes = model, calibrate, batches, look, labels, classes

    def outputs(self, o, model, folder):
        """Of each batch its outputs."""
        return [list(accuracy.run(o.hone, model, folder, None, x).values()) for x in self.batches]

    def row(self, o, options, folder, want):
        out = f"{folder}/int8.hone"
        text = accuracy.hone(o.hone, "optimize", self.model, "-o", out, "--tune=off", "--no-verify", "--precision=int8", f"--calibrate={self.calibrate}",
                             f"--threads={o.threads}", *self.look, *shlex.split(options))
        layers, seconds = (re.search(r"quantized (\d+ of \d+) .* in ([0-9.]+) s", text) or re.search(r"()()$", text)).groups()
        got = self.outputs(o, out, folder)
        pairs = [(np.concatenate([w[k].ravel() for w in want]), np.concatenate([g[k].ravel() for g in got])) for k in range(len(want[0]))]
        least = min(accuracy.cosine(a[i], b[i]) for w, g in zip(want, got) for a, b in zip(w, g) for i in range(len(a)))
        cells = [f"{min(decibels(a, b) for a, b in pairs):.2f}", f"{min(accuracy.cosine(a, b) for a, b in pairs):.5f}", f"{least:.5f}"]
        if self.classes:
            w, g = [np.concatenate([x[0].reshape(-1, x[0].shape[-1]) for x in y]) for y in (want, got)]
            same = (w.argmax(1) == g.argmax(1)).mean() if self.labels is None else (g.argmax(1) == self.labels).mean()
            cells += [f"{decibels(logits(w), logits(g)):.2f}" if abs(w.sum(1) - 1).max() < 1e-3 else "", f"{100 * same:.1f} %"]
        else:
            cells += ["", ""]
        return cells + [seconds, layers]


def in_tens(x):
    return [x[i:i + 10] for i in range(0, len(x), 10)]


def classifier(o, folder, name, size):
    accuracy.crops(o.photos, f"{folder}/a", o.examples, size, 1)
    return Case(f"{o.models}/keras/nsfw_{name}.h5", f"{folder}/a", in_tens(accuracy.crops(o.photos, f"{folder}/b", o.crops, size, 2).astype(np.float32) / 255))


def blazeface(o, folder):
    accuracy.crops(o.photos, f"{folder}/a", o.examples, 256, 1)
    x = accuracy.crops(o.photos, f"{folder}/b", o.crops, 256, 2).astype(np.float32) / 127.5 - 1
    return Case(f"{o.models}/onnx/face_detection_back_256x256_barracuda.onnx", f"{folder}/a", [x[i:i + 1] for i in range(len(x))], ["--mean=0.5", "--std=0.5"], classes="")


def detector(o, folder):
    accuracy.pages(folder, 40, 1)
    os.makedirs(f"{folder}/other")
    accuracy.pages(f"{folder}/other", 20, 2)
    look = ["--shape=1x3x640x640", "--colour=bgr", "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"]
    pages = [Image.open(f"{folder}/other/pages/{i:03}.png") for i in range(20)]
    x = [accuracy.bgr(p, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for p in pages]
    return Case(f"{o.models}/onnx/ch_PP-OCRv4_det_infer.onnx", f"{folder}/pages", x, look, classes="")


def recognizer(o, folder):
    """Lines of drawn pages, of any width."""
    accuracy.pages(folder, 40, 1)
    os.makedirs(f"{folder}/other")
    accuracy.pages(f"{folder}/other", 20, 2)
    x = [np.load(p) for p in sorted(glob.glob(f"{folder}/other/lines/*.npy"))]
    return Case(f"{o.models}/onnx/ch_PP-OCRv4_rec_infer.onnx", f"{folder}/lines/*.npy", x, classes="step")


def digits(o, folder):
    """Calibrated with every sixth of the images, measured on the others."""
    source = os.path.join(os.path.dirname(__file__), "../models/digits")
    labels = [l.split() for l in open(f"{source}/labels.txt") if l.strip()]
    os.makedirs(f"{folder}/a")
    for name, _ in labels[::6]:
        os.symlink(os.path.abspath(f"{source}/{name}"), f"{folder}/a/{name}")
    rest = [l for i, l in enumerate(labels) if i % 6]
    x = np.stack([np.asarray(Image.open(f"{source}/{n}").convert("L"), np.float32) / 255 for n, _ in rest])[:, None]
    return Case(os.path.join(source, "../digits.onnx"), f"{folder}/a", in_tens(x), labels=np.array([int(k) for _, k in rest]))


CASES = {"mobilenet_v2": lambda o, f: classifier(o, f, "mobilenet_v2", 224), "inception_v3": lambda o, f: classifier(o, f, "inception_v3", 299),
         "blazeface": blazeface, "detector": detector, "recognizer": recognizer, "digits": digits}


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
            right = ""
            if case.labels is not None:
                right = f"; in floats {100 * (np.concatenate([w[0] for w in want]).argmax(1) == case.labels).mean():.1f} % right"
            print(f"\n{name}, {sum(len(b) for b in case.batches)} inputs{right}\n\n| options | output, dB | cosine | least of an example | before Softmax, dB | "
                  f"{'accuracy' if right else 'same best ' + case.classes} | s | layers |\n|---|---|---|---|---|---|---|---|")
            for options in ROWS:
                if re.search(o.rows, options) or not options:
                    print(f"| {options or 'defaults: min-max, biases corrected'} | {' | '.join(case.row(o, options + ' --no-mixed', folder, want))} |", flush=True)
            if not o.rows:
                print(f"| the default mixture | {' | '.join(case.row(o, '', folder, want))} |", flush=True)


if __name__ == "__main__":
    main()
