"""What gradflow says of a program, and whether two answers say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.paraphrase.program import Program


@dataclass(frozen=True, order=True)
class Place:
    """A line, either of the program (`lines` are those it stands for in the original) or of a library."""

    file: str
    lines: frozenset[int]

    def meets(self, other: Place) -> bool:
        return self.file == other.file and bool(self.lines & other.lines or self.lines == other.lines)

    def __str__(self) -> str:
        return f"{self.file}:{','.join(map(str, sorted(self.lines))) or '?'}"


@dataclass(frozen=True, order=True)
class Finding:
    """A diagnosis."""

    severity: str
    name: str
    place: Place | None

    def agrees(self, other: Finding) -> bool:
        """The same cause and severity at the same line."""
        if (self.severity, self.name) != (other.severity, other.name):
            return False
        if self.place is None or other.place is None:
            return self.place is other.place
        return self.place.meets(other.place)

    def __str__(self) -> str:
        return f"{self.severity} {self.name}" + (f" at {self.place}" if self.place else "")


@dataclass(frozen=True)
class Answer:
    """The verdict, the diagnosis that is told first, and everything of severity error."""

    verdict: str
    first: Finding | None
    errors: tuple[Finding, ...]

    def agrees(self, other: Answer) -> bool:
        if self.verdict != other.verdict or (self.first is None) != (other.first is None):
            return False
        if self.first is not None and other.first is not None and not self.first.agrees(other.first):
            return False
        return _covers(self.errors, other.errors) and _covers(other.errors, self.errors)

    def __str__(self) -> str:
        findings = dict.fromkeys(str(each) for each in (self.first, *self.errors) if each is not None)
        return "; ".join([self.verdict, *findings])


def _covers(findings: tuple[Finding, ...], others: tuple[Finding, ...]) -> bool:
    return all(any(each.agrees(other) for other in others) for each in findings)


def ask_gradflow(program: Program, folder: Path) -> Answer:
    """Check, audit or run the program as from the command line. Meant for a process of its own."""
    from gradflow.cli import main

    report = folder / "report.json"
    main(program.question.command(program.file, report))
    return read_answer(json.loads(report.read_text(encoding="utf-8")), program, folder)


def read_answer(report: Mapping[str, Any], program: Program, folder: Path) -> Answer:
    """The answer in a report, each line of the program as the line of the original that it stands for."""
    findings = tuple(_findings(report, program, folder))
    errors = tuple(each for each in findings if each.severity == "error")
    return Answer(str(report.get("verdict", "audited")), findings[0] if findings else None, errors)


def _findings(report: Mapping[str, Any], program: Program, folder: Path) -> Iterator[Finding]:
    for each in report["diagnostics"]:
        place = None
        if location := each.get("location"):
            path, line = Path(location["path"]), int(location["line"])
            is_own = path.resolve().parent == folder.resolve()
            lines = program.lines_before(path.name, line) if is_own else frozenset({line})
            place = Place("the program" if is_own else path.name, lines)
        yield Finding(each["severity"], each["name"], place)
