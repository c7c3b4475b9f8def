"""The answers of today beside the recorded ones, from the root of the repository.

`python -m tests.golden [SOURCE ...] [--only GLOB] [--corpus FOLDER] [--jobs N] [--write]`

Prints every difference; `--write` records what is said now. A difference that lands stands with its reason in
`tests/golden/changed.md`.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import torch  # noqa: F401  so that every copy of this process has it
from rich.console import Console

import gradflow.cli  # noqa: F401
from tests.golden.answer import differences
from tests.golden.asking import ask
from tests.golden.cases import SOURCES, cases
from tests.golden.store import load, save


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description="gradflow's answers, then and now")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=", ".join(SOURCES))
    parser.add_argument("--only", metavar="GLOB", action="append", help="cases whose name matches; repeats")
    parser.add_argument("--corpus", metavar="FOLDER", type=Path, help="programs with a truth.json beside each")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="at the same time (default: 2)")
    parser.add_argument("--write", action="store_true", help="record what is said now")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    count = different = 0
    for source in options.sources or SOURCES:
        recorded = load(source)
        asked = [case for case in cases(source, options.corpus) if _is_meant(case.name, options.only)]
        with ThreadPoolExecutor(options.jobs) as pool:
            for case, now in zip(asked, pool.map(ask, asked), strict=True):
                found = differences(recorded.get(case.name, {}), now)
                different += bool(found)
                for line in found:
                    console.print(f"{source} {case.name}: {line}")
                recorded[case.name] = now
        count += len(asked)
        if not options.only and asked:
            for name in sorted(recorded.keys() - {case.name for case in asked}):
                console.print(f"{source} {name}: is not asked any more")
                del recorded[name]
        if options.write and asked:
            save(source, recorded)
    console.print(f"{count} cases, {different} of them different")
    return 0 if options.write or not different else 1


def _is_meant(name: str, globs: list[str] | None) -> bool:
    return not globs or any(name == glob or fnmatch.fnmatchcase(name, glob) for glob in globs)


if __name__ == "__main__":
    sys.exit(main())
