"""Reads of ``.grad``: the first ones at each place are noted one by one, later ones that find the same are counted."""

from __future__ import annotations

from types import FrameType
from typing import Literal

import torch

from gradflow.location import SiteTable, is_installed
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import has_readable_numbers, is_leaf, requires_grad, retains_grad
from gradflow.record.program.callers import (
    accepts_nothing,
    caller_of,
    is_guard,
    is_guarded_once_named,
    only_asks_presence,
)
from gradflow.record.program.log import Log
from gradflow.record.program.magnitude import magnitude_of, resolved
from gradflow.record.program.measuring import measure
from gradflow.recording.program.events import GradRead
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["GradReads"]

_PER_PLACE = 50
"""So often a ``.grad`` is measured in full for each place and tensor; afterwards it is looked at whether it differs."""

_ONE_BY_ONE = 20_000
"""So many reads of all tensors are noted; afterwards, those of a tensor at a place that find the same are one."""

_Found = Literal["none", "unreadable", "zero", "numbers", "not finite"]


class GradReads:
    """What each read found.

    None is left out: of those that are not noted one by one, each that finds something else of its tensor than was
    found of that tensor there before is noted however late it comes, and the others are counted.
    """

    def __init__(self, log: Log, sites: SiteTable, tables: Tables) -> None:
        self._log = log
        self._sites = sites
        self._tables = tables
        self._counts: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int, _Found, bool, bool, bool], int] = {}

    def note(self, tensor: torch.Tensor, gradient: torch.Tensor | None, frame: FrameType | None, moment: int) -> None:
        """The program's own code has read ``tensor.grad`` when ``moment`` operations had run."""
        frame = caller_of(frame)
        if frame is None or is_installed(frame.f_code.co_filename):
            return
        site, value = self._sites.number(frame), self._tables.value_of(tensor)
        count = self._counts[site, value] = self._counts.get((site, value), 0) + 1
        found = _found(gradient)
        kind = (is_leaf(tensor), requires_grad(tensor), retains_grad(tensor))
        if kind[0]:
            self._log.note_flag(value, known=self._tables.values.requires_grad[value], met=kind[1])
        is_counted = count > _PER_PLACE or len(self._log.reads) >= _ONE_BY_ONE
        known = self._last.get((site, value, found, *kind)) if is_counted else None
        if known is not None:
            self._log.counted[known] += 1
            self._mark_pass(self._log.reads[known], gradient)
            return
        here = (frame.f_code, frame.f_lasti)
        read = GradRead(
            value=value,
            site=site,
            operation=moment,
            backwards=len(self._log.backwards),
            measured=measure(gradient),
            is_leaf=kind[0],
            requires_grad=kind[1],
            retains_grad=kind[2],
            is_guard=is_guard(*here) or (gradient is None and is_guarded_once_named(*here)),
            is_wanted=not only_asks_presence(*here) and not (gradient is None and accepts_nothing(*here)),
            result=-1 if gradient is None else self._tables.value_of(gradient),
        )
        number = len(self._log.reads)
        self._log.reads.append(read)
        self._mark_pass(read, gradient)
        self._last[site, value, found, kind[0], kind[1], kind[2]] = number
        if gradient is not None:
            self._log.gradient_of[read.result] = value

    def _mark_pass(self, read: GradRead, gradient: torch.Tensor | None) -> None:
        """What the last backward pass brought is used by the program itself, also by a read that is only counted."""
        if gradient is not None and not read.is_guard:
            self._log.passes_read.add(len(self._log.backwards) - 1)


def _found(gradient: torch.Tensor | None) -> _Found:
    if gradient is None:
        return "none"
    if not has_readable_numbers(gradient):
        return "unreadable"
    with outside_dispatch(), torch.no_grad():
        (largest,) = resolved([magnitude_of(gradient)])
    if largest is None:
        return "unreadable"
    return "zero" if largest == 0 else "numbers" if largest < float("inf") else "not finite"
