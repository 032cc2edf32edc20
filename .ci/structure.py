#!/usr/bin/env python3
"""What the compiler does not check: length of files, silence of libraries, direction of dependencies, finished code."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Each crate may use only those above it.
ORDER = ["polyad-simd", "polyad-attention", "polyad-run", "polyad-nn", "polyad-shapes", "polyad-evidence", "polyad"]
# What a trained network needs where there is no training stack.
FRAMEWORK_FREE = ["polyad-simd", "polyad-attention", "polyad-run"]
MOST_LINES = 500
# The only places where `unsafe` may stand: instruction sets, the memory maps of index and model, the allocator's options.
UNSAFE = (
    "crates/polyad-simd/",
    "crates/polyad-shapes/src/index/store.rs",
    "crates/polyad-shapes/src/model/map.rs",
    "crates/polyad/src/memory.rs",
)

problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def outside_tests(lines):
    """Lines before the test module, with their numbers; comments left out."""
    for number, line in enumerate(lines, 1):
        if line.startswith("#[cfg(test)]"):
            return
        if not line.lstrip().startswith("//"):
            yield number, line


for path in sorted((ROOT / "crates").rglob("*.rs")):
    lines = path.read_text(encoding="utf-8").splitlines()
    name = path.relative_to(ROOT).as_posix()
    if len(lines) > MOST_LINES and not any("lines because" in line for line in lines[:12]):
        problem(path, len(lines), f"more than {MOST_LINES} lines without a reason in its first lines")
    if not (lines and lines[0].startswith("//!")):
        problem(path, 1, "no first line that says what the file is for")
    library = "/src/" in name and not name.startswith("crates/polyad/") and not name.endswith("tests.rs")
    for number, line in outside_tests(lines):
        if library and re.search(r"\b(e?print(ln)?|dbg)!\(|process::exit", line):
            problem(path, number, "a library prints or exits")
        if re.search(r"\bunsafe\b(?!_)", line) and not name.startswith(UNSAFE) and "/src/" in name:
            problem(path, number, "unsafe code outside its rooms")
        if re.search(r"\b(todo|unimplemented)!\(", line):
            problem(path, number, "unfinished code")
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            problem(path, number, "a note of unfinished work")
        if re.search(r"#\[ignore", line):
            problem(path, number, "an ignored test")

for manifest in sorted((ROOT / "crates").glob("*/Cargo.toml")):
    crate = manifest.parent.name
    text = manifest.read_text(encoding="utf-8")
    dependencies = text.split("[dependencies]", 1)[-1].split("\n[", 1)[0]
    if crate in FRAMEWORK_FREE and re.search(r"^burn", dependencies, re.M):
        problem(manifest, 1, f"{crate} uses Burn, and is to run without it")
    for used in re.findall(r"^(polyad[\w-]*)", dependencies, re.M):
        if ORDER.index(used) >= ORDER.index(crate):
            problem(manifest, 1, f"{crate} uses {used}, which is not above it")

print("\n".join(problems) or "structure: nothing to mend")
sys.exit(1 if problems else 0)
