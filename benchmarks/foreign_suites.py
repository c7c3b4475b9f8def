"""`python -m benchmarks.foreign_suites SUITE ...`: other projects' test suites, plainly and under `gradflow run`.

A SUITE is a folder, or the name of an installed package that brings its tests along; words for pytest may follow in the
same argument: ``"path/to/gpytorch test/kernels"``, ``"einops -k layers"``. Each test must come out alike both times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGINS = Path(__file__).parent / "foreign"
# the suite's own options may ask for plugins that are not here (coverage, workers)
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "recorded_outcomes", "-o", "addopts="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Where to start pytest, and with which words."""

    name: str
    folder: Path
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run of a suite left; ``seconds`` of CPU time, so that a busy machine does not count."""

    outcomes: dict[str, str]
    failures: dict[str, str]
    warnings: dict[str, int]
    status: int
    seconds: float


def suite_of(text: str) -> Suite:
    """What an argument means."""
    first, *words = shlex.split(text)
    folder = Path(first)
    if folder.is_dir():
        return Suite(name=" ".join([folder.resolve().name, *words]), folder=folder.resolve(), words=tuple(words))
    spec = importlib.util.find_spec(first)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"`{first}` is neither a folder nor a package that is installed")
    package = Path(next(iter(spec.submodule_search_locations)))
    return Suite(name=text, folder=package.parent, words=(str(package), *words))


def run_suite(suite: Suite, outcome_file: Path, under: list[str], timeout_s: float) -> Ran:
    """Once, in a process of its own; what it prints goes to a file beside the outcomes."""
    path = os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "RECORDED_OUTCOMES": str(outcome_file)}
    command = [sys.executable, *under, *PYTEST, *suite.words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with outcome_file.with_suffix(".txt").open("w", encoding="utf-8") as printed:
        done = subprocess.run(
            command, cwd=suite.folder, env=environment, stdout=printed, stderr=printed, timeout=timeout_s, check=False
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not outcome_file.exists():
        raise SystemExit(f"{suite.name}: pytest did not come to its end, see {outcome_file.with_suffix('.txt')}")
    told: dict[str, Any] = json.loads(outcome_file.read_text(encoding="utf-8"))
    return Ran(
        outcomes=told["outcomes"],
        failures=told["failures"],
        warnings=told["warnings"],
        status=done.returncode,
        seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def compared(suite: Suite, keep: Path, timeout_s: float) -> str:
    """One row of the table; what differs is printed below it and does not count where two plain runs differ as well."""
    keep.mkdir(parents=True, exist_ok=True)
    report_file = keep / "report.json"
    plain = run_suite(suite, keep / "plain.json", [], timeout_s)
    under = ["-m", "gradflow", "run", "--force", "--output", str(report_file)]
    watched = run_suite(suite, keep / "watched.json", under, timeout_s)
    differing, warned = set(_differing(plain.outcomes, watched.outcomes)), _differing(plain.warnings, watched.warnings)
    unstable: set[str] = set()
    if differing or warned:
        again = run_suite(suite, keep / "again.json", [], timeout_s)
        unstable = set(_differing(plain.outcomes, again.outcomes))
        warned = sorted(set(warned) - set(_differing(plain.warnings, again.warnings)))
    for test in sorted(differing - unstable):
        print(f"{test}: {plain.outcomes.get(test)}, watched {watched.outcomes.get(test)}", file=sys.stderr)
        print(watched.failures.get(test, ""), file=sys.stderr)
    for test in warned:
        print(f"{test}: {plain.warnings.get(test, 0)}, watched {watched.warnings.get(test, 0)}", file=sys.stderr)
    words = Counter(plain.outcomes.values())
    cells = [
        suite.name,
        ", ".join(f"{count} {word}" for word, count in sorted(words.items())),
        str(len(differing - unstable)),
        str(len(differing & unstable)),
        f"{sum(plain.warnings.values())} / {sum(watched.warnings.values())}" + (f", {len(warned)} ≠" if warned else ""),
        f"{plain.status} / {watched.status}",
        f"{plain.seconds:.1f}",
        f"{watched.seconds / plain.seconds:.2f}",
        _told(report_file),
    ]
    return f"| {' | '.join(cells)} |"


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {**one, **other} if one.get(key) != other.get(key))


def _told(report_file: Path) -> str:
    """How many findings of each severity the report at the end has."""
    if not report_file.exists():
        return "no report"
    report = json.loads(report_file.read_text(encoding="utf-8"))
    found = Counter(finding["severity"] for finding in report["diagnostics"])
    return ", ".join(f"{found[severity]} {severity}" for severity in ("error", "warning", "info") if found[severity])


def table(suites: list[Suite], keep: Path, timeout_s: float) -> Iterator[str]:
    """Markdown lines."""
    yield "| suite | tests | other outcome | unstable | warnings | status | CPU, s | watched | findings |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for number, suite in enumerate(suites):
        yield compared(suite, keep / str(number), timeout_s)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.foreign_suites", description=__doc__)
    parser.add_argument("suites", nargs="+", type=suite_of, metavar="SUITE")
    parser.add_argument("--keep", type=Path, help="keep outcomes, output and reports in this folder")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run of a suite (default: 1800)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        for line in table(options.suites, (options.keep or Path(temporary)).resolve(), options.timeout):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
