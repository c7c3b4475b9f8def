"""Whether what makes a gradient zero was drawn: the same model, with other random numbers, once more.

A product with stochastic depth is zero in this run and not in the next; one with the zeros of a dead ``relu`` is zero
whatever a dropout behind it draws. Another run tells of an operation only where it surely is the same one there: a run
that leaves out a block runs the lines of the next one in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gradflow.graph.dependence import value_inputs
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.drawn_rows import DrawnRows, depends_on_draws, look_at_draws
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow

__all__ = ["with_other_draws"]

_RUNS = 4
_MOST = 16
"""So many runs where none of the first shows anything else: a part that is nearly always dropped is not always."""

_Line = tuple[str, int, str]
"""The name of an operation, the number of its site, and the module that it ran in."""

_Place = tuple[_Line, int, str, int]
"""How often that ran before, and which node it is of those that it made."""


def with_other_draws(
    laboratory: Laboratory, recording: Recording, target: str, flows: Sequence[NodeFlow]
) -> tuple[NodeFlow, ...]:
    """The same flows; those that end because of a factor that is zero say what became of them with other draws.

    ``recording`` is the run that ``flows`` are of. Where nothing is drawn, and where the zeros are a leaf's own, no run
    is made; where they are computed of nothing that is drawn, one.
    """
    lines = _lines(recording)
    asked = {flow: place for flow, place in _places(lines, flows) if _may_be_drawn(recording, flow)}
    if not asked or not laboratory.drew:
        return tuple(flows)
    rows = look_at_draws(laboratory, recording)
    drawn = _drawn_values(laboratory, recording, rows)
    if drawn is not None:
        asked = {flow: place for flow, place in asked.items() if _reads_any(recording, flow, drawn)}
        if not asked:
            return tuple(flows)
    came = dict.fromkeys(asked.values(), 0)
    went = dict.fromkeys(asked.values(), 0)
    for number in range(_MOST):
        if number >= _RUNS and (any(went.values()) or not any(came.values())):
            break
        run = laboratory.forward(draw=number + 1)
        goals = laboratory.goals(run, target)
        if run.failure is not None or not goals or not run.drew:
            break
        seen, _, _ = scan_backward(run, goals)
        others = _lines(run.recording)
        same = _lines_in_common(lines, others)
        for flow, place in _places(others, seen):
            if place in came and flow.incoming and place[0] in same:
                came[place] += 1
                went[place] += any(flow.outgoing)
    zeros = rows.of_zeros if any(came.values()) and not any(went.values()) else frozenset[int]()
    return tuple(
        replace(flow, redrawn_count=came[asked[flow]], passed_count=went[asked[flow]], zeros_go_through=zeros)
        if flow in asked
        else flow
        for flow in flows
    )


def _may_be_drawn(recording: Recording, flow: NodeFlow) -> bool:
    if not flow.is_end or flow.operation < 0:
        return False
    inputs = recording.inputs_of(flow.operation)
    if flow.facts.zero_operands:
        # a weight that starts at zero is not drawn
        return any(
            number >= len(inputs) or recording.values.producer[inputs[number]] >= 0
            for number in flow.facts.zero_operands
        )
    # of a batch, the score may read one sample only, and the factor be zero for that one
    return flow.facts.factor == 0.0 or flow.facts.least_factor == 0.0


def _drawn_values(laboratory: Laboratory, recording: Recording, rows: DrawnRows) -> frozenset[int] | None:
    """What depends on draws; ``None`` where that may be anything, as a program decides on them or draws elsewhere."""
    if rows.drawing is None or laboratory.drew - {"torch"}:
        return None
    return depends_on_draws(recording, rows.drawing)


def _reads_any(recording: Recording, flow: NodeFlow, drawn: frozenset[int]) -> bool:
    """Whether what an operation multiplies with is drawn, by itself or before."""
    read = {*value_inputs(recording, flow.operation), *recording.outputs_of(flow.operation)}
    inputs, zeros = recording.inputs_of(flow.operation), flow.facts.zero_operands
    if zeros and all(number < len(inputs) for number in zeros):
        read = {inputs[number] for number in zeros}
    return not drawn.isdisjoint(read)


def _lines(recording: Recording) -> list[_Line]:
    return [
        (recording.name_of(row), recording.operations.site[row], recording.module_of(row))
        for row in range(len(recording))
    ]


def _lines_in_common(lines: list[_Line], others: list[_Line]) -> frozenset[_Line]:
    """Those of which two runs tell the same: all where both did the same throughout, else what ran once in each."""
    if lines == others:
        return frozenset(lines)
    count, other_count = Counter(lines), Counter(others)
    return frozenset(line for line in count if count[line] == other_count[line] == 1)


def _places(lines: Sequence[_Line], flows: Sequence[NodeFlow]) -> list[tuple[NodeFlow, _Place]]:
    """Each flow with what it has in common with the same one of another run."""
    numbers = Counter[_Line]()
    of_row = []
    for line in lines:
        of_row.append(numbers[line])
        numbers[line] += 1
    nodes = Counter[tuple[int, str]]()
    found = []
    for flow in flows:
        if flow.operation >= 0:
            node = (flow.operation, flow.name)
            found.append((flow, (lines[flow.operation], of_row[flow.operation], flow.name, nodes[node])))
            nodes[node] += 1
    return found
