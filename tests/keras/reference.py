"""What Keras layers compute, written down plainly in numpy: the independent side of the tests of the Keras reader."""
import itertools
import math
import numpy as np


def tup(v, n):
    return (v,) * n if np.isscalar(v) else tuple(v)


def same_pads(size, k, s, d):
    out = -(-size // s)
    total = max((out - 1) * s + (k - 1) * d + 1 - size, 0)
    return total // 2, total - total // 2


def spatial_pads(x, k, s, d, padding):
    n = len(k)
    if padding == 'same':
        return [same_pads(x.shape[1 + i], k[i], s[i], d[i]) for i in range(n)]
    if padding == 'causal':
        return [((k[0] - 1) * d[0], 0)]
    return [(0, 0)] * n


def windows(x, k, s, d):
    """Yields (position, window) with the window as [batch, k..., channels]."""
    n = len(k)
    outs = [(x.shape[1 + i] - ((k[i] - 1) * d[i] + 1)) // s[i] + 1 for i in range(n)]
    for at in itertools.product(*map(range, outs)):
        cut = tuple(slice(a * s[i], a * s[i] + (k[i] - 1) * d[i] + 1, d[i]) for i, a in enumerate(at))
        yield at, x[(slice(None),) + cut], outs


def conv(x, w, b=None, strides=1, padding='valid', dilation=1, groups=1):
    n = w.ndim - 2
    k, s, d = w.shape[:n], tup(strides, n), tup(dilation, n)
    x = np.pad(x, [(0, 0)] + spatial_pads(x, k, s, d, padding) + [(0, 0)])
    y = None
    ci, co = w.shape[-2], w.shape[-1] // groups
    for at, win, outs in windows(x, k, s, d):
        if y is None:
            y = np.zeros((x.shape[0], *outs, w.shape[-1]))
        for g in range(groups):
            part = np.tensordot(win[..., g * ci:(g + 1) * ci], w[..., g * co:(g + 1) * co], n + 1)
            y[(slice(None),) + at + (slice(g * co, (g + 1) * co),)] = part
    return y if b is None else y + b


def depthwise(x, w, b=None, strides=1, padding='valid', dilation=1):
    n = w.ndim - 2
    k, s, d = w.shape[:n], tup(strides, n), tup(dilation, n)
    x = np.pad(x, [(0, 0)] + spatial_pads(x, k, s, d, padding) + [(0, 0)])
    y = None
    for at, win, outs in windows(x, k, s, d):
        if y is None:
            y = np.zeros((x.shape[0], *outs, w.shape[-2] * w.shape[-1]))
        v = (win[..., None] * w).sum(axis=tuple(range(1, n + 1)))
        y[(slice(None),) + at] = v.reshape(len(v), -1)
    return y if b is None else y + b


def conv_transpose(x, w, b=None, strides=1, padding='valid', dilation=1, output_padding=None):
    n = w.ndim - 2
    k, s, d = w.shape[:n], tup(strides, n), tup(dilation, n)
    span = [(k[i] - 1) * d[i] + 1 for i in range(n)]
    op = None if output_padding is None else tup(output_padding, n)
    out, front = [], []
    for i in range(n):
        size = x.shape[1 + i]
        if padding == 'same':
            length = size * s[i] if op is None else (size - 1) * s[i] + span[i] - 2 * (span[i] // 2) + op[i]
        else:
            length = size * s[i] + max(span[i] - s[i], 0) if op is None else (size - 1) * s[i] + span[i] + op[i]
        out.append(length)
        front.append(max((size - 1) * s[i] + span[i] - length, 0) // 2)
    full = np.zeros((x.shape[0], *[o + sp + 8 for o, sp in zip(out, span)], w.shape[-2]))
    for at in itertools.product(*[range(x.shape[1 + i]) for i in range(n)]):
        for tap in itertools.product(*map(range, k)):
            to = tuple(at[i] * s[i] + tap[i] * d[i] for i in range(n))
            if all(t < f for t, f in zip(to, full.shape[1:-1])):
                full[(slice(None),) + to] += x[(slice(None),) + at] @ w[tap].T
    y = full[(slice(None),) + tuple(slice(f, f + o) for f, o in zip(front, out))]
    return y if b is None else y + b


def pool(x, size, strides=None, padding='valid', mean=False):
    n = x.ndim - 2
    k = tup(size, n)
    s = k if strides is None else tup(strides, n)
    pads = [(0, 0)] + spatial_pads(x, k, s, (1,) * n, padding) + [(0, 0)]
    padded = np.pad(x.astype(float), pads, constant_values=np.nan)
    y = None
    for at, win, outs in windows(padded, k, s, (1,) * n):
        if y is None:
            y = np.zeros((x.shape[0], *outs, x.shape[-1]))
        axes = tuple(range(1, n + 1))
        y[(slice(None),) + at] = np.nanmean(win, axis=axes) if mean else np.nanmax(win, axis=axes)
    return y


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


erf = np.vectorize(math.erf)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


ACTIVATIONS = {
    'linear': lambda x: x, 'relu': lambda x: np.maximum(x, 0), 'relu6': lambda x: np.clip(x, 0, 6),
    'elu': lambda x: np.where(x > 0, x, np.expm1(x)), 'softplus': lambda x: np.log1p(np.exp(x)),
    'selu': lambda x: 1.05070098735548049341 * np.where(x > 0, x, 1.67326324235437728481 * np.expm1(x)),
    'softsign': lambda x: x / (1 + np.abs(x)), 'tanh': np.tanh, 'sigmoid': sigmoid, 'exponential': np.exp,
    'gelu': lambda x: x / 2 * (1 + erf(x / np.sqrt(2))), 'swish': lambda x: x * sigmoid(x), 'silu': lambda x: x * sigmoid(x),
    'mish': lambda x: x * np.tanh(np.log1p(np.exp(x))), 'softmax': softmax,
    'hard_sigmoid': lambda x: np.clip(0.2 * x + 0.5, 0, 1), 'hard_sigmoid_3': lambda x: np.clip(x / 6 + 0.5, 0, 1),
    'hard_silu': lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 'leaky_relu': lambda x: np.where(x > 0, x, 0.2 * x),
    'log_softmax': lambda x: np.log(softmax(x)), 'log_sigmoid': lambda x: -np.log1p(np.exp(-x)),
    'squareplus': lambda x: (x + np.sqrt(x * x + 4)) / 2, 'hard_tanh': lambda x: np.clip(x, -1, 1),
}


def layer_norm(x, gamma, beta, axes, eps):
    axes = tuple(a % x.ndim for a in axes)
    shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    m, v = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    y = (x - m) / np.sqrt(v + eps)
    if gamma is not None:
        y = y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def group_norm(x, gamma, beta, groups, eps):
    g = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    axes = tuple(range(1, x.ndim - 1)) + (x.ndim,)
    y = (g - g.mean(axis=axes, keepdims=True)) / np.sqrt(g.var(axis=axes, keepdims=True) + eps)
    return y.reshape(x.shape) * gamma + beta


def rnn(kind, x, w, u, b, act=np.tanh, gate=sigmoid, reset_after=True, backwards=False, h0=None, c0=None):
    """[batch, steps, features] -> sequence in order of computation, last state, last cell."""
    units = u.shape[0]
    h = np.zeros((len(x), units)) if h0 is None else h0
    c = np.zeros((len(x), units)) if c0 is None else c0
    out = []
    for t in (range(x.shape[1])[::-1] if backwards else range(x.shape[1])):
        xt = x[:, t]
        if kind == 'rnn':
            h = act(xt @ w + h @ u + b)
        elif kind == 'lstm':
            i, f, g, o = np.split(xt @ w + h @ u + b, 4, axis=1)
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
        else:
            bi, br = (b[0], b[1]) if b.ndim == 2 else (b, np.zeros_like(b))
            xz, xr, xh = np.split(xt @ w + bi, 3, axis=1)
            if reset_after:
                hz, hr, hh = np.split(h @ u + br, 3, axis=1)
                z, r = gate(xz + hz), gate(xr + hr)
                new = act(xh + r * hh)
            else:
                uz, ur, uh = np.split(u, 3, axis=1)
                z, r = gate(xz + h @ uz), gate(xr + h @ ur)
                new = act(xh + (r * h) @ uh)
            h = z * h + (1 - z) * new
        out.append(h)
    return np.stack(out, axis=1), h, c


def masked_rnn(kind, x, mask, w, u, b, backwards=False, zeros=False, **how):
    """As rnn(), but steps that do not count leave the state as it is and give the output before, or 0."""
    units = u.shape[0]
    out, h, c = np.zeros((len(x), x.shape[1], units)), np.zeros((len(x), units)), np.zeros((len(x), units))
    for r in range(len(x)):
        before = np.zeros(units)
        for k, t in enumerate(range(x.shape[1])[::-1] if backwards else range(x.shape[1])):
            if mask[r, t]:
                _, hn, cn = rnn(kind, x[r:r + 1, t:t + 1], w, u, b, h0=h[r:r + 1], c0=c[r:r + 1], **how)
                h[r], c[r], before = hn[0], cn[0], hn[0]
            out[r, k] = 0 if zeros and not mask[r, t] else before
    return out, h, c


def conv_lstm(x, w, u, b, strides, padding, act, gate, backwards=False):
    """[batch, steps, ...spatial, channels] -> sequence in order of computation, state, cell."""
    h = c = None
    out = []
    for t in (range(x.shape[1])[::-1] if backwards else range(x.shape[1])):
        z = conv(x[:, t], w, b, strides, padding)
        if h is None:
            h = c = np.zeros(z.shape[:-1] + (z.shape[-1] // 4,))
        i, f, g, o = np.split(z + conv(h, u, None, 1, 'same'), 4, axis=-1)
        c = gate(f) * c + gate(i) * act(g)
        h = gate(o) * act(c)
        out.append(h)
    return np.stack(out, 1), h, c


def resize(x, height, width, nearest):
    """tf.image.resize: centres of pixels."""
    def taps(n, m):
        at = (np.arange(m) + 0.5) * n / m
        if nearest:
            i = np.floor(at).astype(int).clip(0, n - 1)
            return i, i, np.zeros(m)
        at = at - 0.5
        lo = np.floor(at)
        return lo.clip(0, n - 1).astype(int), (lo + 1).clip(0, n - 1).astype(int), at - lo
    y0, y1, fy = taps(x.shape[1], height)
    x0, x1, fx = taps(x.shape[2], width)
    fy, fx = fy[None, :, None, None], fx[None, None, :, None]
    rows = lambda i: x[:, i][:, :, x0] * (1 - fx) + x[:, i][:, :, x1] * fx
    return rows(y0) * (1 - fy) + rows(y1) * fy
