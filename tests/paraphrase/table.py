"""The figures of a sweep."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from rich.table import Table

from tests.paraphrase.comparison import Comparison


def figures(results: Iterable[Comparison]) -> Table:
    """For each transformation: what was tried, what said the same, and what did not."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for each in results:
        counts[each.transform][each.outcome] += 1
    table = Table(
        "transformation", *(_right(name) for name in ("tried", "same", "differs", "another program", "no answer"))
    )
    for name, outcomes in [*counts.items(), ("all", sum(counts.values(), collections.Counter()))]:
        tried = outcomes["same"] + outcomes["differs"]
        columns = (tried, *(outcomes[each] for each in ("same", "differs", "another program", "no answer")))
        table.add_row(name, *map(str, columns), end_section=name == list(counts)[-1])
    return table


def _right(name: str) -> object:
    from rich.table import Column

    return Column(name, justify="right")
