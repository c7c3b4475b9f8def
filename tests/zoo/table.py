"""The results of a tour through the zoo, for people and as a file."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column, Table

from tests.zoo.comparison import Comparison

Results = Sequence[tuple[str, Comparison]]

SLOW = 3.0
"""A check that takes more than so many plain runs, forward and backward, is told."""

LONG_S = 1.0
"""Below that, nobody waits."""


def overview(results: Results, failures: Sequence[tuple[str, str]]) -> Table:
    """Counts for each source."""
    table = Table(
        Column("source", no_wrap=True, min_width=12),
        "families",
        "models",
        "layers",
        "agree",
        "failed",
        "plain runs",
        "checks",
    )
    for source in dict.fromkeys(source for source, _ in [*results, *failures]):
        own = [result for origin, result in results if origin == source]
        table.add_row(
            source,
            str(len({result.family for result in own})),
            str(len({result.model for result in own})),
            str(len(own)),
            str(sum(result.agrees for result in own)),
            str(sum(origin == source for origin, _ in failures)),
            f"{sum(result.plain_s for result in own):.0f} s",
            f"{sum(result.check_s for result in own):.0f} s",
        )
    return table


def slow_checks(results: Results) -> str:
    """The checks of healthy layers that one has to wait for, each beside the plain run."""
    slow = [
        f"  {result.model}, layer {result.layer}: {result.check_s:.1f} s, {result.check_s / result.plain_s:.1f} x"
        for _, result in sorted(results, key=lambda entry: -entry[1].check_s / entry[1].plain_s)
        if result.check_s > LONG_S and result.check_s > SLOW * result.plain_s and result.verdict == "connected"
    ]
    return "\n".join([f"{len(slow)} checks took over {LONG_S:g} s and {SLOW:g} times a plain run", *slow[:20]])


def tab_separated(results: Results) -> str:
    """One line per layer."""
    lines = ["source\tfamily\tmodel\tlayer\tautograd\tgradflow\terrors\tnotes\tagrees\tplain_s\tcheck_s"]
    lines += [
        f"{source}\t{r.family}\t{r.model}\t{r.layer}\t{r.truth.status}\t{r.verdict}\t{','.join(r.errors)}"
        f"\t{','.join(r.infos)}\t{r.agrees}\t{r.plain_s:.3f}\t{r.check_s:.3f}"
        for source, r in results
    ]
    return "\n".join(lines) + "\n"
