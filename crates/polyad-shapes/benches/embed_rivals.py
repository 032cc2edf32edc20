"""Shapes a second: the built-in model, from file to embedding, against ResNet-18 alone, with 12 views of 224 x 224, in PyTorch.

    python3 crates/polyad-shapes/benches/embed_rivals.py

The two take turns, three times, on all cores; the best of each counts. PyTorch is found or installed as `torch_rival.py`
in benches/ does it; the network comes from `network_rivals.py` of polyad-nn.
"""

import os
import pathlib
import re
import subprocess
import sys

CRATES = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CRATES.parent / "benches"), str(CRATES / "polyad-nn" / "benches")]
import network_rivals
from torch_rival import ROOT, measure, with_torch

ROUNDS = 3


def ours():
    """Shapes a second from file to embedding, and by the network alone."""
    command = ["cargo", "bench", "--workspace", "--locked", "--bench", "embed"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    part = text[text.index("built-in model") : text.index("default network")]
    whole = float(re.search(r"([\d.]+) shapes/s", part)[1])
    return whole, 1000 / float(re.search(r"network +([\d.]+) ms", part)[1])


def main():
    with_torch()
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_grad_enabled(False)
    x = torch.randn(12, 3, 224, 224)
    theirs = dict(network_rivals.variants(torch, network_rivals.networks(torch)["resnet18"], x))
    best, whole, alone = dict.fromkeys(theirs, 0.0), 0.0, 0.0
    for _ in range(ROUNDS):
        measured = ours()
        whole, alone = max(whole, measured[0]), max(alone, measured[1])
        for name, run in theirs.items():
            best[name] = max(best[name], 1 / measure(run, 2.0)[0])
    print(f"built-in model: {whole:.1f} shapes/s from file to embedding, {alone:.1f} by the network alone")
    for name, rate in best.items():
        print(f"ResNet-18, 12 views, {name:6}: {rate:5.2f} shapes/s; ours {whole / rate:.1f} times as many, {alone / rate:.1f} alone")


if __name__ == "__main__":
    main()
