"""What follows of several targets is walked once, and comes out as when each is followed by itself."""

from __future__ import annotations

import random

import pytest

from gradflow.graph import dependence
from gradflow.graph.dependence import Dependences, analyse
from gradflow.graph.stretches.stretch import Stretch
from gradflow.recording import OperationColumns, Recording, ValueColumns

NAMES = ("relu", "add", "detach", "argmax", "tolist", "from_numpy", "requires_grad_", "to")
GIVE_NOTHING = ("tolist",)


class Sketch:
    def __init__(self) -> None:
        self.operations, self.values = OperationColumns(), ValueColumns()

    def value(self, producer: int, *, requires_grad: bool = True, dtype: int = 0) -> int:
        values = self.values
        values.producer.append(producer)
        values.requires_grad.append(requires_grad)
        values.shape.append((2,))
        values.dtype.append(dtype)
        values.memory.append(len(values.memory))
        return len(values.memory) - 1

    def do(self, name: str, *inputs: int, requires_grad: bool = True, region: int = -1, dtype: int = 0) -> int:
        columns, row = self.operations, len(self.operations.name)
        for column, entry in (
            (columns.name, NAMES.index(name)),
            (columns.site, -1),
            (columns.call, -1),
            (columns.mode, int(region >= 0)),
            (columns.region, region),
            (columns.sequence_start, row),
            (columns.sequence_end, row + 1),
        ):
            column.append(entry)
        columns.inputs.extend(inputs)
        columns.argument.extend(range(len(inputs)))
        columns.input_start.append(len(columns.inputs))
        made = -1 if name in GIVE_NOTHING else self.value(row, requires_grad=requires_grad, dtype=dtype)
        columns.outputs.extend([made] if made >= 0 else [])
        columns.output_start.append(len(columns.outputs))
        return made

    def recording(self, score: int) -> Recording:
        return Recording(
            operations=self.operations,
            values=self.values,
            names=NAMES,
            dtypes=("float32", "int64"),
            spans=(),
            calls=(),
            leaf_names={},
            score=score,
            layer_values={},
        )


def residual(blocks: int, cut_after: int = -1) -> tuple[Recording, list[int]]:
    """``x = x + relu(relu(x))``, again and again, cut once; with the result of every block."""
    sketch = Sketch()
    value = sketch.value(-1)
    results = []
    for block in range(blocks):
        inside = sketch.do("relu", sketch.do("relu", value))
        value = sketch.do("add", value, inside)
        if block == cut_after:
            value = sketch.do("detach", value, requires_grad=False)
        results.append(value)
    return sketch.recording(value), results


def anything(seed: int) -> Recording:
    drawn, sketch = random.Random(seed), Sketch()
    values = [sketch.value(-1, requires_grad=drawn.random() < 0.7) for _ in range(2)]
    region, straight, trouble = -1, drawn.random(), drawn.choice((0.0, 0.1, 0.4))
    for _ in range(drawn.randint(5, 50)):
        if drawn.random() < trouble:
            region = drawn.choice((-1, -1, 0, 1))
        name = drawn.choice(NAMES) if drawn.random() < trouble else drawn.choice(NAMES[:2])
        read = [values[-1] if drawn.random() < straight else drawn.choice(values) for _ in range(1 + (name == "add"))]
        is_whole = name != "argmax"
        grad = region < 0 and name != "detach" and is_whole and any(sketch.values.requires_grad[v] for v in read)
        made = sketch.do(name, *read, requires_grad=grad, region=region, dtype=int(not is_whole))
        values += [made] if made >= 0 else []
    return sketch.recording(drawn.choice(values[-3:]))


@pytest.mark.parametrize("seed", range(60))
def test_all_is_as_for_each_target_by_itself(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(dependence, "_SPACING", 1)  # whatever is shared at all is shared here
    recording = anything(seed)
    shared = Dependences(recording)
    count = len(recording.values.producer)
    for sources in [*((value,) for value in range(count)), (0, count - 1), ()]:
        assert shared.of(sources) == analyse(recording, sources)


@pytest.mark.parametrize("cut_after", [-1, 30])
def test_the_work_for_all_layers_grows_with_the_layers(monkeypatch: pytest.MonkeyPatch, cut_after: int) -> None:
    visits: list[int] = []
    visit = Stretch._visit

    def counted(self: Stretch, operation: int) -> None:
        visits.append(operation)
        visit(self, operation)

    monkeypatch.setattr(Stretch, "_visit", counted)

    def work(blocks: int) -> int:
        visits.clear()
        recording, results = residual(blocks, cut_after)
        shared = Dependences(recording)
        found = [shared.of((value,)) for value in results]
        assert [each.score_carries for each in found] == [block > cut_after for block in range(blocks)]
        return len(visits)

    few, many = work(100), work(400)
    assert few < 100 * 100
    assert many < 5 * few


def test_a_value_that_is_read_later_is_not_left_behind() -> None:
    """A skip from the target to the end: what follows of it is never one value before that."""
    sketch = Sketch()
    target = sketch.do("relu", sketch.value(-1))
    value = sketch.do("detach", target, requires_grad=False)
    for _ in range(80):
        value = sketch.do("relu", value, requires_grad=False)
    recording = sketch.recording(sketch.do("add", target, value))
    found = Dependences(recording).of((target,))
    assert found.score_carries
    assert [[group.cause for group in side] for side in found.sides] == [["detach"]]
