"""The whole zoo, from the root of the repository: `python -m tests.zoo [--only GLOB] [--layers 3] [--out FILE]`."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.zoo.comparison import Comparison, compare
from tests.zoo.models import build, model_names


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description="gradflow beside autograd on every model")
    parser.add_argument("--only", metavar="GLOB", default="*", help="models whose name matches, such as 'resnet*'")
    parser.add_argument("--layers", metavar="N", type=int, default=3, help="layers of each model (default: 3)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write all results as tab-separated values")
    options = parser.parse_args(arguments)
    names = fnmatch.filter(model_names(), options.only)
    console = Console()
    results: list[Comparison] = []
    failures: dict[str, Exception] = {}
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=name)
            try:
                for result in compare(build(name), options.layers):
                    results.append(result)
                    if not result.agrees:
                        console.print(str(result), style="red", highlight=False)
            except Exception as error:  # noqa: BLE001 - one model must not end the tour
                failures[name] = error
                console.print(f"{name}: {type(error).__name__}: {error}", style="red", highlight=False, markup=False)
            progress.advance(task)
    if options.out is not None:
        options.out.write_text(_table(results), encoding="utf-8")
    agreeing = sum(result.agrees for result in results)
    console.print(f"{len(names)} models, {len(results)} layers: {agreeing} agree, {len(failures)} models failed")
    return 0 if names and agreeing == len(results) and not failures else 1


def _table(results: list[Comparison]) -> str:
    lines = ["model\tlayer\tautograd\tgradflow\terrors\tagrees\tseconds"]
    lines += [
        f"{r.model}\t{r.layer}\t{r.status}\t{r.verdict}\t{','.join(r.errors)}\t{r.agrees}\t{r.duration_s:.2f}"
        for r in results
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
