"""Many programs under many transformations, some at a time."""

from __future__ import annotations

import fnmatch
import gc
import importlib
import importlib.util
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

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
    """Import what the commands and most programs would, so that no fork has to, and leave it alone afterwards."""
    names = [
        "numpy",
        "gradflow.cli",
        "gradflow.checking",
        "gradflow.auditing",
        "gradflow.load.loading",
        "gradflow.render",
    ]
    names += ["gradflow.render.json_report", "gradflow.watch.explaining", "gradflow.record.program.running"]
    names += ["torchvision.models"] if importlib.util.find_spec("torchvision") else []
    for name in names:
        importlib.import_module(name)
    torch.set_num_threads(1)
    # a collection in a fork would touch, and so copy, every page that is shared with this process
    gc.freeze()
