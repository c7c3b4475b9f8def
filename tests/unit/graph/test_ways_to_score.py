"""What stands between each value and the score, on traces written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradflow.graph.ways_to_score import upstream_of, ways_to_score
from gradflow.recording import OperationColumns, Recording, ValueColumns


@dataclass
class Sketch:
    """``sketch.do("relu", x)`` appends an operation, whose number is its site, and returns its output value."""

    operations: OperationColumns = field(default_factory=OperationColumns)
    values: ValueColumns = field(default_factory=ValueColumns)
    names: list[str] = field(default_factory=list)

    def leaf(self, *, requires_grad: bool = True) -> int:
        return self._value(-1, requires_grad)

    def _value(self, producer: int, requires_grad: bool, dtype: int = 0) -> int:
        self.values.producer.append(producer)
        self.values.requires_grad.append(requires_grad)
        self.values.shape.append((2,))
        self.values.dtype.append(dtype)
        return len(self.values.producer) - 1

    def do(self, name: str, *inputs: int, grad: bool = True, region: int = -1, whole: bool = False) -> int:
        columns = self.operations
        row = len(columns.name)
        if name not in self.names:
            self.names.append(name)
        columns.name.append(self.names.index(name))
        columns.site.append(row)
        columns.call.append(-1)
        columns.mode.append(int(region >= 0))
        columns.region.append(region)
        columns.sequence_start.append(row)
        columns.sequence_end.append(row + 1)
        columns.inputs.extend(inputs)
        columns.argument.extend(range(len(inputs)))
        columns.input_start.append(len(columns.inputs))
        made = self._value(row, grad, int(whole))
        columns.outputs.append(made)
        columns.output_start.append(len(columns.outputs))
        return made

    def recording(self, score: int) -> Recording:
        return Recording(
            operations=self.operations,
            values=self.values,
            names=tuple(self.names),
            dtypes=("float32", "int64"),
            spans=(),
            calls=(),
            leaf_names={},
            score=score,
            layer_values={},
        )


def test_nothing_stands_in_a_whole_way() -> None:
    sketch = Sketch()
    weight = sketch.leaf()
    hidden = sketch.do("linear", weight)
    score = sketch.do("sum", hidden)
    ways = ways_to_score(sketch.recording(score))
    assert ways.obstacles[weight] == ()
    assert (ways.first_read[weight], ways.last_use[weight]) == (0, 1)


def test_weights_before_a_cut_share_it_and_those_behind_are_free() -> None:
    sketch = Sketch()
    first, second, third = (sketch.leaf() for _ in range(3))
    hidden = sketch.do("linear", sketch.do("linear", first), second)
    cut = sketch.do("detach", hidden, grad=False)
    score = sketch.do("linear", cut, third)
    ways = ways_to_score(sketch.recording(score))
    assert ways.obstacles[first] == ways.obstacles[second] == (("detach", 2),)
    assert ways.obstacles[third] == ()


def test_a_way_over_whole_numbers_counts_only_where_there_is_no_other() -> None:
    sketch = Sketch()
    weight, other = sketch.leaf(), sketch.leaf()
    places = sketch.do("argmax", weight, grad=False, whole=True)
    chosen = sketch.do("embedding", places, other)
    smooth = sketch.do("detach", sketch.do("linear", sketch.do("detach", weight, grad=False), other), grad=False)
    assert ways_to_score(sketch.recording(chosen)).obstacles[weight] == (("argmax", 0),)
    both = sketch.do("mul", chosen, smooth)
    assert ways_to_score(sketch.recording(both)).obstacles[weight] == (("detach", 2), ("detach", 4))


def test_of_two_ways_the_one_with_fewer_cuts_counts() -> None:
    sketch = Sketch()
    weight = sketch.leaf()
    hidden = sketch.do("linear", weight)
    score = sketch.do("add", sketch.do("detach", hidden, grad=False), sketch.do("relu", hidden))
    assert ways_to_score(sketch.recording(score)).obstacles[weight] == ()


def test_a_region_without_recording_is_one_obstacle() -> None:
    sketch = Sketch()
    weight = sketch.leaf()
    hidden = sketch.do("relu", sketch.do("linear", weight, grad=False, region=7), grad=False, region=7)
    score = sketch.do("linear", hidden, sketch.leaf())
    assert ways_to_score(sketch.recording(score)).obstacles[weight] == (("region", 7),)


def test_cuts_in_a_row_are_listed_from_the_value_on() -> None:
    sketch = Sketch()
    weight = sketch.leaf()
    early = sketch.do("detach", sketch.do("linear", weight), grad=False)
    late = sketch.do("detach", sketch.do("linear", early, sketch.leaf()), grad=False)
    score = sketch.do("linear", late, sketch.leaf())
    assert ways_to_score(sketch.recording(score)).obstacles[weight] == (("detach", 1), ("detach", 3))


def test_what_the_score_does_not_use_has_no_way() -> None:
    sketch = Sketch()
    used, unused, unread = (sketch.leaf() for _ in range(3))
    score = sketch.do("sum", sketch.do("linear", used))
    sketch.do("relu", sketch.do("linear", unused))
    ways = ways_to_score(sketch.recording(score))
    assert ways.obstacles[unused] is None
    assert ways.last_use[unused] == 3
    assert ways.first_read[unread] == -1


def test_only_the_shape_of_a_value_is_no_way() -> None:
    sketch = Sketch()
    weight = sketch.leaf()
    score = sketch.do("sum", sketch.do("zeros_like", weight, grad=False))
    assert ways_to_score(sketch.recording(score)).obstacles[weight] is None


def test_upstream_is_what_an_operation_depends_on() -> None:
    sketch = Sketch()
    first, second = sketch.leaf(), sketch.leaf()
    hidden = sketch.do("linear", first)
    sketch.do("relu", hidden)
    score = sketch.do("linear", hidden, second)
    before = upstream_of(sketch.recording(score), 1)
    assert [bool(before[value]) for value in (first, hidden, second)] == [True, True, False]
