"""The whole zoo, from the root of the repository.

`python -m tests.zoo [--source NAME] [--only GLOB] [--layers 3] [--out FILE]`
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.zoo.comparison import Comparison, compare
from tests.zoo.sources import SOURCES, source_module
from tests.zoo.table import overview, slow_checks, tab_separated


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description="gradflow beside autograd on every model")
    parser.add_argument("--source", metavar="NAME", choices=SOURCES, action="append", help=", ".join(SOURCES))
    parser.add_argument("--only", metavar="GLOB", default="*", help="models whose name matches, such as 'resnet*'")
    parser.add_argument("--layers", metavar="N", type=int, default=3, help="layers of each model (default: 3)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write all results as tab-separated values")
    options = parser.parse_args(arguments)
    models = [
        (source, name)
        for source in options.source or SOURCES
        for name in fnmatch.filter(source_module(source).model_names(), options.only)
    ]
    console = Console()
    results: list[tuple[str, Comparison]] = []
    failures: list[tuple[str, str]] = []
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(models))
        for source, name in models:
            progress.update(task, description=f"{source} {name}")
            try:
                for result in compare(source_module(source).build(name), options.layers):
                    results.append((source, result))
                    if not result.agrees:
                        console.print(str(result), style="red", highlight=False, markup=False)
            except Exception as error:  # noqa: BLE001 - one model must not end the tour
                failures.append((source, name))
                console.print(f"{name}: {type(error).__name__}: {error}", style="red", highlight=False, markup=False)
            progress.advance(task)
    if options.out is not None:
        options.out.write_text(tab_separated(results), encoding="utf-8")
    console.print(overview(results, failures))
    console.print(slow_checks(results), highlight=False)
    return 0 if models and all(result.agrees for _, result in results) and not failures else 1


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
