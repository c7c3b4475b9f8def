"""Whether a gradient ends at an operation because of its result only parts are read that the target has no part in.

Of an LSTM with two layers the score may read the first one's state alone: what the second has computed stands at
another index. Two experiments show it: a gradient that is put in at the other indices reaches the target, and the score
stays exactly the same when the values there are moved far away. Where a slope is zero behind them, it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.left_out_part import is_left_out, left_out
from gradflow.probe.other_runs.other_values import with_other_values
from gradflow.record.backward.dense_values import is_something
from gradflow.record.backward.walk import Node, link_operations, on_the_way, walk
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow, Unread

__all__ = ["MOST", "unread_unknown", "with_unread_parts"]

MOST = 8
"""So many operations are looked into; each takes some backward passes, and where it is found, some forward passes."""

_OTHER_INPUTS = 3


def with_unread_parts(
    laboratory: Laboratory, recording: Recording, target: str, flows: Sequence[NodeFlow]
) -> tuple[NodeFlow, ...]:
    """The same flows; those that end at an operation of which the parts that are read are others say which are."""
    asked = _asked(laboratory, flows)[:MOST]
    if not asked:
        return tuple(flows)
    look = _Backward(laboratory, target)
    found = {row: look.unread_at(recording.name_of(row), row) for row in asked}
    found = {row: unread if unread and is_left_out(laboratory, row, unread) else None for row, unread in found.items()}
    if any(found.values()):
        stays = _is_zero_for_others(laboratory, target)
        found = {row: replace(unread, other_inputs=stays) if unread else None for row, unread in found.items()}
    return tuple(
        replace(flow, unread=found[flow.operation]) if flow.is_end and found.get(flow.operation) else flow
        for flow in flows
    )


def unread_unknown(laboratory: Laboratory, recording: Recording, flows: Sequence[NodeFlow]) -> tuple[str, ...]:
    """What is not known, because a gradient ends at so many operations."""
    asked = _asked(laboratory, flows)
    if len(asked) <= MOST:
        return ()
    first = recording.name_of(asked[MOST])
    more = f"why the gradient ends at {len(asked) - MOST} more operations, the first of them `{first}`"
    return (f"{more}: of {len(asked)}, {MOST} were looked into",)


def _asked(laboratory: Laboratory, flows: Sequence[NodeFlow]) -> list[int]:
    if not laboratory.has_values:
        return []
    return list(dict.fromkeys(flow.operation for flow in flows if _may_be_unread(flow)))


def _may_be_unread(flow: NodeFlow) -> bool:
    """Whether nothing else is known of why nothing goes on."""
    facts = flow.facts
    explained = (
        facts.is_pointwise, facts.is_staircase, facts.is_of_one_entry, facts.ignores_all, facts.is_padding,
        facts.is_of_equals, flow.runs_hooks, flow.is_sum, facts.factor is not None, flow.writes_over is not None,
    )  # fmt: skip
    return flow.is_end and flow.operation >= 0 and flow.dies and not any(explained)


class _Backward:
    """One run, through which gradients are sent back as often as there is something to ask."""

    def __init__(self, laboratory: Laboratory, target: str) -> None:
        self._run = run = laboratory.forward()
        self._goals = laboratory.goals(run, target)
        root = run.live.score.grad_fn if run.live.score is not None else None
        nodes = walk(root) if root is not None and run.failure is None and self._goals else None
        self._nodes = nodes or ()
        self._way = on_the_way(nodes, {goal.node for goal in self._goals}) if nodes else set()

    def unread_at(self, name: str, row: int) -> Unread | None:
        """Which part of what the operation of a row gives is read, where another part would reach the target."""
        recording = self._run.recording
        if row >= len(recording) or recording.name_of(row) != name:
            return None
        for node in _entered(self._run, self._nodes, row, self._way):
            given = _gradient_at(self._run, self._goals, node, None)[0]
            for unread, part in _parts(given) if given is not None else ():
                if _gradient_at(self._run, self._goals, node, part)[1]:
                    return unread
        return None


def _entered(run: Run, nodes: Sequence[Node], row: int, way: set[Node]) -> Iterator[Node]:
    """The nodes of an operation to which a gradient comes from others: those of its results."""
    operation_of = link_operations(run.recording)
    own = {node for node in way if operation_of(node) == row}
    for node in nodes:
        if node not in own:
            for following, _ in node.next_functions:
                if following in own:
                    own.discard(following)
                    yield following


def _gradient_at(
    run: Run, goals: Sequence[Any], node: Node, part: torch.Tensor | None
) -> tuple[torch.Tensor | None, bool]:
    """What comes to the one result of a node, and whether any of it reaches the goals; with ``part`` put in besides."""
    seen: list[torch.Tensor] = []

    def look(incoming: Sequence[torch.Tensor | None]) -> tuple[torch.Tensor | None, ...] | None:
        there = [gradient for gradient in incoming if gradient is not None]
        if len(there) != 1 or there[0].layout != torch.strided or there[0].is_nested:
            return None
        seen.append(there[0].detach().clone())
        if part is None:
            return None
        return tuple(None if gradient is None else gradient + part for gradient in incoming)

    handle = node.register_prehook(look)
    try:
        gradients = run_theirs(
            torch.autograd.grad, (run.live.score, list(goals)), {"allow_unused": True, "retain_graph": True}
        )
    except Exception:  # noqa: BLE001  (whatever a backward raises for other numbers: then nothing is shown)
        return None, False
    finally:
        handle.remove()
    arrived = any(gradient is not None and is_something(gradient) for gradient in gradients)
    return (seen[0] if len(seen) == 1 else None), arrived


def _parts(gradient: torch.Tensor) -> Iterator[tuple[Unread, torch.Tensor]]:
    """For each dimension along which the gradient is zero at whole indices: which are not, and noise at those that are.

    Along the other dimensions the noise stands only where something comes in: other samples of a batch are not meant.
    At last all of them together, with noise wherever nothing comes in.
    """
    shape = tuple(gradient.shape)
    reads = [gradient.ne(0).movedim(d, 0).reshape(size, -1).any(1) for d, size in enumerate(shape)]
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(gradient.device, gradient.dtype)
    found = []
    for dimension, read in enumerate(reads):
        if not bool(read.any()) or bool(read.all()):
            continue
        found.append((dimension, shape[dimension], tuple(int(index) for index in read.nonzero()[:, 0])))
        part = noise
        for other, is_read in enumerate(reads):
            wanted = ~is_read if other == dimension else is_read
            part = part * wanted.reshape([-1 if d == other else 1 for d in range(len(shape))])
        yield Unread(shape=shape, read=(found[-1],)), part
    if len(found) > 1:
        unread = Unread(shape=shape, read=tuple(found))
        yield unread, noise * left_out(unread, gradient.device)


def _is_zero_for_others(laboratory: Laboratory, target: str) -> int:
    """For how many other values of the input the gradient is zero as well; 0 where it is not for one of them."""
    for number in range(1, _OTHER_INPUTS + 1):
        run = laboratory.forward(workload=with_other_values(laboratory.workload, number))
        if run.failure is not None:
            return 0
        parameters = {name: tensor for name, tensor in laboratory.parameters.items() if name == target}
        gradients = differentiate(run, parameters).by_target.get(target, ())
        if any(gradient is None or is_something(gradient) for gradient in gradients):
            return 0
    return _OTHER_INPUTS
