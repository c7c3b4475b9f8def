"""Whether what one run left out takes part in another one: the same search, whatever the other runs differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from gradflow.probe.gradient import differentiate
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["MOST", "CalledIn", "Learning", "has_exits", "learning_in"]

MOST = 16
"""So many further runs, while none of them shows anything."""

RunNumber = Callable[[int], Run | None]
"""The further run of that number, counted from 1; ``None`` where there is none that could show anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What further runs show.

    ``names`` are those that get a gradient in one of them. ``run_count`` is how many runs there were in which the
    others got none either; ``called`` what each of these runs called.
    """

    names: frozenset[str] = frozenset()
    run_count: int = 0
    called: tuple[frozenset[str], ...] = ()


def learning_in(run_number: RunNumber, asked: Mapping[str, torch.Tensor]) -> Learning:
    """Look at those of ``asked``, which got no gradient in the first run, in further ones."""
    rest = dict(asked)
    called: list[frozenset[str]] = []
    while rest and len(called) < MOST:
        run = run_number(len(called) + 1)
        if run is None:
            break
        called.append(_called(run))
        gradients = differentiate(run, rest).by_target
        rest = {name: tensor for name, tensor in rest.items() if all(g is None for g in gradients.get(name, ()))}
    return Learning(names=frozenset(set(asked) - set(rest)), run_count=len(called), called=tuple(called))


class CalledIn:
    """Which modules further runs call; each run is made once, for all that are asked for."""

    def __init__(self, run_number: RunNumber) -> None:
        self._run_number = run_number
        self._runs: list[frozenset[str] | None] = []

    def calls(self, layer: str) -> bool:
        """Whether one of the runs calls a layer."""
        for number in range(MOST):
            if number == len(self._runs):
                run = self._run_number(number + 1)
                self._runs.append(None if run is None else _called(run))
            called = self._runs[number]
            if called is None:
                return False
            if layer in called:
                return True
        return False


def has_exits(recording: Recording, end: int | None = None) -> bool:
    """Whether a value left torch, at any operation before ``end``: then Python may decide by it."""
    exits = {number for number, name in enumerate(recording.names) if has(name, "leaves")}
    return not exits.isdisjoint(recording.operations.name[:end])


def _called(run: Run) -> frozenset[str]:
    return frozenset(run.recording.calls_by_module)
