"""Which operation of the forward made the NaN or the infinity that shows in a score, or in its backward.

Where a mask hides a NaN from the score, it comes to light in backward, at an operation that is not to blame; an
infinity is handed on by what reads it, and its gradient is bad there and not where the infinity was made.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

import torch

from gradflow.probe.differential import score_of
from gradflow.probe.facts.bad_number import BadNumber, BadScore
from gradflow.probe.forward_values.replay import has_slope_of_its_own, takes_infinity
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.dense_values import as_real, dense_values
from gradflow.record.operations.tensor_facts import has_readable_numbers
from gradflow.record.run import Run
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.recording import Recording
from gradflow.values import leaves_in, tensors_in

__all__ = ["bad_score", "made_before"]


def made_before(laboratory: Laboratory, recording: Recording, reader: int) -> BadNumber | None:
    """What made the NaN, or the infinity, that ``reader`` was given.

    ``None`` where it was given neither, or an infinity that was there before the run; and where ``reader`` would have
    no finite slope without the infinity either, or makes a NaN of it by itself, as a softmax over ``-inf`` alone.
    """
    numbers = _Numbers(reader)
    run = laboratory.forward(seam=numbers)
    if reader >= len(run.recording) or run.recording.name_of(reader) != recording.name_of(reader):
        return None
    search = _Search(run.recording, numbers)
    if reader in numbers.given_nan:
        return search.of_nan(reader)
    if reader not in numbers.given_infinity or numbers.has_own_slope is not False or reader in numbers.takes_infinity:
        return None
    return search.of_infinity(reader)


def bad_score(laboratory: Laboratory, run: Run) -> BadScore | None:
    """What is known of a score that is NaN or infinite; ``None`` for a finite one. One more run where it is not."""
    value = score_of(run)
    if value is None or math.isfinite(value):
        return None
    kind: Literal["NaN", "infinity"] = "NaN" if math.isnan(value) else "infinity"
    numbers = _Numbers()
    again = laboratory.forward(seam=numbers)
    recording = again.recording
    row = recording.values.producer[recording.score] if recording.score >= 0 else -1
    is_same = row >= 0 and len(recording) == len(run.recording) and recording.name_of(row) == run.recording.name_of(row)
    if not is_same or row not in (numbers.with_nan if kind == "NaN" else numbers.with_infinity):
        return BadScore(kind=kind)
    search = _Search(recording, numbers)
    if kind == "NaN":
        made = search.of_nan(row, may_be_first=True)
        is_own = made is not None and made.reads_infinity and _is_of_score(recording, made.operation)
        is_own = is_own or (made is not None and made.kind == "infinity" and _is_of_score(recording, made.then))
    else:
        made, is_own = search.of_infinity(row, may_be_first=True), True
    return BadScore(kind=kind, made=made, is_own=is_own and laboratory.workload.objective.is_of_everything)


def _is_of_score(recording: Recording, operation: int) -> bool:
    """Whether an operation belongs to what makes the score of the model's output."""
    return operation >= 0 and recording.operations.call[operation] < 0


class _Search:
    """Goes back from an operation to those that made what it was given."""

    def __init__(self, recording: Recording, numbers: _Numbers) -> None:
        self._trace = recording
        self._numbers = numbers

    def of_nan(self, reader: int, *, may_be_first: bool = False) -> BadNumber | None:
        """The first NaN; the infinity that it was made of where one was computed, or spoils what reads it.

        Where nothing that was recorded made it, as in the data, the first operation that was given it.
        """
        numbers = self._numbers
        first = next(iter(self._makers(reader, numbers.with_nan, numbers.given_nan, may_be_first=may_be_first)), -1)
        if first < 0:
            given = self._first_given(reader)
            return BadNumber(operation=given, kind="NaN", is_given=True) if given >= 0 else None
        if first not in numbers.given_infinity:
            return BadNumber(operation=first, kind="NaN")
        infinity = self.of_infinity(first)
        if infinity is None or (first in numbers.takes_infinity and not infinity.is_computed):
            return BadNumber(operation=first, kind="NaN", reads_infinity=True)
        return replace(infinity, then=first)

    def _first_given(self, reader: int) -> int:
        """The first operation on the way to ``reader`` that was given NaN by none before it; -1 for none."""
        recording, numbers = self._trace, self._numbers
        waiting, seen, first = [reader], {reader}, -1
        for row in waiting:
            producers = {recording.values.producer[value] for value in recording.inputs_of(row)} & numbers.with_nan
            if row in numbers.given_nan and not producers:
                first = row if first < 0 else min(first, row)
            waiting.extend(sorted(producers - seen))
            seen |= producers
        return first

    def of_infinity(self, reader: int, *, may_be_first: bool = False) -> BadNumber | None:
        """The first infinity; of several one that was computed before one that was written."""
        numbers = self._numbers
        found = self._makers(reader, numbers.with_infinity, numbers.given_infinity, may_be_first=may_be_first)
        if not found:
            return None
        first = min(found, key=lambda row: not self._is_computed(row))
        return BadNumber(operation=first, kind="infinity", is_computed=self._is_computed(first))

    def _is_computed(self, row: int) -> bool:
        """Whether it was made of finite numbers that have a gradient: then its slope has no finite value there."""
        flags = self._trace.values.requires_grad
        return row not in self._numbers.told_infinity and any(flags[value] for value in self._trace.outputs_of(row))

    def _makers(self, reader: int, having: Collection[int], given: Collection[int], *, may_be_first: bool) -> list[int]:
        recording = self._trace
        waiting, seen, found = [reader], {reader}, []
        for row in waiting:
            producers = {recording.values.producer[value] for value in recording.inputs_of(row)}
            bad = [producer for producer in sorted(producers, reverse=True) if producer in having]
            if not bad and row not in given and (row != reader or may_be_first):
                found.append(row)
            fresh = [producer for producer in bad if producer not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
        return found


class _Numbers(Intervention):
    """Notes which operations gave NaN or infinity, which were given one, and what those that were given one do with it.

    ``told_infinity`` are given one as a plain number. ``takes_infinity`` made NaN of infinities, and would have given
    ordinary numbers for any large ones.
    """

    def __init__(self, replay_slope: int = -1) -> None:
        self.with_nan: set[int] = set()
        self.with_infinity: set[int] = set()
        self.given_nan: set[int] = set()
        self.given_infinity: set[int] = set()
        self.told_infinity: set[int] = set()
        self.takes_infinity: set[int] = set()
        self.has_own_slope: bool | None = None
        self._replay_slope = replay_slope

    def before(self, call: Call) -> Any:
        """Look at what it is given, which it may write to; what is given an infinity is run once more."""
        given = _look(call.given)
        answers = None
        if given == (False, True) and call.operation is not None:
            is_asked = len(call.recorder.operations.name) == self._replay_slope
            again = (call.operation, call.arguments, call.keywords)
            answers = takes_infinity(*again), has_slope_of_its_own(*again) if is_asked else None
        call.memo = given, answers
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Look at what it gave."""
        given, answers = call.memo
        row = call.row
        if row < 0:
            return result
        # what writes to a tensor may return nothing, as `x[i] = y` does
        has_nan, has_infinity = _look(call.arguments[:1] if result is None and call.writes else result)
        for holds, rows in (
            (has_nan, self.with_nan),
            (has_infinity, self.with_infinity),
            (given[0], self.given_nan),
            (given[1], self.given_infinity),
        ):
            if holds:
                rows.add(row)
        if answers is not None and row == self._replay_slope:
            self.has_own_slope = answers[1]
        # what was announced is not run once more
        takes = given[1] if call.is_announced else answers is not None and answers[0] is not False
        if takes and row in self.with_nan:
            self.takes_infinity.add(row)
        if not call.is_announced and any(isinstance(one, float) and math.isinf(one) for one in leaves_in(call.given)):
            self.told_infinity.add(row)
        return result


def _look(value: Any) -> tuple[bool, bool]:
    with torch.no_grad():
        found = [dense_values(one.detach()) for one in tensors_in(value) if _has_numbers(one)]
        real = [as_real(one) for one in found]
        return any(bool(one.isnan().any()) for one in real), any(bool(one.isinf().any()) for one in real)


def _has_numbers(tensor: torch.Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and has_readable_numbers(tensor)
