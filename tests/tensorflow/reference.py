"""What TensorFlow's operators compute, in numpy, written from their documentation; float32 where the rounding of positions matters."""
import numpy as np

F = np.float32


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


# ---- images: [batch, height, width, channels]

def scale_of(n, out, align):
    return F(n - 1) / F(out - 1) if align and out > 1 else F(n) / F(out)


def resize_nearest(x, size, align=False, centers=False):
    index = []
    for n, out in zip(x.shape[1:3], size):
        s = scale_of(n, out, align)
        at = [(F(i) + F(0.5)) * s if centers else F(i) * s for i in range(out)]
        index.append([min(n - 1, int(np.floor(a + F(0.5)) if align else np.floor(a))) for a in at])
    return x[:, index[0]][:, :, index[1]]


def resize_bilinear(x, size, align=False, centers=False):
    x = x.astype(np.float64)
    for axis, out in zip((1, 2), size):
        n = x.shape[axis]
        s = scale_of(n, out, align)
        rows = []
        for i in range(out):
            at = (F(i) + F(0.5)) * s - F(0.5) if centers else F(i) * s
            low, high = max(int(np.floor(at)), 0), min(int(np.ceil(at)), n - 1) if centers else min(int(np.floor(at)) + 1, n - 1)
            t = float(at - np.floor(at))
            low = min(low, n - 1)
            rows.append(np.take(x, low, axis) * (1 - t) + np.take(x, high, axis) * t)
        x = np.stack(rows, axis)
    return x


def cubic_row(n, out, i, align, centers):
    a = -0.5 if centers else -0.75
    s = scale_of(n, out, align)
    at = (F(i) + F(0.5)) * s - F(0.5) if centers else F(i) * s
    low = int(np.floor(at))
    step = int(np.rint((at - F(low)) * F(1024)))

    def near(k):
        t = k / 1024
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(k):
        t = k / 1024 + 1
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    row = np.zeros(n)
    total = 0
    for k, w in zip(range(low - 1, low + 3), (far(step), near(step), near(1024 - step), far(1024 - step))):
        inside = min(max(k, 0), n - 1)
        if centers and inside != k:
            continue
        row[inside] += w
        total += w
    return row / total if centers else row


def resize_bicubic(x, size, align=False, centers=False):
    for axis, out in zip((1, 2), size):
        w = np.stack([cubic_row(x.shape[axis], out, i, align, centers) for i in range(out)])
        x = np.moveaxis(np.tensordot(w, x.astype(np.float64), (1, axis)), 0, axis)
    return x


def resize_area(x, size, align=False):
    for axis, out in zip((1, 2), size):
        n = x.shape[axis]
        s = float(scale_of(n, out, align))
        w = np.zeros((out, n))
        for i in range(out):
            start, end = F(i) * F(s), F(i + 1) * F(s)
            for k in range(int(np.floor(start)), int(np.ceil(end))):
                w[i, min(max(k, 0), n - 1)] += (min(float(end), k + 1) - max(float(start), k)) / s
        x = np.moveaxis(np.tensordot(w, x.astype(np.float64), (1, axis)), 0, axis)
    return x


def crop_and_resize(image, boxes, which, size, method='bilinear', outside=0.0):
    h, w, c = image.shape[1:]
    out = np.full((len(boxes), size[0], size[1], c), outside, np.float64)

    def position(a, b, n, i, last):  # in float32, in this order: halves are decided by it
        return a * F(last) + F(i) * ((b - a) * F(last) / F(n - 1)) if n > 1 else F(0.5) * (a + b) * F(last)
    for b, (y1, x1, y2, x2) in enumerate(boxes.astype(F)):
        for i in range(size[0]):
            y = position(y1, y2, size[0], i, h - 1)
            if y < 0 or y > h - 1:
                continue
            for j in range(size[1]):
                x = position(x1, x2, size[1], j, w - 1)
                if x < 0 or x > w - 1:
                    continue
                p = image[which[b]].astype(np.float64)
                if method == 'nearest':
                    out[b, i, j] = p[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))]
                    continue
                t, l = int(np.floor(y)), int(np.floor(x))
                d, r = int(np.ceil(y)), int(np.ceil(x))
                top, bottom = p[t, l] + (p[t, r] - p[t, l]) * (x - l), p[d, l] + (p[d, r] - p[d, l]) * (x - l)
                out[b, i, j] = top + (bottom - top) * (y - t)
    return out


def same_pads(n, window, stride):
    out = -(-n // stride)
    more = max((out - 1) * stride + window - n, 0)
    return out, more // 2, more - more // 2


def image_patches(x, k, s, r, padding):
    rows = []
    for axis in (1, 2):
        extent = (k[axis - 1] - 1) * r[axis - 1] + 1
        if padding == 'SAME':
            out, a, b = same_pads(x.shape[axis], extent, s[axis - 1])
            pads = [(0, 0)] * 4
            pads[axis] = (a, b)
            x = np.pad(x, pads)
        else:
            out = (x.shape[axis] - extent) // s[axis - 1] + 1
        rows.append(out)
    out = np.zeros((x.shape[0], rows[0], rows[1], k[0] * k[1] * x.shape[3]), x.dtype)
    for i in range(rows[0]):
        for j in range(rows[1]):
            parts = [x[:, i * s[0] + a * r[0], j * s[1] + b * r[1]] for a in range(k[0]) for b in range(k[1])]
            out[:, i, j] = np.concatenate(parts, -1)
    return out


# ---- boxes

def iou(a, b):
    a = [min(a[0], a[2]), min(a[1], a[3]), max(a[0], a[2]), max(a[1], a[3])]
    b = [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]
    area, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    if area <= 0 or other <= 0:
        return 0.0
    both = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return both / (area + other - both)


def nms(boxes, scores, most, overlap=0.5, threshold=-np.inf):
    """Highest first, of equal scores the first."""
    chosen = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if len(chosen) < most and scores[i] > threshold and all(iou(boxes[i], boxes[j]) <= overlap for j in chosen):
            chosen.append(i)
    return np.array(chosen, np.int32)


def soft_nms(boxes, scores, most, threshold, sigma):
    """Each box that is picked lowers the scores of all others at once; the highest is next."""
    left, chosen, kept = scores.astype(np.float64), [], []
    while len(chosen) < most and left.max() > threshold:
        i = int(left.argmax())
        chosen.append(i)
        kept.append(left[i])
        left = left * [np.exp(-iou(b.astype(np.float64), boxes[i].astype(np.float64)) ** 2 / (2 * sigma)) for b in boxes]
        left[chosen] = -np.inf
    return np.array(chosen, np.int32), np.array(kept, F)


def combined_nms(boxes, scores, per_class, total, overlap, threshold, pad_per_class=False, clip=True):
    batch, n, q = boxes.shape[:3]
    classes = scores.shape[2]
    size = min(total, per_class * classes) if pad_per_class else total
    out = np.zeros((batch, size, 4), F), np.zeros((batch, size), F), np.zeros((batch, size), F), np.zeros(batch, np.int32)
    for b in range(batch):
        found = []
        for c in range(classes):
            of = boxes[b, :, c if q > 1 else 0]
            found += [(scores[b, i, c], c, of[i]) for i in nms(of, scores[b, :, c], per_class, overlap, threshold)]
        found = sorted(found, key=lambda f: -f[0])[:size]
        for k, (s, c, box) in enumerate(found):
            out[0][b, k], out[1][b, k], out[2][b, k] = np.clip(box, 0, 1) if clip else box, s, c
        out[3][b] = len(found)
    return out


# ---- recurrent cells

def lstm_cell(x, cs, h, w, b, peephole=None, forget=1.0, clip=0.0, order='icfo'):
    n = b.size // 4
    g = np.concatenate([x, h], 1).astype(np.float64) @ w + b
    part = {k: g[:, i * n:(i + 1) * n] for i, k in enumerate(order)}
    wci, wcf, wco = peephole or (0, 0, 0)
    i, f = sigmoid(part['i'] + cs * wci), sigmoid(part['f'] + forget + cs * wcf)
    ci = np.tanh(part['c'])
    next_cs = ci * i + cs * f
    if clip > 0:
        next_cs = np.clip(next_cs, -clip, clip)
    o = sigmoid(part['o'] + next_cs * wco)
    co = np.tanh(next_cs)
    return i, next_cs, f, o, ci, co, co * o


def block_lstm(length, x, cs, h, *cell, **how):
    out = [np.zeros((x.shape[0],) + cs.shape) for _ in range(7)]
    for t in range(min(length, x.shape[0])):
        step = lstm_cell(x[t], cs, h, *cell, **how)
        cs, h = step[1], step[6]
        for o, s in zip(out, step):
            o[t] = s
    return out


def gru_cell(x, h, w_ru, w_c, b_ru, b_c):
    n = h.shape[1]
    ru = sigmoid(np.concatenate([x, h], 1) @ w_ru + b_ru)
    r, u = ru[:, :n], ru[:, n:]
    c = np.tanh(np.concatenate([x, r * h], 1) @ w_c + b_c)
    return r, u, c, u * h + (1 - u) * c


# ---- numbers

def fake_quant(x, low, high, bits=8, narrow=False):
    least, most = 1 if narrow else 0, 2 ** bits - 1
    low, high = F(low), F(high)
    if low == 0 and high == 0:
        return np.zeros_like(x, F)
    scale = (high - low) / F(most - least)
    zero = F(least) - low / scale
    zero = F(least) if zero < least else F(most) if zero > most else np.floor(zero + F(0.5))
    low, high = (F(least) - zero) * scale, (F(most) - zero) * scale
    return np.floor((np.clip(x.astype(F), low, high) - low) * (F(1) / scale) + F(0.5)) * scale + low


def conv(x, w, stride=1, padding='SAME', depthwise=False):
    kh, kw = w.shape[:2]
    pads = [(0, 0)] * 4
    out = []
    for axis, k in ((1, kh), (2, kw)):
        if padding == 'SAME':
            o, a, b = same_pads(x.shape[axis], k, stride)
            pads[axis] = (a, b)
        else:
            o = (x.shape[axis] - k) // stride + 1
        out.append(o)
    x = np.pad(x.astype(np.float64), pads)
    y = 0
    for i in range(kh):
        for j in range(kw):
            part = x[:, i:i + (out[0] - 1) * stride + 1:stride, j:j + (out[1] - 1) * stride + 1:stride]
            y = y + ((part[..., None] * w[i, j]).reshape(part.shape[:3] + (-1,)) if depthwise else part @ w[i, j])
    return y
