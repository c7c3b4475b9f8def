"""Whether what makes a gradient zero was drawn: the same model, with other random numbers, once more.

A product with stochastic depth is zero in this run and not in the next; one with the zeros of a dead ``relu`` is zero
whatever a dropout behind it draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.evidence import NodeFlow
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.recorder import Recorder

__all__ = ["with_other_draws"]

_RUNS = 4
_MOST = 16
"""So many runs where none of the first shows anything else: a part that is nearly always dropped is not always."""

_Place = tuple[str, int, int, str, int]


def with_other_draws(
    laboratory: Laboratory, trace: Trace, target: str, flows: Sequence[NodeFlow]
) -> tuple[NodeFlow, ...]:
    """The same flows; those that end because of a factor that is zero say what became of them with other draws.

    ``trace`` is the run that ``flows`` are of. Where nothing is drawn, and where the zeros are a leaf's own, no run is
    made.
    """
    asked = {flow: place for flow, place in _places(trace, flows) if _may_be_drawn(trace, flow)}
    if not asked or not laboratory.drew:
        return tuple(flows)
    came = dict.fromkeys(asked.values(), 0)
    went = dict.fromkeys(asked.values(), 0)
    for number in range(_MOST):
        if number >= _RUNS and any(went.values()):
            break
        run = laboratory.forward(draw=number + 1)
        goals = laboratory.goals(run, target)
        if run.failure is not None or not goals or not run.drew:
            break
        seen, _, _ = scan_backward(run, goals)
        for flow, place in _places(run.trace, seen):
            if place in came and flow.incoming:
                came[place] += 1
                went[place] += any(flow.outgoing)
    zeros = _handing_on_zeros(laboratory) if any(came.values()) and not any(went.values()) else frozenset[int]()
    return tuple(
        replace(flow, redrawn_count=came[asked[flow]], passed_count=went[asked[flow]], zeros_go_through=zeros)
        if flow in asked
        else flow
        for flow in flows
    )


def _may_be_drawn(trace: Trace, flow: NodeFlow) -> bool:
    if not flow.is_end or flow.operation < 0:
        return False
    inputs = trace.inputs_of(flow.operation)
    if flow.zero_operands:
        # a weight that starts at zero is not drawn
        return any(number >= len(inputs) or trace.values.producer[inputs[number]] >= 0 for number in flow.zero_operands)
    # of a batch, the score may read one sample only, and the factor be zero for that one
    return flow.factor == 0.0 or flow.least_factor == 0.0


def _places(trace: Trace, flows: Sequence[NodeFlow]) -> list[tuple[NodeFlow, _Place]]:
    """Each flow with what it has in common with the same one of another run: line, how often it ran, which node."""
    numbers: dict[tuple[int, int], int] = {}
    of_row = {}
    for row, key in enumerate(zip(trace.operations.name, trace.operations.site, strict=True)):
        of_row[row] = numbers[key] = numbers.get(key, -1) + 1
    nodes: dict[tuple[int, str], int] = {}
    found = []
    for flow in flows:
        if flow.operation >= 0:
            row, node = flow.operation, (flow.operation, flow.name)
            nodes[node] = nodes.get(node, -1) + 1
            place = trace.name_of(row), trace.operations.site[row], of_row[row], flow.name, nodes[node]
            found.append((flow, place))
    return found


def _handing_on_zeros(laboratory: Laboratory) -> frozenset[int]:
    """The operations of the first run whose first argument was all zeros."""
    recorder = _ZerosRecorder(laboratory.sites, laboratory.before_write)
    laboratory.forward(recorder=recorder)
    return frozenset(recorder.rows)


class _ZerosRecorder(Recorder):
    """Records like any other, and notes the operations whose first argument is all zeros."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.rows: list[int] = []

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Look at the argument before it may be written to, then record."""
        row = len(self.operations.name)
        is_zero = bool(args) and self._is_zero(args[0])
        result = super().record(func, args, kwargs, kind, name, text)
        if is_zero and len(self.operations.name) > row:
            self.rows.append(row)
        return result

    def _is_zero(self, argument: Any) -> bool:
        if not isinstance(argument, torch.Tensor) or argument.layout is not torch.strided or argument.is_meta:
            return False
        self.suspended += 1
        try:
            with torch.no_grad():
                return bool(argument.numel()) and not bool(argument.detach().any())
        except (RuntimeError, NotImplementedError):
            return False  # a subclass or a dtype that has no such question
        finally:
            self.suspended -= 1
