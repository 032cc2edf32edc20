"""Times PyTorch's softmax attention of one head against the number of tokens; the benchmark `pairwise` starts it.

    python3 pairwise_rivals.py THREADS CHANNELS SECONDS PATIENCE TOKENS..

Prints a line for attention alone and one for attention with its four linear maps: a name, a colon, and seconds of the
best run for each number of tokens, up to where a run would take longer than PATIENCE. Any Python with PyTorch will do.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "benches"))
from torch_rival import keep_memory, measure

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(f"{sys.executable} has no PyTorch, so nothing is compared; PYTHON may name one that has")


def alone(channels):
    def make(tokens):
        q, k, v = torch.randn(3, 1, 1, tokens, channels)
        return lambda: F.scaled_dot_product_attention(q, k, v)

    return make


def layer(channels):
    maps = [torch.nn.Linear(channels, channels) for _ in range(4)]

    def make(tokens):
        x = torch.randn(1, 1, tokens, channels)
        return lambda: maps[3](F.scaled_dot_product_attention(*(linear(x) for linear in maps[:3])))

    return make


def main():
    keep_memory()
    threads, channels = int(sys.argv[1]), int(sys.argv[2])
    seconds, patience = float(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    for name, make in (("PyTorch alone", alone(channels)), ("PyTorch layer", layer(channels))):
        times = []
        for tokens in map(int, sys.argv[5:]):
            # Twice the tokens take at most four times as long.
            if times and 4 * times[-1] > patience:
                break
            times.append(measure(make(tokens), seconds)[0])
        print(f"{name}:", *times)


if __name__ == "__main__":
    main()
