"""Many programs under many transformations, some at a time."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.running import import_ahead
from tests.paraphrase.collection import corpus_programs, fixture_programs
from tests.paraphrase.comparison import Comparer, Comparison
from tests.paraphrase.program import Program

Pair = tuple[Program, str]


def pairs(
    transforms: Iterable[str], *, only: str = "*", corpus: Path | None = None, with_long: bool = False
) -> list[Pair]:
    """Each program whose name matches, with each transformation."""
    programs = [*fixture_programs(with_long=with_long), *(corpus_programs(corpus) if corpus is not None else ())]
    transforms = list(transforms)
    return [(each, name) for each in programs if fnmatch.fnmatch(each.name, only) for name in transforms]


def sample(every: Sequence[Pair], count: int, seed: str) -> list[Pair]:
    """Some of the pairs, the same for the same seed, in their order."""
    chosen = sorted(random.Random(seed).sample(range(len(every)), min(count, len(every))))
    return [every[number] for number in chosen]


def sweep(
    chosen: Sequence[Pair], *, jobs: int = 1, seconds: float = 120, keep: Path | None = None
) -> Iterator[Comparison]:
    """The results, in order. Threads only wait for forks, and with one job there are none."""
    import_all_ahead()
    comparer = Comparer(seconds)

    def one(pair: Pair) -> Comparison:
        program, transform = pair
        folder = keep / program.name.replace("/", "-") / transform if keep is not None else None
        return comparer.compare(program, transform, keep=folder)

    if jobs == 1:
        yield from map(one, chosen)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, chosen)


def import_all_ahead() -> None:
    """Import what the commands and programs would, so that no fork has to."""
    import importlib

    import_ahead()
    for name in (
        "gradflow.watch.explaining",
        "gradflow.watch.observers.running",
        "gradflow.render.json_report",
        "numpy",
    ):
        importlib.import_module(name)
