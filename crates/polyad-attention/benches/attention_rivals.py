"""Times attention against PyTorch said in the best ways we know, in one run, and prints ratios.

    python3 crates/polyad-attention/benches/attention_rivals.py [SECONDS a line, 4 by default]

Order 3, forward alone and with backward: `rows` (for a block of queries, one matrix product of modulated queries, softmax,
one of weights; the best of three block sizes), `fused` (PyTorch's fused attention over n² modulated queries, merged by its
lse; forward only, since that lse has no gradient), `einsum` (naive; up to n 256), `compiled` (rows through torch.compile, if
it works). Order 2: PyTorch's fused attention. Both sides use all cores and take turns; each time is the best of several.
PyTorch is installed into target/rivals-torch, unless the Python that runs this has it.
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "benches"))
from torch_rival import ROOT, measure, with_torch

ROUNDS = 3


def rows(torch, block, visible=None):
    """`visible(first, last)` gives a mask [queries, last, last] for a block of queries that sees no later token."""

    def attention(q, k1, k2, v1, v2):
        n, d = q.shape
        out = []
        for first in range(0, n, block):
            own = q[first : first + block] * d**-0.5
            b = own.shape[0]
            m = n if visible is None else first + b
            modulated = (own[:, None, :] * k1[None, :m]).reshape(b * m, d)
            scores = (modulated @ k2[:m].T).reshape(b, m, m)
            if visible is not None:
                scores = scores.masked_fill(~visible(first, m), float("-inf"))
            weights = torch.softmax(scores.reshape(b, m * m), dim=1).reshape(b * m, m)
            out.append(((weights @ v2[:m]).reshape(b, m, d) * v1[None, :m]).sum(1))
        return torch.cat(out)

    return attention


def fused(torch):
    def attention(q, k1, k2, v1, v2):
        n, d = q.shape
        modulated = (q[:, None, :] * k1[None]).reshape(1, 1, n * n, d)
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(modulated, k2[None, None], v2[None, None])
        weights = torch.softmax(lse.reshape(n, n), dim=1).to(q.dtype)
        return (out.reshape(n, n, d) * v1[None] * weights[:, :, None]).sum(1)

    return attention


def einsum(torch):
    def attention(q, k1, k2, v1, v2):
        n, d = q.shape
        scores = torch.einsum("id,jd,kd->ijk", q * d**-0.5, k1, k2)
        weights = torch.softmax(scores.reshape(n, n * n), dim=1).reshape(n, n, n)
        return torch.einsum("ijk,jd,kd->id", weights, v1, v2)

    return attention


def both_ways(torch, attention, operands, gradient, seconds):
    """Seconds of forward, and of forward and backward together (None where there is no gradient)."""
    with torch.no_grad():
        forth = measure(lambda: attention(*operands), seconds)[0]
    if gradient is None:
        return forth, None
    inputs = [x.clone().requires_grad_() for x in operands]
    whole = measure(lambda: torch.autograd.grad(attention(*inputs), inputs, gradient), seconds)[0]
    return forth, whole


def order3(torch, n, d, dtype, causal, seconds):
    operands = [torch.randn(n, d, generator=torch.Generator().manual_seed(i)).to(dtype) for i in range(5)]
    gradient = torch.ones(n, d, dtype=dtype)
    visible = None
    if causal:
        order = torch.arange(n)

        def visible(first, last):
            own = order[first:last, None] >= order[None, :last]
            return own[:, :, None] & own[:, None, :]

    ways = [(f"rows {block}", rows(torch, block, visible), gradient) for block in (1, 8, 32)]
    if not causal:
        ways.append(("fused", fused(torch), None))
        if n <= 256:
            ways.append(("einsum", einsum(torch), gradient))
    if (n, d) == (256, 64) and dtype == torch.float32 and not causal:
        ways.append(("compiled", torch.compile(rows(torch, 32)), gradient))
    found = {}
    for name, attention, gradient in ways:
        try:
            found[name] = both_ways(torch, attention, operands, gradient, seconds / len(ways))
        except Exception as why:
            print(f"  missing: {name}: {str(why).splitlines()[0][:100]}")
    return found


def order2(torch, heads, n, d, causal, seconds):
    q, k, v = (torch.randn(1, heads, n, d, generator=torch.Generator().manual_seed(i)) for i in range(3))
    attention = lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return {"fused": both_ways(torch, attention, [q, k, v], torch.ones_like(q), seconds)}


def ours(binary):
    file = ROOT / "target" / "attention.json"
    subprocess.run([*binary, "--json", str(file)], check=True, stdout=subprocess.DEVNULL)
    return json.loads(file.read_text())


def bench():
    """The benchmark's program, built."""
    command = ["cargo", "bench", "--workspace", "--locked", "--bench", "attention", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    programs = [m["executable"] for m in messages if m.get("target", {}).get("name") == "attention" and m.get("executable")]
    return [programs[-1], "rivals"]


def main():
    with_torch()
    import torch

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    torch.set_num_threads(os.cpu_count())
    single, half = torch.float32, torch.bfloat16
    # The names of the lines of benches/attention.rs.
    lines = {f"dense n {n} d {d}": lambda n=n, d=d: order3(torch, n, d, single, False, seconds)
             for n, d in [(128, 32), (256, 64), (256, 128), (512, 64)]}
    for n, d, causal in [(128, 32, False), (256, 64, False), (256, 128, False), (512, 64, False), (256, 64, True)]:
        name = f"{'causal' if causal else 'dense'} n {n} d {d}, bfloat16"
        lines[name] = lambda n=n, d=d, causal=causal: order3(torch, n, d, half, causal, seconds)
    lines["causal n 256 d 64"] = lambda: order3(torch, 256, 64, single, True, seconds)
    for name, heads, causal in [("", 1, False), (", 8 heads", 8, False), (", 8 heads, causal", 8, True)]:
        lines[f"order 2 n 1024 d 64{name}"] = lambda heads=heads, causal=causal: order2(torch, heads, 1024, 64, causal, seconds)
    binary = bench()
    own, rivals, peaks = {}, {}, {"peak": 0.0, "half_peak": 0.0}
    for _ in range(ROUNDS):
        found = ours(binary)
        peaks = {kind: max(peak, found[kind]) for kind, peak in peaks.items()}
        for case in found["cases"]:
            forth, whole = own.get(case["name"], (float("inf"), float("inf")))
            own[case["name"]] = (min(forth, case["forward"]), min(whole, case["forward"] + case["backward"]))
        operations = {case["name"]: case["operations"] for case in found["cases"]}
        for name, line in lines.items():
            for way, (forth, whole) in line().items():
                before = rivals.setdefault(name, {}).get(way, (float("inf"), None if whole is None else float("inf")))
                rivals[name][way] = (min(before[0], forth), None if whole is None else min(before[1], whole))
    print(f"PyTorch {torch.__version__}, {os.cpu_count()} threads, peak {peaks['peak'] * 1e-9:.0f} GFLOP/s, of "
          f"bfloat16 {peaks['half_peak'] * 1e-9:.0f}")
    for name in lines:
        if name not in own:
            print(f"{name}: not measured here")
            continue
        ways, peak = rivals[name], peaks["half_peak" if "bfloat16" in name else "peak"]
        forth = min(ways, key=lambda way: ways[way][0])
        whole = min((way for way in ways if ways[way][1]), key=lambda way: ways[way][1])
        times = (own[name][0], ways[forth][0], own[name][1], ways[whole][1])
        print(
            f"{name:<32} forward {times[0] * 1e3:8.2f} ms, PyTorch {times[1] * 1e3:8.2f} ({forth}, "
            f"{100 * operations[name] / times[1] / peak:.0f} % of peak): {times[1] / times[0]:5.2f} times as fast; with "
            f"backward {times[2] * 1e3:8.2f} ms, PyTorch {times[3] * 1e3:8.2f} ({whole}): {times[3] / times[2]:5.2f} times"
        )
        print("   " + ", ".join(f"{way} {a * 1e3:.2f}" + (f" / {b * 1e3:.2f}" if b else "") for way, (a, b) in ways.items()))


if __name__ == "__main__":
    main()
