"""`python -m benchmarks [--models NAME ...] [--repeats N] [--out FILE]`: Markdown tables of what gradflow costs."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# threads would make the times of small operations a matter of luck; must be said before torch is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks import endings, memory, startup, subjects, timing, watching
from benchmarks.loops import LOOPS
from benchmarks.methods import METHODS, PLAIN, Method
from benchmarks.recording import recording_cost
from benchmarks.subjects import Subject


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=subjects.names(), default=subjects.names(), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds after the warm-up (default: 7)")
    parser.add_argument("--only", choices=("time", "memory", "startup", "run", "end"), help="one of the tables")
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = []
    for line in _report(options.models, options.repeats, options.only):
        print(line, flush=True)
        lines.append(line)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _report(names: list[str], repeats: int, only: str | None) -> Iterator[str]:
    yield "# Results\n"
    yield f"{_versions()}; one thread. What the numbers mean: [README.md](README.md).\n"
    built = [subjects.build(name) for name in names] if only in (None, "time", "memory") else []
    if only in (None, "memory"):  # first: children forked from a process that has done nothing yet are the cleanest
        yield from _memory_table(built)
    if only in (None, "time"):
        yield from _time_tables(built, repeats)
    if only in (None, "run"):
        yield from watching.memory_table()
        yield from watching.time_table(list(LOOPS))
    if only in (None, "end"):
        yield from endings.end_table()
    if only in (None, "startup"):
        yield "## Start-up\n"
        yield f"`gradflow check` beyond `import torch, torchvision`: {startup.startup_seconds():.2f} s of CPU time\n"


def _versions() -> str:
    packages = ["torch", "torchvision", "captum", "torchlens", "torchview"]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return f"Python {platform.python_version()}, {', '.join(found)}"


def _applies(method: Method, subject: Subject) -> bool:
    return method.is_installed and (subject.has_feature_map or not method.needs_feature_map)


def _header(built: list[Subject], title: str) -> str:
    names = " | ".join(subject.name for subject in built)
    return f"| {title} | {names} |\n| --- |{' ---: |' * len(built)}"


def _missing(method: Method) -> str:
    return "–" if method.is_installed else "not installed"


def _time_tables(built: list[Subject], repeats: int) -> Iterator[str]:
    measured = {
        subject.name: {
            method.name: time
            for method, time in timing.interleaved_medians(
                subject, [PLAIN, *(method for method in METHODS if _applies(method, subject))], repeats
            )
        }
        for subject in built
    }
    yield "## Time\n"
    yield "CPU time of one call; ratio to the plain forward + backward of the same run.\n"
    yield _header(built, "")
    plain = {name: times[PLAIN.name] for name, times in measured.items()}
    yield f"| {PLAIN.name}, ms | {' | '.join(f'{1e3 * _number(time):.0f}' for time in plain.values())} |"
    for method in METHODS:
        cells = []
        for subject in built:
            time = measured[subject.name].get(method.name)
            if time is None:
                cells.append(_missing(method))
            else:
                cells.append(time if isinstance(time, str) else f"{time / _number(plain[subject.name]):.2f}")
        yield f"| {method.name} | {' | '.join(cells)} |"
    yield ""
    loops = [subject for subject in built if subject.name in subjects.LOOPS]
    if loops:
        yield "What recording takes for each operation, and once: tracing only, less a plain forward.\n"
        yield "| loop | operations | µs each | ms once | µs each, once included | bytes each |"
        yield f"| --- |{' ---: |' * 5}"
        for subject in loops:
            cost = recording_cost(subject.name, repeats)
            times = f"{cost.microseconds:.1f} | {cost.once_ms:.1f} | {cost.overall:.1f}"
            yield f"| {subject.name} | {cost.operations} | {times} | {cost.memory:.0f} |"
        yield ""


def _number(time: float | str) -> float:
    if isinstance(time, str):
        raise TypeError(f"the plain run raised {time}")
    return time


def _memory_table(built: list[Subject]) -> Iterator[str]:
    for method in METHODS:
        if method.is_installed:  # what is measured is a call, not that a tool is loaded
            importlib.import_module(method.package)
    yield "## Peak memory\n"
    yield "Growth of the resident set at its peak, ratio to the plain forward + backward.\n"
    yield _header(built, "")
    plain = [memory.peak_growth(subject, PLAIN) or 0 for subject in built]
    yield f"| {PLAIN.name}, MiB | {' | '.join(f'{growth / 2**20:.0f}' for growth in plain)} |"
    for method in METHODS:
        cells = []
        for subject, reference in zip(built, plain, strict=True):
            if not _applies(method, subject):
                cells.append(_missing(method))
                continue
            growth = memory.peak_growth(subject, method)
            cells.append("failed" if growth is None or not reference else f"{growth / reference:.2f}")
        yield f"| {method.name} | {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
