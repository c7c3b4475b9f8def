"""Recognises numbers that left torch where they come back: as a tensor's entries, or as a Python number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy
import torch

from gradflow.record.operations.tensor_facts import PLAIN_CLASSES, has_readable_numbers
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.values import leaves_in

__all__ = ["Numbers"]

_READ = 256
"""So many numbers of an array are looked at; one that has more is noted, as its others may come back unseen."""
_KEPT = 100_000
"""So many numbers are remembered, those that left last."""


class Numbers:
    """Which row brings back a number that an earlier row took out of torch.

    Only numbers that hardly anybody would write by hand count: 0.5, 3 or 0.001 may be equal by chance.

    Attributes
    ----------
    returned
        For an operation: the operations at which its numbers had left.
    met
        The same for a tensor that no recorded operation made, by its value.
    forgotten
        How many numbers that left are not remembered any more.
    partly
        The operations at which more numbers left than were looked at.
    """

    def __init__(self) -> None:
        self.returned: dict[int, tuple[int, ...]] = {}
        self.met: dict[int, tuple[int, ...]] = {}
        self.forgotten = 0
        self.partly: set[int] = set()
        self._left_at: dict[float, int] = {}

    def leave(self, row: int, result: Any) -> None:
        """An operation gave ``result``, a number, a list or an array."""
        every = _all_numbers_in(result)
        for number in filter(_is_telling, itertools.islice(every, _READ)):
            self._left_at.pop(number, None)
            self._left_at[number] = row
        if next(every, None) is not None:
            self.partly.add(row)
        for oldest in list(itertools.islice(self._left_at, max(0, len(self._left_at) - _KEPT))):
            del self._left_at[oldest]
            self.forgotten += 1

    def enter(self, row: int, tensor: torch.Tensor) -> None:
        """An operation made a tensor of something that is not a tensor."""
        if self._left_at:
            self._note(row, _numbers_in(tensor))

    def meet(self, value: int, tensor: torch.Tensor) -> None:
        """Nothing recorded made a tensor: perhaps `torch.FloatTensor(...)` did, of numbers that had left."""
        rows = self._left_where(_numbers_in(tensor)) if self._left_at else set()
        if rows:
            self.met[value] = tuple(sorted(rows))

    def all_returned(
        self, readers: Callable[[], Mapping[int, Sequence[int]]], gradients: Container[int]
    ) -> dict[int, tuple[int, ...]]:
        """What has ``returned``, a tensor that was met where an operation first reads it.

        Autograd made the ``gradients``, whatever numbers they have: of `scalar * w`, that of `w` is `scalar`.
        """
        found = dict(self.returned)
        reading = readers() if self.met else {}
        for value, rows in self.met.items():
            if value in reading and value not in gradients:
                row = reading[value][0]
                found[row] = tuple(sorted({*found.get(row, ()), *rows}))
        return found

    def use(self, row: int, arguments: Iterable[Any]) -> None:
        """An operation was given Python numbers among its arguments."""
        plain = [argument for argument in arguments if argument.__class__ is float]
        if plain and self._left_at:
            self._note(row, plain)

    def _note(self, row: int, numbers: Iterable[float]) -> None:
        rows = self._left_where(numbers)
        if rows:
            self.returned[row] = tuple(sorted(rows.union(self.returned.get(row, ()))))

    def _left_where(self, numbers: Iterable[float]) -> set[int]:
        return {self._left_at[number] for number in numbers if number in self._left_at}


def _numbers_in(value: Any) -> Iterator[float]:
    return filter(_is_telling, itertools.islice(_all_numbers_in(value), _READ))


def _all_numbers_in(value: Any) -> Iterator[float]:
    """All of a list; of an array or a tensor one more than are looked at."""
    return itertools.chain.from_iterable(map(_plain, leaves_in(value)))


def _plain(value: Any) -> Iterable[float]:
    if isinstance(value, float):
        return (value,)
    if isinstance(value, numpy.ndarray):
        return (float(number) for number in value.flat[: _READ + 1]) if value.dtype.kind == "f" else ()
    return _entries(value) if isinstance(value, torch.Tensor) else ()


def _entries(tensor: torch.Tensor) -> list[float]:
    """The first entries of an ordinary tensor; none of one without numbers of its own (meta, fake, a subclass)."""
    if type(tensor) not in PLAIN_CLASSES or not has_readable_numbers(tensor):
        return []
    with outside_dispatch(), torch.no_grad():
        if not tensor.is_floating_point() or tensor.layout is not torch.strided or tensor.is_nested:
            return []
        return tensor.detach().reshape(-1)[: _READ + 1].double().tolist()


def _is_telling(number: float) -> bool:
    """Neither a decimal fraction of few digits, such as ``1e-5``, nor a sum of a few powers of two."""
    size = abs(number)
    if not 1e-30 < size < 1e30:
        return False
    return abs(size - float(f"{size:.4g}")) > 1e-6 * size and (size * 1024) % 1.0 != 0.0
