"""Thousands of random networks: `python tests/property/run.py --networks 2000 [--seed N] [--only GLOB] [--out DIR]`.

Network number N is the same in every run; a smaller `--networks` with `--seed N` runs it again.
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import random
import sys
import traceback
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.property.oracle import Finding, judge, judge_healthy
from tests.property.plants import Case, kinds_of_case, make_case


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python tests/property/run.py", description="cuts planted in random networks")
    parser.add_argument("--networks", metavar="N", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="number of the first network (default: 0)")
    parser.add_argument(
        "--only", metavar="GLOB", default="*", help="only what matches 'role: form', such as 'partial: *'"
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write every network that went wrong there")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in kinds_of_case() if fnmatch.fnmatch(": ".join(kind), options.only)]
    if not kinds:
        parser.error(f"nothing matches {options.only!r}")
    console = Console()
    counts: dict[tuple[str, str], collections.Counter[str]] = {kind: collections.Counter() for kind in kinds}
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=options.networks)
        for number in range(options.seed, options.seed + options.networks):
            kind = kinds[number % len(kinds)]
            progress.update(task, description=": ".join(kind))
            case = make_case(random.Random(number), *kind)
            findings = {"cut": _safely(judge, case)}
            if kind[0] != "near miss":
                findings["healthy"] = _safely(judge_healthy, case)
            for version, finding in findings.items():
                counts[kind][f"{version} {finding.outcome}"] += 1
                if finding.outcome not in ("right", "unfit"):
                    place = f"{number} {': '.join(kind)} [{version}]"
                    text = f"{place} {finding.outcome}: wanted {_wanted(case, version)}, got {finding.said}"
                    console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
                    if options.out is not None:
                        _write(options.out, number, case, version, text)
            progress.advance(task)
    console.print(_table(counts))
    total = sum(counts.values(), collections.Counter())
    wrong = sum(count for outcome, count in total.items() if outcome.split()[1] not in ("right", "unfit"))
    asked = sum(count for outcome, count in total.items() if outcome.split()[1] != "unfit")
    console.print(f"{options.networks} networks, {asked} checks that say something, {wrong} wrong")
    return 1 if wrong or not asked else 0


def _safely(ask, case: Case) -> Finding:
    try:
        return ask(case)
    except Exception:  # noqa: BLE001 - a crash is a finding of its own
        return Finding(outcome="crash", said=traceback.format_exc())


def _wanted(case: Case, version: str) -> str:
    if version == "healthy" or case.verdict == "connected":
        return "silence"
    return f"{case.verdict} with {' or '.join(sorted(case.causes))} at line {sorted(case.network.blamed_lines)}"


def _write(folder: Path, number: int, case: Case, version: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = case.network.broken if version == "cut" else case.network.healthy
    note = "\n".join(f"# {line}" for line in [text, f"layer {case.network.target}"])
    (folder / f"{number}_{version}.py").write_text(f"{source}\n{note}\n", encoding="utf-8")


def _table(counts: dict[tuple[str, str], collections.Counter[str]]) -> Table:
    table = Table(
        "where",
        "form",
        "found",
        "missed",
        "wrong line",
        "wrong cause",
        "no repair",
        "crash",
        "silent twin",
        "false alarm",
        "unfit",
    )
    for (role, form), outcomes in counts.items():
        alarms = outcomes["healthy alarm"] + outcomes["cut alarm"]
        row = [
            *(outcomes[f"cut {outcome}"] for outcome in ("right", "verdict", "place", "cause", "repair")),
            outcomes["cut crash"] + outcomes["healthy crash"],
            outcomes["healthy right"],
            alarms,
            outcomes["cut unfit"],
        ]
        if not any(outcomes.values()):
            continue
        bad = any(row[i] for i in (1, 2, 3, 4, 5, 7))
        table.add_row(role, form, *(str(number) if number else "" for number in row), style="red" if bad else "")
    return table


if __name__ == "__main__":
    sys.exit(main())
