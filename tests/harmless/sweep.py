"""All cases, or some, each in a process of its own: an operator may take its process along."""

from __future__ import annotations

import fnmatch
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.forked import ForkedError, call_forked
from tests.harmless.case import Case
from tests.harmless.modules import module_cases
from tests.harmless.operators import operator_cases
from tests.harmless.running import difference

_SECONDS = 120.0
KNOWN = Path(__file__).with_name("known_differences.txt")


def every_case(samples: int, only: str = "*") -> list[Case]:
    """The operators and modules whose name matches."""
    return [each for each in (*operator_cases(samples), *module_cases(samples)) if fnmatch.fnmatch(each.name, only)]


def sample(cases: Sequence[Case], count: int, seed: str) -> list[Case]:
    """Some of them, the same for the same seed."""
    return random.Random(seed).sample(list(cases), min(count, len(cases)))


def known_differences() -> dict[str, str]:
    """Names of cases that differ today, with the reason."""
    lines = (line.partition("#") for line in KNOWN.read_text(encoding="utf-8").splitlines())
    return {name.strip(): reason.strip() for name, _, reason in lines if name.strip()}


def differences(cases: Iterable[Case], jobs: int = 1) -> Iterator[tuple[Case, str]]:
    """Each case, with what differs under gradflow."""
    import gradflow.watch.explaining  # noqa: F401 - so that no fork has to

    if jobs == 1:
        yield from map(_one, cases)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(_one, cases)


def _one(case: Case) -> tuple[Case, str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return case, call_forked(difference, case, folder=Path(folder), seconds=_SECONDS)
        except ForkedError as error:
            return case, f"no result: {error}"
