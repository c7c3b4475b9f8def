"""Every program in other words, from the root of the repository.

`python -m tests.paraphrase [--only GLOB] [--transform NAME] [--sample N --seed TEXT] [--corpus FOLDER] [--long]`

Prints for each transformation how many paraphrases were tried, and of how many gradflow says the same. Exit status 1
where one differs that `known_differences.txt` does not list; in a full sweep also where a listed one no longer differs,
and where fewer paraphrases count than `counted.txt` says: then a transformation has stopped to find its places.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.paraphrase.comparison import Comparison
from tests.paraphrase.counted import fewer, least_counts
from tests.paraphrase.known import balance, known_differences
from tests.paraphrase.sweep import pairs, sample, sweep
from tests.paraphrase.table import figures
from tests.paraphrase.transforms.registry import TRANSFORMS
from tests.sampling import commit_seed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.paraphrase", description="the same programs in other words")
    parser.add_argument("--only", metavar="GLOB", default="*", help="programs whose name matches, such as 'causes/*'")
    parser.add_argument("--transform", metavar="NAME", choices=TRANSFORMS, action="append", help=", ".join(TRANSFORMS))
    parser.add_argument("--sample", metavar="N", type=int, help="so many pairs of program and transformation")
    parser.add_argument("--seed", metavar="TEXT", default=commit_seed(), help="of the sample (default: the commit)")
    parser.add_argument(
        "--corpus",
        metavar="FOLDER",
        type=Path,
        default=os.environ.get("GRADFLOW_CORPUS"),
        help="further programs: `case.py` beside `truth.json` (default: $GRADFLOW_CORPUS)",
    )
    parser.add_argument("--long", action="store_true", help="also fixtures/library_programs")
    parser.add_argument("--jobs", metavar="N", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="also what does not count, and why")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="leave the paraphrases there")
    options = parser.parse_args(arguments)
    corpus = Path(options.corpus) if options.corpus else None
    chosen = pairs(options.transform or TRANSFORMS, only=options.only, corpus=corpus, with_long=options.long)
    if options.sample is not None:
        chosen = sample(chosen, options.sample, options.seed)
    console = Console()
    known = known_differences()
    results: list[Comparison] = []
    columns = (TextColumn("{task.description:50}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # without a thread that refreshes: a fork would take its locks along
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(chosen))
        for result in sweep(chosen, jobs=options.jobs, keep=options.keep):
            results.append(result)
            is_new = result.outcome == "differs" and result.pair not in known
            if is_new or (options.show and result.outcome not in ("same", "nothing to change")):
                console.print(
                    f"{result.outcome}: {result.pair}: {result.said}", markup=False, highlight=False, soft_wrap=True
                )
            progress.update(task, advance=1, description=result.pair, refresh=console.is_terminal)
    console.print(figures(results))
    # the lists are of the fixtures: what a corpus shows is only told
    fixtures = [each for each in results if not each.program.startswith("corpus/")]
    found = balance(fixtures, known)
    complaints = [f"no longer differs, take it out of the list: {pair}" for pair in found.mended]
    if options.sample is None and options.only == "*":
        least = least_counts()
        complaints += fewer(fixtures, {name: least.get(name, 0) for name in options.transform or TRANSFORMS})
    for complaint in complaints:
        console.print(complaint, markup=False, highlight=False, soft_wrap=True)
    return int(bool(found.new or (complaints and options.sample is None)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
