"""What `gradflow run` costs a training loop: time of a step while it watches and after it stepped aside, and memory."""

from __future__ import annotations

import gc
import os
import re
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.loops import LOOPS
from gradflow.record.program.watching import Watch

__all__ = ["memory_table", "time_table"]

FIRST = 8
"""So many backward passes of a program are watched in full, the later ones lightly."""

CHECKPOINTS = (100, 1_000, 5_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """Median CPU seconds of one step."""

    plain: float
    first: float
    later: float
    after: float


def _timed(step: Callable[[], None], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return times


def step_times(make: Callable[[], Callable[[], None]], *, steps: int = 20, rounds: int = 5) -> StepTimes:
    """One loop in one process; plain and watched stretches alternate."""
    torch.manual_seed(0)
    step = make()
    _timed(step, 5)
    plain, first, later, after = [], [], [], []
    for _ in range(rounds):
        gc.collect()
        plain += _timed(step, steps)
        with Watch(steps=FIRST + steps).watching():
            first += _timed(step, FIRST)
            later += _timed(step, steps)
            step()  # leaves here
            after += _timed(step, steps)
    return StepTimes(
        plain=statistics.median(plain),
        first=statistics.median(first),
        later=statistics.median(later),
        after=statistics.median(after),
    )


def time_table(names: list[str]) -> Iterator[str]:
    """Markdown lines."""
    yield "## Training loops under `gradflow run`: time\n"
    yield "CPU time of one step; ratios to a plain step of the same loop in the same process.\n"
    yield f"| loop | plain, ms | first {FIRST} steps | later steps | after stepping aside |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name in names:
        times = step_times(LOOPS[name])
        ratios = " | ".join(f"{time / times.plain:.2f}" for time in (times.first, times.later, times.after))
        yield f"| {name} | {1e3 * times.plain:.2f} | {ratios} |"
    yield ""


def memory_table() -> Iterator[str]:
    """Markdown lines."""
    yield "## Training loops under `gradflow run`: memory\n"
    yield "Growth of the resident set since the first step, MiB, and Python objects that the collector knows.\n"
    yield f"| perceptron, steps | {' | '.join(f'{count:,}' for count in CHECKPOINTS)} |"
    yield f"| --- |{' ---: |' * len(CHECKPOINTS)}"
    for title, steps in (("plain", 0), ("watched", None), ("`--steps 20`", 20)):
        growth = _in_child(steps)
        yield f"| {title} | {' | '.join(f'{size / 2**20:.1f} ({objects:+,})' for size, objects in growth)} |"
    yield ""


def _resident() -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _growth(steps: int | None) -> list[tuple[int, int]]:
    step = LOOPS["perceptron"]()
    _timed(step, 50)
    gc.collect()
    resident, objects = _resident(), len(gc.get_objects())

    def run() -> list[tuple[int, int]]:
        found = []
        done = 0
        for count in CHECKPOINTS:
            for _ in range(count - done):
                step()
            done = count
            gc.collect()
            found.append((_resident() - resident, len(gc.get_objects()) - objects))
        return found

    if steps == 0:
        return run()
    with Watch(steps=steps).watching():
        return run()


def _in_child(steps: int | None) -> list[tuple[int, int]]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            numbers = [number for pair in _growth(steps) for number in pair]
            os.write(writer, struct.pack(f"{len(numbers)}q", *numbers))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    numbers = struct.unpack(f"{2 * len(CHECKPOINTS)}q", answer)
    return list(zip(numbers[::2], numbers[1::2], strict=True))
