"""What the benchmarks against PyTorch share: an environment that has it, an allocator that keeps memory, and a stopwatch.

PyTorch frees the arrays of a layer and takes them anew. By glibc's defaults large ones come from the system each time, which
then fills their pages with zeros: on a machine where that is dear it was most of PyTorch's time, which would not be a fair
rival. So glibc is told to keep them (its documented `MALLOC_…_` variables, read when a program starts), for both sides:
polyad's program tells it for itself.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
VENV = ROOT / "target" / "rivals-torch"
KEPT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


def keep_memory(python=sys.executable):
    """Starts this script again with another Python or where the allocator does not keep memory yet."""
    if python != sys.executable or any(os.environ.get(name) != value for name, value in KEPT.items()):
        os.execve(python, [str(python), *sys.argv], {**os.environ, **KEPT})


def with_torch():
    """Starts this script again in an environment that has PyTorch, if this one has not, and keeps memory."""
    if importlib.util.find_spec("torch"):
        return keep_memory()
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "numpy", "torch"], check=True)
    keep_memory(str(python))


def measure(run, seconds):
    """Best wall time and mean processor time of a run, in seconds; two runs at least, after one that does not count."""
    run()
    wall, runs, before, begin = float("inf"), 0, time.process_time(), time.perf_counter()
    while runs < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        wall = min(wall, time.perf_counter() - start)
        runs += 1
    return wall, (time.process_time() - before) / runs
