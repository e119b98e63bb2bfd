#!/usr/bin/env python3
"""cold-start.py --ort libonnxruntime.so.1 [--hone PROGRAM] [--threads N] [--runs N] [--shape NAME=DIMS ...] MODEL.onnx ...

From the start of a process to the end of one that has computed its first result, and its peak resident memory: 'hone run'
on an engine against ONNX Runtime's C library on the model it was made from (first-result.c), by turns; medians.
With --batch the first dimension. The files are in the page cache for both."""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))


def run(argv, env=None):
    """Wall time in ms, peak resident MB, output."""
    r, w = os.pipe()
    start = time.monotonic()
    # not subprocess: its child would count this interpreter's memory
    pid = os.posix_spawn(argv[0], argv, env or os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, w, 1), (os.POSIX_SPAWN_CLOSE, r)])
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    _, status, usage = os.wait4(pid, 0)
    wall = (time.monotonic() - start) * 1e3
    if status:
        raise RuntimeError(f"{' '.join(argv[:3])} failed: {text[:200]}")
    return wall, usage.ru_maxrss / 1e3, text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ort", required=True)
    p.add_argument("--hone", default="build/release/hone")
    p.add_argument("--threads", default="1")
    p.add_argument("--runs", type=int, default=9)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--dims", action="append", default=[], metavar="NAME=N", help="value of a named dimension")
    p.add_argument("models", nargs="+")
    o = p.parse_args()
    named = dict(d.split("=") for d in o.dims)
    with tempfile.TemporaryDirectory() as work:
        peer = os.path.join(work, "first-result")
        subprocess.run(["cc", "-O2", os.path.join(HERE, "first-result.c"), "-ldl", "-o", peer], check=True)
        print(f"{o.threads} thread(s), batch {o.batch}, medians of {o.runs} runs by turns; times in ms, memory in MB\n")
        print("| model | hone | ONNX Runtime | share | hone MB | ONNX Runtime MB | share |\n|---|---|---|---|---|---|---|")
        for model in o.models:
            name = os.path.splitext(os.path.basename(model))[0]
            info = json.loads(subprocess.run([o.hone, "show", "--json", model], capture_output=True, text=True, check=True).stdout)
            shapes = []
            for t in info["inputs"]:
                dims = [d if isinstance(d, int) and d > 0 else int(named.get(str(d), o.batch if k == 0 else 0)) for k, d in
                        enumerate(t.get("shape") or t.get("dims"))]
                shapes.append(t["name"] + "=" + "x".join(map(str, dims)))
            engine = os.path.join(work, "m.hone")
            fixed = [f"--shape={s}" for s in shapes]
            subprocess.run([o.hone, "optimize", model, "-o", engine, f"--threads={o.threads}", "--no-verify", *fixed],
                           check=True, stdout=subprocess.DEVNULL)
            ours = [o.hone, "run", engine, f"--threads={o.threads}"]
            theirs = [peer, o.ort, model, o.threads, *shapes, "--", info["outputs"][0]["name"]]
            try:
                both = [(run(ours), run(theirs)) for _ in range(o.runs + 1)][1:]
            except RuntimeError as e:
                print(f"| {name} | {e} |")
                continue
            t = [statistics.median(b[k][0] for b in both) for k in (0, 1)]
            m = [statistics.median(b[k][1] for b in both) for k in (0, 1)]
            print(f"| {name} | {t[0]:.1f} | {t[1]:.1f} | {t[0] / t[1]:.2f} | {m[0]:.0f} | {m[1]:.0f} | {m[0] / m[1]:.2f} |", flush=True)


main()
