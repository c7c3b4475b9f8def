"""Thousands of mutated files, from the root of the repository.

`python -m tests.fuzz [--kind pickle] [--count 10000] [--seed 1] [--seconds 60] [--only 17] [--out DIR]`

Case N of a kind is the same for the same seed; `--only N` runs that one again. Exit status 1 where one went wrong.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.case import Case, Outcome
from tests.fuzz.kinds import KINDS, make_case
from tests.fuzz.running import import_ahead, run_cases

_BATCH = 50


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="gradflow on mutated files")
    parser.add_argument("--kind", choices=KINDS, action="append", help="repeats (default: every kind)")
    parser.add_argument("--count", metavar="N", type=int, default=100, help="cases of each kind (default: 100)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="default: 0")
    parser.add_argument("--seconds", metavar="N", type=int, default=10**9, help="of each kind: no new batch after them")
    parser.add_argument("--only", metavar="N", type=int, help="this case alone")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="for the files of what goes wrong (default: a new folder)"
    )
    options = parser.parse_args(arguments)
    import_ahead()
    warnings.simplefilter("ignore")
    out = options.out or Path(tempfile.gettempdir()) / "gradflow-fuzz"
    console = Console(stderr=True)
    table = Table("kind", "cases", "refused", "loaded", "failures", "not again", "seconds")
    places: list[str] = []
    failures = 0
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # without a thread that refreshes: a fork would take its locks along
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        for kind in options.kind or KINDS:
            began = time.monotonic()
            first, last = (0, options.count) if options.only is None else (options.only, options.only + 1)
            task = progress.add_task(kind, total=last - first)
            counts: collections.Counter[str] = collections.Counter()
            for start in range(first, last, _BATCH):
                if time.monotonic() - began > options.seconds:
                    break
                cases = [make_case(kind, options.seed, number) for number in range(start, min(start + _BATCH, last))]
                for case, outcome in _run(cases):
                    counts[_verdict(case, outcome)] += 1
                    if outcome.problem:
                        places.append(f"{outcome.problem}\n  {_keep(case, outcome, options.seed, out)}")
                progress.update(task, completed=start + len(cases) - first, refresh=True)
            seconds = round(time.monotonic() - began)
            figures = (counts[name] for name in ("refused", "loaded", "failed", "not again"))
            table.add_row(kind, str(counts.total()), *map(str, figures), str(seconds))
            failures += counts["failed"]
    Console(width=100).print(table)
    for place in places:
        sys.stdout.write(f"{place}\n")
    return int(bool(failures))


def _run(cases: list[Case]) -> list[tuple[Case, Outcome]]:
    with tempfile.TemporaryDirectory() as folder:
        return list(run_cases(cases, Path(folder)))


def _verdict(case: Case, outcome: Outcome) -> str:
    """A failure is one that the case also comes to alone; else what ran before it in the same process has its part."""
    if not outcome.problem:
        return "loaded" if outcome.is_loaded else "refused"
    [(_, alone)] = _run([case])
    return "failed" if alone.problem else "not again"


def _keep(case: Case, outcome: Outcome, seed: int, out: Path) -> Path:
    """The files of a case that went wrong, with the command and what it said."""
    folder = out / f"{case.kind}-{seed}-{case.number}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    said = {"argv": case.argv, "status": outcome.status, "problem": outcome.problem}
    text = json.dumps(said, indent=2) + f"\n\n--- stdout\n{outcome.out}\n--- stderr\n{outcome.err}\n"
    (folder / "what-happened.txt").write_text(text, encoding="utf-8", errors="replace")
    return folder


if __name__ == "__main__":
    sys.exit(main())
