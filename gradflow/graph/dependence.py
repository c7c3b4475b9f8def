"""Which values depend on the target, which of them carry its gradient, and where the two part.

Pure analysis of a recording: one pass forward, one backward, in time linear in its size. A value *depends* on the
target when the target's data went into it; it *carries* the gradient when, besides, autograd recorded every step since.
A *cut* is an operation at which a value that depends goes on and no longer carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradflow.graph.cut_group import Bridge, CutGroup, cause_of_loss, merge_cuts
from gradflow.graph.derivatives import is_choice, is_differentiable
from gradflow.graph.side_ways import side_ways
from gradflow.location import makes_tensor
from gradflow.recording import REGION_CAUSES, Recording
from gradflow.torch_facts.operations.queries import (
    CHANGED_THROUGH_VIEW,
    gives_argument_back,
    has,
    positions_read,
    words_of,
)

__all__ = ["Bridge", "CutGroup", "Dependence", "analyse", "is_differentiable"]


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """The outcome of :func:`analyse`.

    Attributes
    ----------
    depends, carries, reaches
        One byte per value: depends on the target; carries its gradient; is used by the score.
    score_depends, score_carries
        The same for the score itself.
    needed
        The smallest set of cuts (along one way) that must all be mended for the gradient to arrive; empty where it
        does, and where no way exists. In order from the target to the score.
    cuts
        Every cut whose value the score uses, in order of execution; includes the needed ones.
    sides
        For each way that the score uses and on which the gradient is lost: all that must be mended on it, in order.
    exits
        Operations at which a value that depends on the target left torch.
    way
        The values from the target to the score along the cheapest way.
    """

    depends: bytearray
    carries: bytearray
    reaches: bytearray
    score_depends: bool
    score_carries: bool
    needed: tuple[CutGroup, ...]
    cuts: tuple[CutGroup, ...]
    sides: tuple[tuple[CutGroup, ...], ...]
    exits: tuple[int, ...]
    way: tuple[int, ...]


def analyse(recording: Recording, sources: Sequence[int], bridges: Iterable[Bridge] = ()) -> Dependence:
    """Find what depends on the values ``sources`` and what still carries their gradient."""
    return _Analysis(recording, sources, tuple(bridges)).run()


def value_inputs(recording: Recording, operation: int) -> Sequence[int]:
    """The inputs whose *values* an operation uses: ``zeros_like(x)`` uses none, ``x.expand_as(y)`` only ``x``."""
    columns = recording.operations
    start = columns.input_start[operation]
    inputs = columns.inputs[start : columns.input_start[operation + 1]]
    relevant = positions_read(recording.names[columns.name[operation]])
    if relevant is None:
        return inputs
    return [value for offset, value in enumerate(inputs) if columns.argument[start + offset] in relevant]


def inputs_behind(recording: Recording, operation: int, output: int) -> Sequence[int]:
    """The inputs whose values one output was made of: a view among several outputs shows what it is a view of."""
    inputs = value_inputs(recording, operation)
    if operation not in recording.view_operations:
        return inputs
    memory = recording.values.memory
    if all(memory[value] != memory[output] for value in inputs):
        return inputs
    # what no output is a view of may have said which part of the others to show
    shown = {memory[value] for value in recording.outputs_of(operation)} - {memory[output]}
    return [value for value in inputs if memory[value] not in shown]


class _Analysis:
    def __init__(self, recording: Recording, sources: Sequence[int], bridges: tuple[Bridge, ...]) -> None:
        count = len(recording.values.producer)
        self.recording = recording
        self.sources = frozenset(source for source in sources if source >= 0)
        self.depends = bytearray(count)
        self.carries = bytearray(count)
        self.reaches = bytearray(count)
        self.cost: dict[int, int] = {}
        self.choices: dict[int, int] = {}
        self.is_choice: dict[tuple[str, int], bool] = {}
        self.length: dict[int, int] = {}
        self.parent: dict[int, tuple[int, tuple[CutGroup, ...]]] = {}
        self.cuts: list[tuple[CutGroup, tuple[int, ...]]] = []
        self.exits: list[int] = []
        self.same_leaf = {source: source for source in self.sources if recording.values.producer[source] < 0}
        self.bridges: dict[int, Bridge] = {bridge.enter: bridge for bridge in bridges}
        self.differentiable = [is_differentiable(dtype) for dtype in recording.dtypes]

    def run(self) -> Dependence:
        recording = self.recording
        for source in self.sources:
            self.depends[source] = 1
            self.carries[source] = recording.values.requires_grad[source]
            self.cost[source] = self.choices[source] = 0
        self._forward()
        self._backward()
        score = recording.score
        depends = score >= 0 and bool(self.depends[score])
        carries = depends and bool(self.carries[score])
        way, needed = self._cheapest(score) if depends else ((), ())
        cuts: dict[tuple[str, int], CutGroup] = {}
        for group in needed:
            cuts.setdefault(group.key, group)
        for group, outputs in self.cuts:
            if any(self.reaches[value] for value in outputs):
                cuts.setdefault(group.key, group)
        sides = side_ways(
            recording,
            cuts=self.cuts,
            depends=self.depends,
            carries=self.carries,
            inputs_of=self._data_of,
            groups_at=self._groups,
            group_of=self._group_of,
            bridges=self.bridges,
        )
        return Dependence(
            depends=self.depends,
            carries=self.carries,
            reaches=self.reaches,
            score_depends=depends,
            score_carries=carries,
            needed=needed,
            cuts=tuple(sorted(cuts.values(), key=lambda group: group.operation)),
            sides=sides,
            exits=tuple(self.exits),
            way=way,
        )

    def _forward(self) -> None:
        recording, depends = self.recording, self.depends
        columns = recording.operations
        all_inputs, input_start = columns.inputs, columns.input_start
        for operation in range(len(columns.name)):
            touched = False
            for value in all_inputs[input_start[operation] : input_start[operation + 1]]:
                if depends[value]:
                    touched = True
                    break
            if touched or operation in self.bridges:
                self._visit(operation)

    def _data_of(self, operation: int, output: int) -> Sequence[int]:
        """What an operation makes an output of; a leaf that is switched on again is the leaf itself."""
        inputs = inputs_behind(self.recording, operation, output)
        made = [value for value in self.recording.outputs_of(operation) if value in self.same_leaf]
        return [self.same_leaf[value] for value in made if self.carries[value]] or inputs

    def _visit(self, operation: int) -> None:
        recording, depends, carries = self.recording, self.depends, self.carries
        outputs = recording.outputs_of(operation)
        inputs = [value for value in value_inputs(recording, operation) if depends[value]]
        bridge = self.bridges.get(operation)
        if not outputs:
            if inputs:
                self.exits.append(operation)
            return
        if not inputs and bridge is None:
            return
        name = recording.name_of(operation)
        words = words_of(name)
        if "switches" in words and inputs and inputs[0] in self.same_leaf:
            self._switch(operation, outputs, inputs)
            return
        mode = recording.operations.mode[operation]
        hides = "detaches" in words or "rewraps" in words
        hides = hides or (name == CHANGED_THROUGH_VIEW and bool(self._hidden_by(operation)))
        nearest: dict[int, int] = {}
        for value in outputs:
            if value in self.sources:
                continue
            if operation in recording.view_operations:
                inputs = [each for each in inputs_behind(recording, operation, value) if depends[each]]
                nearest.clear()
                if not inputs and bridge is None:
                    continue
            if mode:
                # what is changed in place keeps the history it had; everything else has none
                first = recording.inputs_of(operation)[:1]
                keeps = bool(first) and bool(carries[first[0]])
            else:
                keeps = any(carries[each] for each in inputs)
            depends[value] = 1
            carries[value] = keeps and not hides and recording.values.requires_grad[value]
            if carries[value] not in nearest:
                nearest[carries[value]] = self._nearest(inputs, value)
            self._price(operation, value, nearest[carries[value]], bridge)
            if mode and carries[value]:
                self._note_unrecorded_write(operation, value, inputs)
            if bridge is not None and inputs:
                left = [v for v in value_inputs(recording, bridge.leave) if carries[v]]
                self.cuts.extend((self._group_of(bridge, v), (value,)) for v in left)

    def _switch(self, operation: int, outputs: Sequence[int], inputs: list[int]) -> None:
        """A leaf that is told to require grad, or not to, stays the same leaf: what reads it later counts again."""
        leaf = self.same_leaf[inputs[0]]
        for value in outputs:
            self.same_leaf[value] = leaf
            self.depends[value] = 1
            self.carries[value] = self.recording.values.requires_grad[value]
            if self.carries[value]:
                self.cost[value], self.choices[value], self.length[value] = 0, 0, 1
                self.parent[value] = (leaf, ())
            else:
                self._price(operation, value, self._nearest(inputs, value), None)

    def _note_unrecorded_write(self, operation: int, value: int, inputs: list[int]) -> None:
        """What is written while recording is off into a tensor with a history of its own: that one stays, this goes."""
        for source in inputs:
            if self.carries[source] and source != self.recording.inputs_of(operation)[0]:
                self.cuts.extend((group, (value,)) for group in self._groups(operation, value, source))

    def _nearest(self, inputs: list[int], value: int) -> int:
        """The input over which a value is reached best; -1 for none."""
        candidates = [each for each in inputs if self.carries[each] or not self.carries[value]]
        return min(candidates, key=self._rank, default=-1)

    def _price(self, operation: int, value: int, best: int, bridge: Bridge | None) -> None:
        """The number of things to mend before the gradient of ``value`` can arrive, and the way that needs fewest."""
        steps: list[tuple[int, tuple[CutGroup, ...]]] = []
        if best >= 0:
            steps.append((best, () if self.carries[value] else self._groups(operation, value, best)))
        if bridge is not None and not (steps and self.carries[value]):
            left = [v for v in value_inputs(self.recording, bridge.leave) if self.depends[v]]
            if left:
                leaving = min(left, key=self._rank)
                steps.append((leaving, (self._group_of(bridge, leaving),)))
        if not steps:
            return
        best, fresh = min(((source, self._fresh(source, groups)) for source, groups in steps), key=self._rank_of_step)
        self.cost[value], self.choices[value] = self._cost_of_step(best, fresh)
        self.length[value] = self.length.get(best, 0) + 1
        self.parent[value] = (best, fresh)
        for group in fresh:
            if self.carries[best] or bridge is not None:
                self.cuts.append((group, (value,)))

    def _group_of(self, bridge: Bridge, value: int) -> CutGroup:
        # `torch.Tensor([a, b])` reads its elements one by one, as `float(a)` does, and is a copy all the same
        copied = makes_tensor(self.recording.span_of(bridge.leave))
        cause = "tensor-rewrap" if copied else "numpy-roundtrip"
        return CutGroup(cause=cause, operation=bridge.enter, value=value, leave=bridge.leave)

    def _rank(self, value: int) -> tuple[int, int, int]:
        """Ways without a choice first: by one no gradient comes, whatever is mended. Then the fewest things to mend."""
        return self.choices[value], self.cost[value], self.length.get(value, 0)

    def _rank_of_step(self, step: tuple[int, tuple[CutGroup, ...]]) -> tuple[int, int, int]:
        cost, choices = self._cost_of_step(*step)
        return choices, cost, self.length.get(step[0], 0)

    def _cost_of_step(self, source: int, fresh: tuple[CutGroup, ...]) -> tuple[int, int]:
        """How much there is to mend on the way over one value and a step from it, and how many choices are there."""
        for group in fresh:
            if (key := (group.cause, group.operation)) not in self.is_choice:
                self.is_choice[key] = is_choice(self.recording, group)
        choices = sum(self.is_choice[group.cause, group.operation] for group in fresh)
        return self.cost[source] + len(fresh), self.choices[source] + choices

    def _fresh(self, source: int, groups: tuple[CutGroup, ...]) -> tuple[CutGroup, ...]:
        """Those of the cuts at a step that were not met already where the way comes from."""
        if groups and (last := self._last_group(source)) is not None:
            return tuple(group for group in groups if group.key != last.key)
        return groups

    def _last_group(self, value: int) -> CutGroup | None:
        """The cut met last on the cheapest way to a value, looked for within the same stretch of untracked values."""
        steps = 0
        while value in self.parent and steps < 64:
            value, groups = self.parent[value]
            if groups:
                return groups[-1]
            steps += 1
        return None

    def _groups(self, operation: int, value: int, source: int) -> tuple[CutGroup, ...]:
        """What has to be mended at one operation for ``value`` to carry the gradient of its input ``source``."""
        recording = self.recording
        name = recording.name_of(operation)
        columns = recording.operations
        lost = bool(self.carries[source])
        groups: list[CutGroup] = []
        whole = self.differentiable[recording.values.dtype[value]]
        was_whole = self.differentiable[recording.values.dtype[source]]
        if not whole:
            if was_whole:
                groups.append(CutGroup(cause="nondiff-op", operation=operation, value=source))
            return tuple(groups)
        first = recording.inputs_of(operation)[:1]
        # what is written into a tensor while recording is off loses its history; the tensor's own history stays
        if columns.mode[operation] and not (gives_argument_back(name) and first and first[0] == source):
            cause = REGION_CAUSES[columns.mode[operation]]
            region = columns.region[operation]
            groups.append(CutGroup(cause=cause, operation=operation, value=source, site=region))
        if has(name, "detaches"):
            groups.append(
                CutGroup(
                    cause="hook-detach" if operation in recording.hook_operations else "detach",
                    operation=operation,
                    value=source,
                )
            )
        elif has(name, "from-arrays") or (has(name, "imports") and self._leave_of(source, operation) >= 0):
            groups = [group for group in groups if group.site >= 0]
            groups.append(
                CutGroup(
                    cause="numpy-roundtrip",
                    operation=operation,
                    value=source,
                    leave=self._leave_of(source, operation),
                )
            )
        elif has(name, "rewraps") or name == CHANGED_THROUGH_VIEW:
            hidden_by = self._hidden_by(operation) if name == CHANGED_THROUGH_VIEW else ()
            groups.append(CutGroup(cause="tensor-rewrap", operation=operation, value=source, prepared_by=hidden_by))
        elif lost and not groups:
            groups.append(CutGroup(cause=cause_of_loss(recording, operation), operation=operation, value=source))
        return tuple(groups)

    def _hidden_by(self, operation: int) -> tuple[int, ...]:
        """The ``.data`` or ``detach()`` through which values were written, so that autograd did not see it."""
        recording = self.recording
        before, value = recording.inputs_of(operation)
        while value != before and (producer := recording.values.producer[value]) >= 0 and recording.inputs_of(producer):
            if has(recording.name_of(producer), "detaches"):
                return (producer,)
            value = recording.inputs_of(producer)[0]
        return ()

    def _leave_of(self, value: int, before: int) -> int:
        """The last operation before ``before`` at which ``value`` left torch, or -1."""
        for operation in reversed(self.exits):
            if operation < before and value in self.recording.inputs_of(operation):
                return operation
        return -1

    def _backward(self) -> None:
        recording, reaches = self.recording, self.reaches
        if recording.score < 0:
            return
        reaches[recording.score] = 1
        columns = recording.operations
        leaving: set[int] = set()
        for operation in range(len(columns.name) - 1, -1, -1):
            start, end = columns.output_start[operation], columns.output_start[operation + 1]
            used = [value for value in columns.outputs[start:end] if reaches[value]]
            if operation in leaving:
                for value in value_inputs(recording, operation):
                    reaches[value] = 1
            elif not used:
                continue
            for output in used if operation in recording.view_operations else used[:1]:
                for value in inputs_behind(recording, operation, output):
                    reaches[value] = 1
            bridge = self.bridges.get(operation)
            if bridge is not None:
                leaving.add(bridge.leave)

    def _cheapest(self, score: int) -> tuple[tuple[int, ...], tuple[CutGroup, ...]]:
        way = [score]
        groups: list[CutGroup] = []
        value = score
        while value in self.parent:
            value, here = self.parent[value]
            way.append(value)
            groups.extend(reversed(here))
        needed = merge_cuts(list(reversed(groups)), self.recording)
        return tuple(reversed(way)), needed
