"""A program and its paraphrase: does gradflow say the same of both?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tests.forked import ForkedError, call_forked
from tests.paraphrase.answer import Answer, ask_gradflow
from tests.paraphrase.oracle import Facts, plain_facts
from tests.paraphrase.paraphrasing import paraphrase
from tests.paraphrase.program import Program

Outcome = Literal["same", "differs", "another program", "nothing to change", "no answer"]
_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of one program under one transformation; `said` tells both answers where they differ."""

    program: str
    transform: str
    outcome: Outcome
    said: str = ""

    @property
    def pair(self) -> str:
        return f"{self.program} {self.transform}"


class Comparer:
    """Compares programs with their paraphrases; what a program itself shows is asked once."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self.seconds = seconds
        self._facts = cache(self._facts_of)
        self._answers = cache(self._answer_of)

    def compare(self, program: Program, transform: str, *, keep: Path | None = None) -> Comparison:
        """`keep` is a folder in which the paraphrase is left for a reader."""

        def came(outcome: Outcome, said: str = "") -> Comparison:
            return Comparison(program=program.name, transform=transform, outcome=outcome, said=said)

        with tempfile.TemporaryDirectory() as folder:
            other = paraphrase(program, transform, Path(folder), self.seconds)
        if other is None:
            return came("nothing to change")
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            other.write(keep)
        try:
            before, after = self._facts(_Key(program)), self._facts_of(_Key(other))
        except ForkedError as error:
            return came("another program", str(error))
        if not before.agree(after, may_have_more_leaves=other.adds_parameters):
            return came("another program", f"{_short(before)} | {_short(after)}")
        try:
            wanted = self._answers(_Key(program))
        except ForkedError as error:
            return came("no answer", str(error))
        try:
            said = self._answer_of(_Key(other))
        except ForkedError as error:
            return came("differs", f"{wanted} | {error}")
        return came("same") if wanted.agrees(said) else came("differs", f"{wanted} | {said}")

    def _facts_of(self, key: _Key) -> Facts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            key.program.write(folder)
            return call_forked(plain_facts, key.program, folder, folder=folder, seconds=self.seconds)

    def _answer_of(self, key: _Key) -> Answer:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            key.program.write(folder)
            return call_forked(ask_gradflow, key.program, folder, folder=folder, seconds=self.seconds)


class _Key:
    """A program that a cache may hold: the same name and text is the same program."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.program.name, self.program.text) == (
            other.program.name,
            other.program.text,
        )

    def __hash__(self) -> int:
        return hash((self.program.name, self.program.text))


def _short(facts: Facts) -> str:
    return f"{facts.raised or 'ran'}, {len(facts.values)} values, {len(facts.leaves)} leaves"
