"""Reads of ``.grad``: the first ones at each place are noted one by one, the later ones are counted."""

from __future__ import annotations

from types import FrameType

import torch

from gradflow.location import SiteTable, is_installed
from gradflow.record.tables import Tables
from gradflow.record.tensor_facts import is_leaf, requires_grad, retains_grad
from gradflow.watch.events import READS_KEPT, GradRead
from gradflow.watch.observers.callers import (
    accepts_nothing,
    caller_of,
    is_guard,
    is_guarded_once_named,
    only_asks_presence,
)
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.measuring import measure

__all__ = ["GradReads"]

_PER_PLACE = 50
"""So often a ``.grad`` is measured for each place and tensor; of a loop the first turns are enough."""


class GradReads:
    """What each read found.

    None is left out of the count, and the first read at a place that finds a gradient where there was none before, or
    none where there was one, is noted however late it comes.
    """

    def __init__(self, log: Log, sites: SiteTable, tables: Tables) -> None:
        self._log = log
        self._sites = sites
        self._tables = tables
        self._counts: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int, bool], GradRead] = {}

    def note(self, tensor: torch.Tensor, gradient: torch.Tensor | None, frame: FrameType | None, moment: int) -> None:
        """The program's own code has read ``tensor.grad`` when ``moment`` operations had run."""
        frame = caller_of(frame)
        if frame is None or is_installed(frame.f_code.co_filename):
            return
        site, value = self._sites.number(frame), self._tables.value_of(tensor)
        count = self._counts[site, value] = self._counts.get((site, value), 0) + 1
        is_there = gradient is not None
        known = self._last.get((site, value, is_there))
        if known is not None and (count > _PER_PLACE or len(self._log.reads) >= READS_KEPT):
            known.times += 1
            return
        if len(self._log.reads) >= READS_KEPT:
            self._log.reads_left_out += 1
            return
        here = (frame.f_code, frame.f_lasti)
        read = GradRead(
            value=value,
            site=site,
            operation=moment,
            backwards=len(self._log.backwards),
            measured=measure(gradient),
            is_leaf=is_leaf(tensor),
            requires_grad=requires_grad(tensor),
            retains_grad=retains_grad(tensor),
            is_guard=is_guard(*here) or (not is_there and is_guarded_once_named(*here)),
            is_wanted=not only_asks_presence(*here) and not (not is_there and accepts_nothing(*here)),
            result=-1 if gradient is None else self._tables.value_of(gradient),
        )
        self._log.reads.append(read)
        self._last[site, value, is_there] = read
        if is_there:
            self._log.gradient_of[read.result] = value
