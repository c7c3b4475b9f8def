"""One stretch of the way that values take: from where they are to where all that follows from them is one value."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradflow.graph.cut_group import Bridge, CutGroup, cause_of_loss
from gradflow.graph.derivatives import is_choice, is_differentiable
from gradflow.graph.side_ways import Way, WaysOnwards
from gradflow.graph.stretches.reads import inputs_behind, value_inputs
from gradflow.graph.stretches.uses import Uses
from gradflow.location import makes_tensor
from gradflow.recording import REGION_CAUSES, Recording
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, gives_argument_back, has, words_of

__all__ = ["Arrival", "Found", "Stretch"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A value that is all that is left of a target, and what matters there of the way to it.

    ``carries`` tells whether the gradient is still on the way; ``last_region`` is the cut that was met last, where it
    is a region without recording, which later operations may still belong to.
    """

    value: int
    carries: bool
    last_region: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What holds from the sources of a stretch to the score.

    ``depends`` and ``carries`` have one byte per value. ``cuts`` are all with the values behind them, in order of
    execution; ``way`` is the cheapest one to the score, empty where there is none, and ``on_way`` its cuts; ``onwards``
    is what stands between the arrival that the stretch began with and the score, ``None`` where no way leads there.
    """

    depends: bytearray
    carries: bytearray
    cuts: tuple[tuple[CutGroup, tuple[int, ...]], ...]
    exits: tuple[int, ...]
    way: tuple[int, ...]
    on_way: tuple[CutGroup, ...]
    sides: tuple[Way, ...]
    onwards: Way | None


class Stretch:
    """Follows values from operation to operation.

    Parameters
    ----------
    recording, uses
        The run.
    sources
        The values to start with.
    bridges
        Where values left torch and came back, by the operation at which they did.
    begin
        Where the stretch continues another, what was left of it; ``sources`` are its value.
    spacing
        So many operations belong together: an arrival ends a stretch where it is not among those with which it began.
    """

    def __init__(
        self,
        recording: Recording,
        uses: Uses,
        sources: frozenset[int],
        bridges: Mapping[int, Bridge],
        *,
        begin: Arrival | None = None,
        spacing: int,
    ) -> None:
        count = len(recording.values.producer)
        self.recording = recording
        self.uses = uses
        self.sources = sources
        self.begin = begin
        self.spacing = spacing
        self.depends = bytearray(count)
        self.carries = bytearray(count)
        self.cost: dict[int, int] = {}
        self.choices: dict[int, int] = {}
        self.is_choice: dict[tuple[str, int], bool] = {}
        self.length: dict[int, int] = {}
        self.parent: dict[int, tuple[int, tuple[CutGroup, ...]]] = {}
        self.last_cut: dict[int, tuple[tuple[str, int], bool]] = {}  # what it is, and whether it is a region
        self.cuts: list[tuple[CutGroup, tuple[int, ...]]] = []
        self.exits: list[int] = []
        self.same_leaf = {source: source for source in sources if recording.values.producer[source] < 0}
        self.bridges = bridges
        self.differentiable = [is_differentiable(dtype) for dtype in recording.dtypes]
        self.visited: list[int] = []
        self._waiting = sorted(bridges)
        self._queued = set(self._waiting)
        self._here = -1
        self._met: list[int] = []
        self._met_here: list[int] = []
        self._until = -1
        for source in sources:
            self._meet(source)
            self.carries[source] = recording.values.requires_grad[source]
            self.cost[source] = self.choices[source] = 0
        if begin is not None:
            self.carries[begin.value] = begin.carries
            if begin.last_region is not None:
                self.last_cut[begin.value] = begin.last_region, True

    def arrival(self) -> Arrival | None:
        """Walk on to where all that follows is one value; ``None`` when the end has come before."""
        while self._waiting:
            operation = self._here = heapq.heappop(self._waiting)
            self.visited.append(operation)
            self._met_here = []
            before = self._until
            self._visit(operation)
            if before <= operation and self._is_far(operation):
                left = {value for value in self._met_here if self.uses.until[value] > operation}
                value = next(iter(left), -1)
                if len(left) == 1 and self.uses.given[value] == operation and value not in self.same_leaf:
                    return self._arrived(value)
        return None

    def _is_far(self, operation: int) -> bool:
        return operation // self.spacing > self.visited[0] // self.spacing

    def _arrived(self, value: int) -> Arrival:
        last, is_region = self.last_cut.get(value, (None, False))
        return Arrival(value, bool(self.carries[value]), last if is_region else None)

    def _meet(self, value: int) -> None:
        """A value depends on the sources: what reads it later is looked at."""
        self._met_here.append(value)
        self._met.append(value)
        self.depends[value] = 1
        self._until = max(self._until, self.uses.until[value])
        for reader in self.uses.readers.get(value, ()):
            if reader > self._here and reader not in self._queued:
                self._queued.add(reader)
                heapq.heappush(self._waiting, reader)

    def found(self, arrival: Arrival | None = None, rest: Found | None = None) -> Found:
        """What was found on the stretch, and on the ``rest`` of the way from the value with which it ended."""
        recording = self.recording
        depends, carries, end = self.depends, self.carries, recording.score
        if rest is not None and arrival is not None:
            depends, carries, end = bytearray(rest.depends), bytearray(rest.carries), arrival.value
            for value in self._met:
                depends[value], carries[value] = 1, self.carries[value]
        way: tuple[int, ...] = ()
        on_way: tuple[CutGroup, ...] = ()
        if rest is None or rest.way:
            way, on_way = self._way_to(end)
        if rest is not None:
            way, on_way = (*way, *rest.way[1:]), (*on_way, *rest.on_way)
        onwards: Way | None = None
        sides: dict[tuple[tuple[str, int], ...], Way] = {}
        if recording.score >= 0 and (self.cuts or self.begin is not None):
            ways = WaysOnwards(recording, self.depends, self.carries, self._data_of, self._groups, self._group_of)
            if rest is not None and rest.onwards is not None:
                ways.known[end] = rest.onwards
            ways.walk_back(self.visited, self.bridges)
            sides = ways.behind(self.cuts)
            onwards = ways.known.get(self.begin.value) if self.begin is not None else None
        for one in () if rest is None else rest.sides:
            sides.setdefault(tuple(group.key for group in one), one)
        return Found(
            depends=depends,
            carries=carries,
            cuts=(*self.cuts, *(() if rest is None else rest.cuts)),
            exits=(*self.exits, *(() if rest is None else rest.exits)),
            way=way,
            on_way=on_way,
            sides=tuple(sides.values()),
            onwards=onwards,
        )

    def _way_to(self, value: int) -> tuple[tuple[int, ...], tuple[CutGroup, ...]]:
        """The cheapest way to a value, and its cuts; nothing where the value does not depend."""
        if value < 0 or not self.depends[value]:
            return (), ()
        way = [value]
        groups: list[CutGroup] = []
        while value in self.parent:
            value, here = self.parent[value]
            way.append(value)
            groups.extend(reversed(here))
        return tuple(reversed(way)), tuple(reversed(groups))

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
            self._meet(value)
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
            self._meet(value)
            self.carries[value] = self.recording.values.requires_grad[value]
            if self.carries[value]:
                self.cost[value], self.choices[value], self.length[value] = 0, 0, 1
                self.parent[value] = (leaf, ())
                self.last_cut.pop(value, None)
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
        last = (fresh[-1].key, fresh[-1].site >= 0) if fresh else self.last_cut.get(best)
        if last is not None:
            self.last_cut[value] = last
        else:
            self.last_cut.pop(value, None)
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
        if groups and (last := self.last_cut.get(source)) is not None:
            return tuple(group for group in groups if group.key != last[0])
        return groups

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
