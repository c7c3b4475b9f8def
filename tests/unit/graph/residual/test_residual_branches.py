"""Which additions join a branch and the value that it was computed from, on traces written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradflow.graph.residual.branches import ResidualBranch, meetings_with_data, residual_branches
from gradflow.recording import OperationColumns, Recording, ValueColumns


@dataclass
class Sketch:
    """``sketch.do("linear", x, weight)`` appends an operation and returns its output value."""

    operations: OperationColumns = field(default_factory=OperationColumns)
    values: ValueColumns = field(default_factory=ValueColumns)
    names: list[str] = field(default_factory=list)
    leaves: dict[int, tuple[str, str]] = field(default_factory=dict)

    def leaf(self, role: str, name: str) -> int:
        value = self._value(-1)
        self.leaves[value] = (role, name)
        return value

    def _value(self, producer: int) -> int:
        self.values.producer.append(producer)
        self.values.requires_grad.append(True)
        self.values.shape.append((2,))
        self.values.dtype.append(0)
        return len(self.values.producer) - 1

    def do(self, name: str, *inputs: int) -> int:
        columns = self.operations
        row = len(columns.name)
        if name not in self.names:
            self.names.append(name)
        columns.name.append(self.names.index(name))
        columns.inputs.extend(inputs)
        columns.argument.extend(range(len(inputs)))
        columns.input_start.append(len(columns.inputs))
        output = self._value(row)
        columns.outputs.append(output)
        columns.output_start.append(len(columns.outputs))
        return output

    def recording(self) -> Recording:
        return Recording(
            operations=self.operations,
            values=self.values,
            names=tuple(self.names),
            dtypes=("float32",),
            spans=(),
            calls=(),
            leaf_names=self.leaves,
            score=len(self.values.producer) - 1,
            layer_values={},
        )


def test_a_scaled_branch_of_two_layers() -> None:
    sketch = Sketch()
    x, scale = sketch.leaf("input", "0"), sketch.leaf("parameter", "scale")
    first, second = sketch.leaf("parameter", "first"), sketch.leaf("parameter", "second")
    hidden = sketch.do("gelu", sketch.do("linear", sketch.do("layer_norm", x), first))
    branch = sketch.do("view", sketch.do("mul", sketch.do("linear", hidden, second), scale))
    sketch.do("add", x, branch)
    expected = ResidualBranch(merge=6, end=3, before=2, members=frozenset({0, 1, 2, 3}))
    assert residual_branches(sketch.recording()) == (expected,)
    assert meetings_with_data(sketch.recording()) == {"first": 1, "second": 3, "scale": 4}


def test_the_skip_may_be_seen_through_a_view_and_the_weight_be_prepared() -> None:
    sketch = Sketch()
    x, weight = sketch.leaf("input", "0"), sketch.leaf("parameter", "weight")
    prepared = sketch.do("sub", weight, sketch.do("mean", weight))
    branch = sketch.do("linear", x, prepared)
    sketch.do("add_", sketch.do("reshape", x), branch)
    (found,) = residual_branches(sketch.recording())
    assert (found.merge, found.end, found.before) == (4, 2, -1)
    assert meetings_with_data(sketch.recording()) == {"weight": 2}


def test_neither_a_bias_nor_another_branch_nor_the_sum_of_two_is_a_skip() -> None:
    sketch = Sketch()
    x, weight, bias = (sketch.leaf(*leaf) for leaf in (("input", "0"), ("parameter", "w"), ("parameter", "b")))
    one = sketch.do("add", sketch.do("matmul", x, weight), bias)
    other = sketch.do("linear", x, weight)
    sketch.do("add", one, other)
    sketch.do("add", other, other)
    sketch.do("cat", x, other)
    assert residual_branches(sketch.recording()) == ()


def test_a_factor_on_the_skip_itself_is_no_branch() -> None:
    sketch = Sketch()
    x = sketch.leaf("input", "0")
    sketch.do("add", x, sketch.do("mul", x))
    assert residual_branches(sketch.recording()) == ()
