#!/usr/bin/python3
"""quantized-by-pytorch.py DIR: torchvision's resnet18 and mobilenet_v2 (random weights) quantized by PyTorch, graph mode (FX) and eager
mode, and exported to ONNX: conversions around each layer, weights of one scale a channel. Compare what hone and ONNX Runtime make of
them with bench/int8-layers-vs-onnxruntime.js DIR/*.onnx. Needs python3-torch and python3-torchvision."""
import os
import sys
import warnings

try:
    import torch
    import torchvision
    import torchvision.models.quantization as quantizable
    from torch.ao.quantization import convert, get_default_qconfig, get_default_qconfig_mapping, prepare
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
except ImportError:
    print("skipped: no torchvision")
    sys.exit(0)

warnings.filterwarnings("ignore")
torch.manual_seed(0)
torch.backends.quantized.engine = "qnnpack"


def images(n):
    return torch.rand(n, 3, 96, 96) * 4 - 2


def show(model, runs, n):
    with torch.no_grad():
        for _ in range(runs):
            model(images(n))


def export(model, name):
    path = f"{sys.argv[1]}/{name}.onnx"
    torch.onnx.export(model, images(1), path, opset_version=13, input_names=["x"], output_names=["y"])
    print(path)


os.makedirs(sys.argv[1], exist_ok=True)
for name in ("resnet18", "mobilenet_v2"):
    model = getattr(torchvision.models, name)(weights=None).train()
    show(model, 3, 8)  # statistics for batch normalization
    prepared = prepare_fx(model.eval(), get_default_qconfig_mapping("fbgemm"), (images(1),))
    show(prepared, 4, 4)
    export(convert_fx(prepared), f"{name}_fx")
    model = getattr(quantizable, name)(weights=None, quantize=False).train()
    show(model, 3, 8)
    model.eval().fuse_model()
    model.qconfig = get_default_qconfig("fbgemm")
    prepare(model, inplace=True)
    show(model, 4, 4)
    export(convert(model), f"{name}_eager")
