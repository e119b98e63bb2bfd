#!/usr/bin/python3
"""gpu-vs-peers.py [--hone PROGRAM] [--runs N] [--rounds N] [--peak TFLOPS] [FOLDER]

On a machine with an NVIDIA GPU: latency of hone's CUDA device in FP16 against PyTorch eager (FP16, channels_last),
torch.compile and ONNX Runtime's CUDA provider, by turns in one process; medians in milliseconds, and the share of the
card's peak (--peak: TFLOP/s of its tensor cores in FP16) that hone reaches. ResNet-50 at batch 1, 8 and 64, Inception v3,
ViT-B/16 and, where `transformers` is installed, BERT-base at sequence 128, all with random weights; FOLDER keeps the models.
Then an SSD-like graph with its NonMaxSuppression on the CPU, on the GPU and where `--place=auto` puts it, with the copies that
`hone place` counts. Skips, saying why, what is not there."""
import argparse, json, os, statistics, subprocess, sys, tempfile, time


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


try:
    import torch
except ImportError:
    skip("PyTorch is not installed")
if not torch.cuda.is_available():
    skip("PyTorch finds no CUDA device")
try:
    import torchvision
except ImportError:
    skip("torchvision is not installed")


def hone(o, *args):
    r = subprocess.run([o.hone, *args], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError((r.stderr.strip() or r.stdout.strip()).split("\n")[0])
    return r.stdout


def median_ms(run, runs):
    """CUDA work is over when the device is: synchronized around every run."""
    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


class Bert(torch.nn.Module):
    """The pooled output alone."""
    def __init__(self):
        super().__init__()
        from transformers import BertConfig, BertModel
        self.net = BertModel(BertConfig())
    def forward(self, ids):
        return self.net(ids)[1]


def cases():
    """name, module, input"""
    image = lambda n, size: torch.randn(n, 3, size, size)
    for batch in (1, 8, 64):
        yield f"resnet50 batch {batch}", torchvision.models.resnet50(weights=None), image(batch, 224)
    yield "inception_v3", torchvision.models.inception_v3(weights=None, init_weights=False, aux_logits=False), image(1, 299)
    yield "vit_b_16", torchvision.models.vit_b_16(weights=None), image(1, 224)
    try:
        import transformers
        yield "bert-base 128", Bert(), torch.randint(0, 30000, (1, 128))
    except ImportError:
        print("skipped: bert-base: transformers is not installed")


def export(module, x, path):
    if not os.path.exists(path):
        torch.onnx.export(module, (x,), path, input_names=["x"], output_names=["y"], opset_version=17)


def eager(module, x):
    module, x = module.half().cuda(), x.cuda()
    if x.is_floating_point():
        x = x.half()
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
            module = module.to(memory_format=torch.channels_last)
    def run():
        with torch.inference_mode():
            module(x)
    return module, x, run


def compiled(module, x):
    fast = torch.compile(module, mode="max-autotune")
    def run():
        with torch.inference_mode():
            fast(x)
    return run


def onnxruntime(path, x, work):
    """FP16 by its own converter; data stay on the device."""
    import onnx, onnxruntime as ort
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise RuntimeError("ONNX Runtime has no CUDA here")
    from onnxconverter_common import float16
    half = os.path.join(work, "half.onnx")
    onnx.save(float16.convert_float_to_float16(onnx.load(path), keep_io_types=True), half)
    s = ort.InferenceSession(half, providers=["CUDAExecutionProvider"])
    b = s.io_binding()
    b.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x.numpy(), "cuda", 0))
    b.bind_output("y", "cuda")
    return lambda: s.run_with_iobinding(b)


def hone_ms(o, engine):
    r = json.loads(hone(o, "bench", engine, "--device=cuda", f"--runs={o.runs}", "--json"))
    return r["models"][0]["latency_ms"]["median"]


def bench(o, name, module, x):
    path = os.path.join(o.folder, name.replace(" ", "-") + ".onnx")
    module = module.eval()
    export(module, x, path)
    with tempfile.TemporaryDirectory() as work:
        engine = os.path.join(work, "m.hone")
        hone(o, "optimize", path, "--precision=f16", "--tune=off", "-o", engine)
        macs = json.loads(hone(o, "show", engine, "--json"))["stats"]["macs"] * x.shape[0]
        peers, why = {}, []
        half, xh, peers["eager"] = eager(module, x)
        for title, make in (("compile", lambda: compiled(half, xh)), ("ort", lambda: onnxruntime(path, x, work))):
            try:
                peers[title] = make()
                peers[title]()
            except Exception as e: # what a peer cannot do is said, not hidden
                peers.pop(title, None)
                why.append(f"{title}: {str(e).splitlines()[0][:90]}")
        for run in peers.values():
            for _ in range(10):
                run()
        rounds = {k: [] for k in ["hone", *peers]}
        for _ in range(o.rounds):
            rounds["hone"].append(hone_ms(o, engine))
            for k, run in peers.items():
                rounds[k].append(median_ms(run, o.runs))
        ms = {k: statistics.median(v) for k, v in rounds.items()}
    best = min(v for k, v in ms.items() if k != "hone")
    share = f"{2e-9 * macs / ms['hone'] / o.peak:.0%}" if macs and o.peak else ""
    cells = [f"{ms[k]:.3f}" if k in ms else "" for k in ("hone", "eager", "compile", "ort")]
    print(f"| {name} | {' | '.join(cells)} | {ms['hone'] / best:.2f} | {share} |", *[f"  ({w})" for w in why], flush=True)
    return ms["hone"] / best


class Ssd(torch.nn.Module):
    """A backbone, boxes and scores, and their non-maximum suppression."""
    def __init__(self):
        super().__init__()
        net = torchvision.models.mobilenet_v2(weights=None).features
        self.net, self.boxes, self.scores = net, torch.nn.Conv2d(1280, 4 * 24, 1), torch.nn.Conv2d(1280, 24, 1)
    def forward(self, x):
        f = self.net(x)
        boxes = self.boxes(f).sigmoid().reshape(-1, 4)
        corners = torch.cat([boxes[:, :2] * 0.5, boxes[:, :2] * 0.5 + boxes[:, 2:] * 0.5], 1)
        return torchvision.ops.nms(corners, self.scores(f).sigmoid().reshape(-1), 0.5)


def placement(o):
    path = os.path.join(o.folder, "ssd.onnx")
    if not os.path.exists(path):
        torch.onnx.export(Ssd().eval(), (torch.randn(1, 3, 320, 320),), path, input_names=["x"], output_names=["kept"], opset_version=17)
    print("\nNonMaxSuppression of an SSD-like graph\n")
    for title, rules in (("on the GPU", []), ("on the CPU", ["--place=NonMaxSuppression=cpu"]), ("auto", ["--place=auto"])):
        trace = os.path.join(o.folder, f"ssd-{title.split()[-1].lower()}.json")
        hone(o, "profile", path, "--device=cuda", *rules, "-o", trace, f"--runs={o.runs}")
        print(f"{title}: trace {trace}")
        print(hone(o, "place", path, "--device=cuda", *rules))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--runs", type=int, default=50)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--peak", type=float, default=0, metavar="TFLOPS")
    p.add_argument("folder", nargs="?", default="gpu-models")
    o = p.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    if "cuda:0" not in hone(o, "devices") or "cuda:0  no" in hone(o, "devices"):
        skip("hone has no CUDA device here: " + next((l for l in hone(o, "devices").split("\n") if l.startswith("cuda")), "none is listed"))
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, FP16; {o.rounds} x {o.runs} runs, by turns; bar: hone / best at most 0.8\n")
    print("| model | hone ms | PyTorch eager | torch.compile | ONNX Runtime | hone / best | of peak |\n|---|---|---|---|---|---|---|")
    ratios = [bench(o, *c) for c in cases()]
    print(f"\nat most 0.8: {sum(r <= 0.8 for r in ratios)} of {len(ratios)}")
    placement(o)


if __name__ == "__main__":
    main()
