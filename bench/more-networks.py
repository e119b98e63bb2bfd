#!/usr/bin/env python3
"""more-networks.py DIR [NAME ...]

Networks that nothing here was tuned on, written as ONNX into DIR for vs-onnxruntime.js: torchvision's classifiers, segmentation, video
and detection, and small ones of kinds it has not (text, speech, images to images). Weights are random: the time does not depend on them.
Needs PyTorch and torchvision."""
import os, sys, warnings

import torch
import torchvision.models as zoo
from torch import nn

warnings.filterwarnings("ignore")


class Field(nn.Module):
    """One result of several."""

    def __init__(self, net, name):
        super().__init__()
        self.net, self.name = net, name

    def forward(self, x):
        return self.net(x)[self.name]


class Block(nn.Module):
    """A transformer's, attention spelled out as exports have it."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.before, self.between, self.up, self.down = nn.LayerNorm(d), nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = self.qkv(self.before(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-2, -1)) / (d // self.heads) ** 0.5
        a = torch.softmax(a.masked_fill(mask == 0, float("-inf")), -1)
        x = x + self.out((a @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.down(nn.functional.gelu(self.up(self.between(x))))


class Text(nn.Module):
    """causal: a decoder that says the next token; else an encoder that gives the mean of its tokens."""

    def __init__(self, tokens, t, d, heads, layers, causal):
        super().__init__()
        self.embed, self.blocks, self.causal = nn.Embedding(tokens, d), nn.ModuleList([Block(d, heads) for _ in range(layers)]), causal
        self.last, self.head = nn.LayerNorm(d), nn.Linear(d, tokens, bias=False) if causal else None
        self.register_buffer("mask", torch.tril(torch.ones(t, t)) if causal else torch.ones(t, t))

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.last(x)) if self.causal else x.mean(1)


class Speech(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(80, 256, 3, 2, 1), nn.GELU(), nn.Conv1d(256, 256, 3, 2, 1), nn.GELU())
        self.lstm, self.out = nn.LSTM(256, 256, 2, bidirectional=True, batch_first=True), nn.Linear(512, 128)

    def forward(self, x):
        return torch.log_softmax(self.out(self.lstm(self.conv(x).transpose(1, 2))[0]), -1)


class Unet(nn.Module):
    def __init__(self, c=32):
        super().__init__()
        two = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, 1, 1), nn.BatchNorm2d(o), nn.ReLU(), nn.Conv2d(o, o, 3, 1, 1), nn.BatchNorm2d(o), nn.ReLU())
        self.down = nn.ModuleList([two(3, c), two(c, 2 * c), two(2 * c, 4 * c), two(4 * c, 8 * c)])
        self.wider = nn.ModuleList([nn.ConvTranspose2d(8 * c, 4 * c, 2, 2), nn.ConvTranspose2d(4 * c, 2 * c, 2, 2), nn.ConvTranspose2d(2 * c, c, 2, 2)])
        self.up = nn.ModuleList([two(8 * c, 4 * c), two(4 * c, 2 * c), two(2 * c, c)])
        self.out, self.pool = nn.Conv2d(c, 1, 1), nn.MaxPool2d(2)

    def forward(self, x):
        kept = []
        for i, level in enumerate(self.down):
            x = level(self.pool(x) if i else x)
            kept.append(x)
        for i, level in enumerate(self.up):
            x = level(torch.cat([self.wider[i](x), kept[2 - i]], 1))
        return torch.sigmoid(self.out(x))


def generator():
    layers = []
    for i, o, stride, pad in [(100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)]:
        layers += [nn.ConvTranspose2d(i, o, 4, stride, pad, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh())


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.Sequential(*mirrored(c, c, 3), nn.ReLU(), *mirrored(c, c, 3))

    def forward(self, x):
        return x + self.net(x)


def mirrored(i, o, k, stride=1):
    return [nn.ReflectionPad2d(k // 2), nn.Conv2d(i, o, k, stride), nn.InstanceNorm2d(o, affine=True)]


def style():
    return nn.Sequential(*mirrored(3, 32, 9), nn.ReLU(), *mirrored(32, 64, 3, 2), nn.ReLU(), *mirrored(64, 128, 3, 2), nn.ReLU(),
                         *[Residual(128) for _ in range(5)], nn.Upsample(scale_factor=2), *mirrored(128, 64, 3), nn.ReLU(),
                         nn.Upsample(scale_factor=2), *mirrored(64, 32, 3), nn.ReLU(), nn.ReflectionPad2d(4), nn.Conv2d(32, 3, 9))


def larger():
    return nn.Sequential(nn.Conv2d(1, 64, 5, 1, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 32, 3, 1, 1), nn.ReLU(),
                         nn.Conv2d(32, 9, 3, 1, 1), nn.PixelShuffle(3))


def image(*size):
    return torch.randn(1, 3, *size)


CLASSIFIERS = ("mobilenet_v3_small mobilenet_v3_large mnasnet1_0 googlenet regnet_y_400mf regnet_x_400mf resnext50_32x4d convnext_tiny "
               "efficientnet_v2_s efficientnet_b3 swin_t alexnet").split()
NETS = {n: (lambda n=n: (getattr(zoo, n)(weights=None, **({"init_weights": False} if n == "googlenet" else {})), image(224, 224))) for n in CLASSIFIERS}
NETS |= {n: (lambda n=n: (Field(getattr(zoo.segmentation, n)(weights=None, weights_backbone=None), "out"), image(256, 256)))
         for n in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_resnet50")}
NETS |= {n: (lambda n=n: (getattr(zoo.video, n)(weights=None), image(8, 112, 112))) for n in ("r3d_18", "r2plus1d_18")}
NETS |= {n: (lambda n=n: (getattr(zoo.detection, n)(weights=None, weights_backbone=None), [torch.rand(3, 320, 320)]))
         for n in ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn")}
NETS |= {
    "decoder_64_tokens": lambda: (Text(5000, 64, 384, 6, 6, True), torch.randint(0, 5000, (1, 64))),
    "encoder_128_tokens": lambda: (Text(30522, 128, 384, 12, 6, False), torch.randint(0, 30522, (1, 128))),
    "speech_lstm": lambda: (Speech(), torch.randn(1, 80, 400)),
    "unet": lambda: (Unet(), image(256, 256)),
    "dcgan": lambda: (generator(), torch.randn(1, 100, 1, 1)),
    "style_transfer": lambda: (style(), image(224, 224)),
    "super_resolution": lambda: (larger(), torch.randn(1, 1, 224, 224)),
}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    torch.manual_seed(0)
    for name in sys.argv[2:] or NETS:
        path = os.path.join(sys.argv[1], name + ".onnx")
        if os.path.exists(path):
            continue
        net, x = NETS[name]()
        try:
            torch.onnx.export(net.eval(), x, path, opset_version=17)
        except Exception as e:  # an exporter that cannot is not ours
            print(f"{name}: {str(e).splitlines()[0][:120]}", file=sys.stderr)
            if os.path.exists(path):
                os.remove(path)


main()
