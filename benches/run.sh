#!/usr/bin/env bash
# Every benchmark of BENCHMARKS.md but training, one after the other:
# ./benches/run.sh [render|network|embed|attention|near_linear|pairwise|products|rivals|index]..
# Wants a machine that does nothing else; about twenty minutes, half of them for the index. The rivals come from PyPI,
# but for that of `pairwise`, which starts the Python that PYTHON names, python3 if none, and goes without where that
# has no PyTorch.
set -euo pipefail
cd "$(dirname "$0")/.."

for name in "${@:-render network embed attention near_linear pairwise products rivals index}"; do
    for bench in $name; do
        printf '\n== %s\n' "$bench"
        if [ "$bench" = rivals ]; then
            python3 crates/polyad-shapes/benches/render_rivals.py
            python3 crates/polyad-attention/benches/attention_rivals.py
            python3 crates/polyad-nn/benches/network_rivals.py --batches 1,12
            python3 crates/polyad-shapes/benches/embed_rivals.py
        else
            cargo bench --workspace --locked --bench "$bench"
        fi
    done
done
