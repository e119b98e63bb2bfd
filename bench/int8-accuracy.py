#!/usr/bin/python3
"""int8-accuracy.py [--hone PROGRAM] [--models DIR] [--photos DIR] [--keys FILE] [--crops N] [--options '...'] [--only NAME,...]

What 8 bits cost trained networks, with hone's own settings (`hone optimize --precision=int8 --calibrate=...`) and examples that
were not calibrated with:
  - image classifiers (Keras InceptionV3 and MobileNetV2): the share of random crops of photographs with the same best class,
    and the least cosine of the outputs over all crops together and of any one of them;
  - BlazeFace: the cosines of its outputs on crops;
  - PP-OCRv4: a drawn page goes through detector, crops, recognizer and dictionary (KEYS, ppocr_keys_v1.txt); the text read
    in floats and in 8 bits, and the cosines of both networks' outputs. Calibrated with pages of other words and fonts.
Needs python3-pil and python3-numpy.
"""
import argparse
import glob
import os
import random
import shlex
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from regions import components

FONTS = ["DejaVuSans.ttf", "DejaVuSerif.ttf", "LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf"]
WORDS = ("time year people way day man thing woman life child world school state family student group country problem hand part "
         "place case week company system program question work government number night point home water room mother area money "
         "story fact month lot right study book eye job word business issue side kind head house service friend father power hour "
         "game line end member law car city name team minute idea body back parent face level office door health art war").split()
PAGE = ["Make it fast", "prove it is still right", "convolution bias activation", "one pass one file", "measure twice, cut once",
        "INT8 and FP32 read the same", "Invoice no. 20481-77", "Total: 1,249.50 EUR"]


def hone(program, *args):
    r = subprocess.run([program, *args], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{' '.join(args)}\n{r.stderr.strip()}")
    return r.stdout


def cosine(a, b):
    a, b = a.astype(float).ravel(), b.astype(float).ravel()
    n = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / n) if n > 0 else 1.0


def crops(photos, folder, n, size, seed):
    """Random squares of random photographs, a quarter to the whole of the shorter side, some mirrored."""
    os.makedirs(folder, exist_ok=True)
    r = random.Random(seed)
    images = [Image.open(p).convert("RGB") for p in sorted(glob.glob(f"{photos}/*.jpg") + glob.glob(f"{photos}/*.bmp"))]
    out = []
    for i in range(n):
        image = images[i % len(images)]
        side = int(min(image.size) * r.uniform(0.25, 1))
        x, y = r.randint(0, image.width - side), r.randint(0, image.height - side)
        crop = image.crop((x, y, x + side, y + side)).resize((size, size), Image.BILINEAR)
        if r.random() < 0.5:
            crop = crop.transpose(Image.FLIP_LEFT_RIGHT)
        crop.save(f"{folder}/{i:03}.png")
        out.append(np.asarray(crop))
    return np.stack(out)


def run(program, model, folder, name, array, *options):
    """Outputs of one run on an array, by name."""
    source, out = f"{folder}/x.npy", f"{folder}/out"
    np.save(source, array)
    subprocess.run(["rm", "-rf", out])
    hone(program, "run", model, f"--input={name}={source}" if name else f"--input={source}", "--output-dir", out, "--threads=1", *options)
    return {os.path.basename(p)[:-4]: np.load(p) for p in sorted(glob.glob(f"{out}/*.npy"))}


def both(o, model, folder, calibrate, *options):
    """The model in floats and in 8 bits, as files."""
    names = [f"{folder}/f32.hone", f"{folder}/int8.hone"]
    hone(o.hone, "optimize", model, "-o", names[0], "--tune=off", "--no-verify", f"--threads={o.threads}", *options)
    text = hone(o.hone, "optimize", model, "-o", names[1], "--tune=off", "--no-verify", "--precision=int8", f"--calibrate={calibrate}", f"--threads={o.threads}", *options,
                *shlex.split(o.options))
    layers = [l.split(":")[0] for l in text.splitlines() if " layers quantized: " in l and not l.startswith("all ")]
    return names, layers[0].strip() if layers else ""


def classifier(o, model, size, folder):
    crops(o.photos, f"{folder}/a", o.crops, size, 1)
    x = crops(o.photos, f"{folder}/b", o.crops, size, 2).astype(np.float32) / 255
    names, note = both(o, model, folder, f"{folder}/a")
    want, got = [np.concatenate([list(run(o.hone, n, folder, None, x[i:i + 10]).values())[0] for i in range(0, len(x), 10)]) for n in names]
    same = (want.argmax(1) == got.argmax(1)).mean()
    each = [cosine(a, b) for a, b in zip(want, got)]
    return same >= 0.98 and min(each) >= 0.99, f"same best class {100 * same:.1f} % of {len(x)}, cosine {cosine(want, got):.5f}, least {min(each):.5f}; {note}"


def detector_of_faces(o, model, folder):
    crops(o.photos, f"{folder}/a", o.crops, 256, 1)
    x = crops(o.photos, f"{folder}/b", o.crops, 256, 2).astype(np.float32) / 127.5 - 1
    names, note = both(o, model, folder, f"{folder}/a", "--mean=0.5", "--std=0.5")
    want, got = [[run(o.hone, n, folder, None, x[i:i + 1]) for i in range(len(x))] for n in names]
    total = {k: cosine(np.stack([w[k] for w in want]), np.stack([g[k] for g in got])) for k in want[0]}
    each = min(cosine(w[k], g[k]) for w, g in zip(want, got) for k in w)
    return min(total.values()) >= 0.99, f"cosine {min(total.values()):.5f} (the worst output's), least {each:.5f}; {note}"


def draw_page(lines, font, size, place):
    image = Image.new("RGB", (640, 640), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font, size)
    for i, line in enumerate(lines):
        draw.text((30 + place(20), 20 + i * 600 // len(lines) + place(10)), line, "black", font)
    return image


def pages(folder, n, seed):
    os.makedirs(f"{folder}/pages", exist_ok=True)
    os.makedirs(f"{folder}/lines", exist_ok=True)
    r = random.Random(seed)
    for i in range(n):
        lines = [" ".join(r.choice(WORDS) if r.random() < 0.8 else str(r.randint(0, 99999)) for _ in range(r.randint(1, 4))) for _ in range(r.randint(4, 9))]
        lines = [r.choice((str, str.capitalize, str.upper))(l) for l in lines]
        font, size = r.choice(FONTS), r.randint(22, 34)
        draw_page(lines, font, size, lambda k: r.randint(0, k)).save(f"{folder}/pages/{i:03}.png")
        f = ImageFont.truetype(font, size)
        for k, line in enumerate(lines[:3]):
            box = f.getbbox(line)
            image = Image.new("RGB", (box[2] + 12, box[3] + 10), "white")
            ImageDraw.Draw(image).text((6, 4), line, "black", f)
            line_of(image).save(f"{folder}/lines/{i:03}-{k}.png")


def line_of(image, width=320):
    """48 high, as the recognizer reads it, white to the right."""
    w = min(width, max(1, round(image.width * 48 / image.height)))
    out = Image.new("RGB", (width, 48), "white")
    out.paste(image.resize((w, 48), Image.BILINEAR), (0, 0))
    return out


def regions(mask):
    large = [b for b in components(mask) if (b[2] - b[0]) * (b[3] - b[1]) > 100]
    return sorted(large, key=lambda b: b[1])


def bgr(image, mean, std):
    x = np.asarray(image).astype(np.float32)[..., ::-1] / 255
    return ((x - mean) / std).transpose(2, 0, 1)[None].astype(np.float32).copy()


def read_page(o, det, rec, folder, page, keys, crops_of=None):
    """Text lines, the detector's map, the recognizer's outputs on the crops."""
    score = list(run(o.hone, det, folder, "x", bgr(page, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])).values())[0]
    text, outputs, boxes = [], [], regions(score[0, 0] > 0.3)
    for b in crops_of or boxes:
        h = b[3] - b[1]
        crop = line_of(page.crop((max(0, b[0] - int(0.8 * h)), max(0, b[1] - int(0.45 * h)), b[2] + int(0.8 * h), b[3] + int(0.45 * h))))
        p = list(run(o.hone, rec, folder, "x", bgr(crop, 0.5, 0.5)).values())[0][0]
        best, line, last = p.argmax(1), "", 0
        for k in best:
            if k and k != last:
                line += keys[k - 1]
            last = k
        text.append(line)
        outputs.append(p)
    return text, score, outputs, boxes


def reading(o, folder):
    keys = [l.rstrip("\n") for l in open(o.keys, encoding="utf-8")] + [" "]
    pages(folder, 40, 1)
    det, d_note = both(o, f"{o.models}/onnx/ch_PP-OCRv4_det_infer.onnx", folder, f"{folder}/pages", "--shape=1x3x640x640", "--colour=bgr",
                       "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225")
    os.makedirs(f"{folder}/r")
    rec, r_note = both(o, f"{o.models}/onnx/ch_PP-OCRv4_rec_infer.onnx", f"{folder}/r", f"{folder}/lines", "--shape=1x3x48x320", "--colour=bgr",
                       "--mean=0.5", "--std=0.5")
    page = draw_page(PAGE, "DejaVuSans.ttf", 30, lambda k: 0)
    want, score, outputs, boxes = read_page(o, det[0], rec[0], folder, page, keys)
    got, low, _, _ = read_page(o, det[1], rec[1], folder, page, keys)
    _, _, same_crops, _ = read_page(o, det[0], rec[1], folder, page, keys, boxes)
    each = [cosine(a, b) for a, b in zip(outputs, same_crops)]
    for a, b in zip(want, got):
        if a != b:
            print(f"  {a!r} became {b!r}")
    right = [a.replace(" ", "") for a in want] == [a.replace(" ", "") for a in PAGE]
    c = cosine(score, low), cosine(np.concatenate(outputs), np.concatenate(same_crops))
    print(f"  floats read {'the page as drawn' if right else want}; {len(want)} lines, {sum(map(len, want))} characters")
    return want == got and min(c) >= 0.99, (f"text {'unchanged' if want == got else 'CHANGED'}; detector: cosine {c[0]:.5f}; {d_note}\n"
                                             f"  recognizer: cosine {c[1]:.5f}, least {min(each):.5f}; {r_note}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hone", "build/release/hone"), ("models", "build/models"), ("photos", "../shared/data/images"), ("keys", ""), ("options", ""), ("threads", "1"),
                          ("only", "mobilenet_v2,inception_v3,blazeface,ocr")):
        p.add_argument(f"--{name}", default=default)
    p.add_argument("--crops", type=int, default=100)
    o = p.parse_args()
    cases = {"mobilenet_v2": lambda f: classifier(o, f"{o.models}/keras/nsfw_mobilenet_v2.h5", 224, f),
             "inception_v3": lambda f: classifier(o, f"{o.models}/keras/nsfw_inception_v3.h5", 299, f),
             "blazeface": lambda f: detector_of_faces(o, f"{o.models}/onnx/face_detection_back_256x256_barracuda.onnx", f),
             "ocr": lambda f: reading(o, f)}
    fine = True
    for name in o.only.split(","):
        if name == "ocr" and not o.keys:
            print("ocr: skipped: --keys is not given")
            continue
        with tempfile.TemporaryDirectory() as folder:
            good, text = cases[name](folder)
        print(f"{name}: {'' if good else 'NOT WITHIN THE BARS: '}{text}", flush=True)
        fine = fine and good
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
