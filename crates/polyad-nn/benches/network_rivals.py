"""Times image networks, forward and a training step, against PyTorch on the same cores, in one run, and prints ratios.

    python3 crates/polyad-nn/benches/network_rivals.py [--threads N] [--seconds S] [--rounds R] [--batches 1,12,240] [NETWORK..]

A step is forward and the gradients of all weights, in PyTorch eager and channels-last. Forward, PyTorch in three ways:
`eager`, `last` (channels-last), `frozen` (scripted, batch norms folded, frozen, optimised for inference). All four take
turns, R times; wall time is the best of all runs, processor time the best round's mean. A ratio is PyTorch's time over
ours: above 1 we are faster. The first ratios are of wall time, those in brackets of processor time, which is what counts
where others use the machine. PyTorch is installed into target/rivals-torch, unless the Python that runs this has it; both
sides' allocators keep memory.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "benches"))
from torch_rival import ROOT, measure, with_torch

CASES = {
    "resnet18": (224, 96),
    "resnet50": (224,),
    "alexnet": (224,),
    "vgg11": (224,),
    "lite0": (224,),
    "small": (96,),
    "builtin": (96,),
    "starnet-s050": (224, 96),
    "starnet-s1": (224,),
}
# As published, with a head of 1,000 classes.
PARAMETERS = {"starnet-s050": 542_728, "starnet-s1": 2_869_168}
STEPS = {
    "small": (96, 64),
    "builtin": (96, 64),
    "resnet18": (96, 16),
    "resnet50": (96, 16),
    "lite0": (96, 16),
    "alexnet": (224, 16),
    "vgg11": (224, 8),
}


def networks(torch):
    """The networks of polyad-nn in plain PyTorch, with random weights."""
    nn = torch.nn

    def norm_conv(i, o, k, stride=1, groups=1, act=None, eps=1e-5):
        parts = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o, eps)]
        return nn.Sequential(*parts, *([act()] if act else []))

    class Residual(nn.Module):
        def __init__(self, inner, around, act=True):
            super().__init__()
            self.inner, self.around = inner, around
            self.act = nn.ReLU(inplace=True) if act else nn.Identity()

        def forward(self, x):
            return self.act(self.inner(x) + self.around(x))

    def relu():
        return nn.ReLU(inplace=True)

    def relu6():
        return nn.ReLU6(inplace=True)

    def end():
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    def resnet(blocks, bottleneck):
        layers = [norm_conv(3, 64, 7, 2, act=relu), nn.MaxPool2d(3, 2, 1)]
        i = 64
        for stage, count in enumerate(blocks):
            w = 64 << stage
            o = 4 * w if bottleneck else w
            for index in range(count):
                s = 2 if stage and not index else 1
                if bottleneck:
                    parts = [norm_conv(i, w, 1, act=relu), norm_conv(w, w, 3, s, act=relu), norm_conv(w, o, 1)]
                else:
                    parts = [norm_conv(i, w, 3, s, act=relu), norm_conv(w, w, 3)]
                around = norm_conv(i, o, 1, s) if s > 1 or i != o else nn.Identity()
                layers.append(Residual(nn.Sequential(*parts), around))
                i = o
        return nn.Sequential(*layers, *end())

    def small(*widths):
        layers = [norm_conv(3, 32, 3, 2, act=relu)]
        for i, o in zip(widths, widths[1:]):
            inner = nn.Sequential(norm_conv(i, o, 3, 2, act=relu), norm_conv(o, o, 3))
            layers.append(Residual(inner, norm_conv(i, o, 1, 2)))
        return nn.Sequential(*layers, *end())

    def lite0():
        layers, i = [norm_conv(3, 32, 3, 2, act=relu6, eps=1e-3)], 32
        groups = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)]
        groups += [(3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
        for count, k, stride, wider, o in groups:
            for index in range(count):
                s, w = (1 if index else stride), i * wider
                parts = [norm_conv(i, w, 1, act=relu6, eps=1e-3)] if wider > 1 else []
                parts += [norm_conv(w, w, k, s, w, relu6, 1e-3), norm_conv(w, o, 1, eps=1e-3)]
                inner = nn.Sequential(*parts)
                layers.append(Residual(inner, nn.Identity(), False) if s == 1 and i == o else inner)
                i = o
        return nn.Sequential(*layers, norm_conv(i, 1280, 1, act=relu6, eps=1e-3), *end())

    def biased(i, o, k, stride=1, groups=1, norm=True):
        """StarNet's convolutions have biases, also before a norm."""
        conv = nn.Conv2d(i, o, k, stride, k // 2, groups=groups)
        return nn.Sequential(conv, nn.BatchNorm2d(o)) if norm else conv

    class Star(nn.Module):
        """relu6(first(x)) * second(x)"""

        def __init__(self, width, inside):
            super().__init__()
            self.first, self.second = (biased(width, inside, 1, norm=False) for _ in range(2))
            self.act = relu6()

        def forward(self, x):
            return self.act(self.first(x)) * self.second(x)

    def starnet(base, depths, ratio):
        layers, i = [biased(3, 32, 3, 2), relu6()], 32
        for stage, depth in enumerate(depths):
            w = base << stage
            layers.append(biased(i, w, 3, 2))
            for _ in range(depth):
                parts = [biased(w, w, 7, groups=w), Star(w, ratio * w), biased(ratio * w, w, 1)]
                inner = nn.Sequential(*parts, biased(w, w, 7, groups=w, norm=False))
                layers.append(Residual(inner, nn.Identity(), False))
            i = w
        return nn.Sequential(*layers, nn.BatchNorm2d(i), *end())

    def plain(convolutions, pool, side):
        layers = []
        for i, o, k, s, border, pooled in convolutions:
            layers += [nn.Conv2d(i, o, k, s, border), relu()] + ([nn.MaxPool2d(*pool)] if pooled else [])
        width = convolutions[-1][1] * side * side
        layers += [nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(width, 4096), relu(), nn.Linear(4096, 512), relu()]
        return nn.Sequential(*layers)

    def alexnet():
        sizes = [(3, 64, 11, 4, 2, 1), (64, 192, 5, 1, 2, 1), (192, 384, 3, 1, 1, 0), (384, 256, 3, 1, 1, 0)]
        return plain([*sizes, (256, 256, 3, 1, 1, 1)], (3, 2), 6)

    def vgg11():
        widths, pooled = [3, 64, 128, 256, 256, 512, 512, 512, 512], [1, 1, 0, 1, 0, 1, 0, 1]
        return plain([(i, o, 3, 1, 1, p) for i, o, p in zip(widths, widths[1:], pooled)], (2, 2), 7)

    return {
        "resnet18": lambda: resnet([2, 2, 2, 2], False),
        "resnet50": lambda: resnet([3, 4, 6, 3], True),
        "alexnet": alexnet,
        "vgg11": vgg11,
        "lite0": lite0,
        "small": lambda: small(32, 48, 96, 192),
        "builtin": lambda: small(32, 48, 96, 256),
        "starnet-s050": lambda: starnet(16, (1, 1, 3, 1), 3),
        "starnet-s1": lambda: starnet(24, (2, 2, 8, 3), 4),
    }


def check_parameters(torch, makers):
    """Stops where a network with a head of 1,000 classes would not have the published number of parameters."""
    for name, published in PARAMETERS.items():
        network = makers[name]().eval()
        features = network(torch.zeros(1, 3, 64, 64)).shape[1]
        found = sum(parameter.numel() for parameter in network.parameters()) + 1000 * (features + 1)
        if found != published:
            sys.exit(f"{name} has {found} parameters, {published} are published")


def variants(torch, make, x):
    """Name, and what to run."""
    model = make().eval()
    yield "eager", lambda: model(x)
    last = make().eval().to(memory_format=torch.channels_last)
    y = x.to(memory_format=torch.channels_last)
    yield "last", lambda: last(y)
    warnings.simplefilter("ignore", FutureWarning)  # of these three being superseded by what takes a compiler
    frozen = torch.jit.freeze(torch.jit.trace(model, x))
    frozen = torch.jit.optimize_for_inference(frozen)
    yield "frozen", lambda: frozen(x)


def steps(torch, make, x):
    """Name, and what to run: the gradients of a sum of squares."""
    for name, order in (("eager", torch.contiguous_format), ("last", torch.channels_last)):
        model, y = make().train().to(memory_format=order), x.to(memory_format=order)

        def run(model=model, y=y):
            with torch.enable_grad():
                model.zero_grad(set_to_none=True)
                model(y).square().sum().backward()

        yield name, run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", default="1,12,240")
    parser.add_argument("--bench", help="the built benchmark; cargo builds it otherwise")
    parser.add_argument("networks", nargs="*")
    args = parser.parse_args()
    with_torch()
    import torch

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    makers = networks(torch)
    check_parameters(torch, makers)
    command = [args.bench] if args.bench else ["cargo", "bench", "--workspace", "--locked", "--bench", "network", "--"]
    pipe = subprocess.PIPE
    env = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    ours = subprocess.Popen([*command, "serve"], cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True)

    def engine(name, batch, side):
        print(name, batch, side, args.seconds, file=ours.stdin, flush=True)
        return tuple(map(float, ours.stdout.readline().split()))

    def compare(head, name, batch, side, rivals):
        """`head` is what is asked of ours, and how the line begins."""
        best = {key: (float("inf"), float("inf")) for key in ["ours", *rivals]}
        for _ in range(args.rounds):
            turns = {"ours": engine(head + name, batch, side)}
            turns |= {key: measure(run, args.seconds) for key, run in rivals.items()}
            best = {key: tuple(map(min, best[key], turns[key])) for key in best}
        wall, processor = best["ours"]
        ratios = [f"{key} {best[key][0] / wall:5.2f} ({best[key][1] / processor:5.2f})" for key in rivals]
        line = f"{head + name:13} {side:4} batch {batch:4} {wall * 1e3:9.2f} ms ({processor * 1e3:9.2f})"
        print(line, *ratios, sep="  ", flush=True)

    print(f"PyTorch {torch.__version__}, {args.threads} threads; PyTorch's time over ours: wall (processor)")
    for name, sides in CASES.items():
        if args.networks and name not in args.networks:
            continue
        for side in sides:
            for batch in [int(batch) for batch in args.batches.split(",") if batch]:
                x = torch.randn(batch, 3, side, side)
                compare("", name, batch, side, dict(variants(torch, makers[name], x)))
    for name, (side, batch) in STEPS.items():
        if not args.networks or name in args.networks:
            x = torch.randn(batch, 3, side, side)
            compare("step ", name, batch, side, dict(steps(torch, makers[name], x)))
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
