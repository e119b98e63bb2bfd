#!/usr/bin/python3
"""real-input.py HONE MODELS PHOTO: do optimized networks still see what is there?

MODELS holds PP-OCRv4's detector (ch_PP-OCRv4_det_infer.onnx) and BlazeFace (face_detection_back_256x256_barracuda.onnx).
A page of text is drawn and the detector must find every line, and nothing else; BlazeFace's best score must lie on the
face in PHOTO, and an empty picture must score low. Needs python3-pil and python3-numpy.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from regions import components

LINES = ["Make it fast", "prove it is still right", "convolution bias activation", "one pass one file", "measure twice"]


def hone(program, *args):
    r = subprocess.run([program, *args], capture_output=True, text=True)
    if r.returncode:
        sys.exit(r.stderr.strip())


def page(path):
    image = Image.new("RGB", (640, 640), "white")
    draw = ImageDraw.Draw(image)
    try:
        font = ImageFont.truetype("DejaVuSans.ttf", 36)
    except OSError:
        font = ImageFont.load_default(size=36)
    boxes = []
    for i, line in enumerate(LINES):
        at = (40, 60 + 110 * i)
        draw.text(at, line, "black", font)
        boxes.append(draw.textbbox(at, line, font))
    image.save(path)
    return boxes


def text(program, models, folder):
    boxes = page(f"{folder}/page.png")
    hone(program, "optimize", f"{models}/ch_PP-OCRv4_det_infer.onnx", "-o", f"{folder}/det.hone", "--no-verify")
    hone(program, "run", f"{folder}/det.hone", f"--input={folder}/page.png", "--shape=1x3x640x640", "--colour=bgr",
         "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225", "--output-dir", folder)
    score = np.load(f"{folder}/sigmoid_0.tmp_0.npy")[0, 0]
    found = [b for b in components(score > 0.3) if (b[2] - b[0]) * (b[3] - b[1]) > 100]
    hit = sum(any(f[0] < (b[0] + b[2]) / 2 < f[2] and f[1] < (b[1] + b[3]) / 2 < f[3] for f in found) for b in boxes)
    print(f"text: {hit} of {len(boxes)} lines found, {len(found)} regions, highest score {score.max():.3f}")
    return hit == len(boxes)


def face(program, models, folder, photo):
    hone(program, "optimize", f"{models}/face_detection_back_256x256_barracuda.onnx", "-o", f"{folder}/face.hone", "--no-verify")
    best = {}
    Image.new("RGB", (256, 256), (90, 120, 90)).save(f"{folder}/empty.png")
    for name, file in (("face", photo), ("empty", f"{folder}/empty.png")):
        hone(program, "run", f"{folder}/face.hone", f"--input={file}", "--mean=0.5", "--std=0.5", "--resize=pad", "--output-dir", folder)
        arrays = [np.load(f"{folder}/{n}.npy") for n in ("Identity:0", "Identity_1:0")]
        scores = 1 / (1 + np.exp(-np.concatenate([a.reshape(-1) for a in arrays]).astype(float).clip(-50, 50)))
        k = int(scores.argmax())
        cell = (k // 2, 16) if k < 512 else ((k - 512) // 6, 8)
        best[name] = (scores[k], (cell[0] % cell[1] + 0.5) / cell[1], (cell[0] // cell[1] + 0.5) / cell[1])
    print("face: score {:.3f} at {:.2f}, {:.2f} of the picture; empty picture: {:.3f}".format(*best["face"], best["empty"][0]))
    return best["face"][0] > 0.75 > 0.5 > best["empty"][0]


def main(program, models, photo):
    with tempfile.TemporaryDirectory() as folder:
        fine = [text(program, models, folder), face(program, models, folder, photo)]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
