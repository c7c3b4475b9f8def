"""Every operator and module that torch tests, plainly and under gradflow, from the root of the repository.

`python -m tests.harmless [--only GLOB] [--samples N] [--sample N --seed TEXT] [--jobs N]`

Exit status 1 where one differs that `known_differences.txt` does not list, or, without `--sample`, where a listed one
no longer differs.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.harmless.running import NOISE, SAME
from tests.harmless.sweep import differences, every_case, known_differences, sample
from tests.sampling import commit_seed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.harmless", description="torch's own samples under gradflow")
    parser.add_argument("--only", metavar="GLOB", default="*", help="such as 'op nn.functional.*' or 'module *'")
    parser.add_argument("--samples", metavar="N", type=int, default=6, help="inputs of each, at most (default: 6)")
    parser.add_argument("--sample", metavar="N", type=int, help="so many operators and modules")
    parser.add_argument("--seed", metavar="TEXT", default=commit_seed(), help="of the sample (default: the commit)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cases = every_case(options.samples, options.only)
    if options.sample is not None:
        cases = sample(cases, options.sample, options.seed)
    console, known = Console(), known_differences()
    counts: collections.Counter[str] = collections.Counter()
    new = mended = 0
    columns = (TextColumn("{task.description:60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # without a thread that refreshes: a fork would take its locks along
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(cases))
        for case, found in differences(cases, options.jobs):
            kind = {SAME: "same", NOISE: "differ without gradflow too"}.get(found, "differ")
            counts[kind] += 1
            if kind == "differ" and case.name not in known:
                new += 1
                console.print(f"{case.name}: {found}", markup=False, highlight=False, soft_wrap=True)
            elif kind == "same" and case.name in known:
                mended += 1
                console.print(f"no longer differs, take it out of the list: {case.name}", markup=False, highlight=False)
            progress.update(task, advance=1, description=case.name, refresh=console.is_terminal)
    console.print(
        f"{len(cases)} operators and modules:", ", ".join(f"{count} {kind}" for kind, count in counts.items())
    )
    return int(bool(new or (mended and options.sample is None)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
