"""What depends on the target, what carries its gradient, and the cuts in between, on traces written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gradflow.graph.dependence import Bridge, CutGroup, analyse
from gradflow.graph.paths.way_through import way_through
from gradflow.recording import OperationColumns, Recording, ValueColumns


@dataclass
class Sketch:
    """Writes a trace: ``sketch.do("relu", x)`` appends an operation and returns its output value."""

    operations: OperationColumns = field(default_factory=OperationColumns)
    values: ValueColumns = field(default_factory=ValueColumns)
    names: list[str] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=lambda: ["float32", "int64"])

    def leaf(self, *, requires_grad: bool = False) -> int:
        return self._value(-1, requires_grad, "float32")

    def _value(self, producer: int, requires_grad: bool, dtype: str) -> int:
        self.values.producer.append(producer)
        self.values.requires_grad.append(requires_grad)
        self.values.shape.append((2,))
        self.values.dtype.append(self.dtypes.index(dtype))
        return len(self.values.producer) - 1

    def do(
        self,
        name: str,
        *inputs: int,
        grad: bool = True,
        dtype: str = "float32",
        mode: int = 0,
        region: int = -1,
        out: bool = True,
    ) -> int:
        columns = self.operations
        row = len(columns.name)
        if name not in self.names:
            self.names.append(name)
        columns.name.append(self.names.index(name))
        columns.site.append(-1)
        columns.call.append(-1)
        columns.mode.append(mode)
        columns.region.append(region)
        columns.sequence_start.append(row)
        columns.sequence_end.append(row + 1)
        columns.inputs.extend(inputs)
        columns.argument.extend(range(len(inputs)))
        columns.input_start.append(len(columns.inputs))
        made = -1
        if out:
            made = self._value(row, grad, dtype)
            columns.outputs.append(made)
        columns.output_start.append(len(columns.outputs))
        return made

    def recording(self, score: int, **layers: int) -> Recording:
        return Recording(
            operations=self.operations,
            values=self.values,
            names=tuple(self.names),
            dtypes=tuple(self.dtypes),
            spans=(),
            calls=(),
            leaf_names={},
            score=score,
            layer_values={name: (value,) for name, value in layers.items()},
        )


def causes(sketch: Sketch, score: int, layer: int, bridges: tuple[Bridge, ...] = ()) -> tuple[list[str], list[str]]:
    """The causes of the cuts that are needed, and of all."""
    found = analyse(sketch.recording(score, layer=layer), (layer,), bridges)
    return [group.cause for group in found.needed], [group.cause for group in found.cuts]


def test_an_intact_path_has_no_cut():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    score = s.do("sum", s.do("relu", layer))
    found = analyse(s.recording(score, layer=layer), (layer,))
    assert found.score_carries
    assert not found.needed
    assert not found.cuts


def test_detach_cuts():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    score = s.do("sum", s.do("linear", s.do("detach", layer, grad=False), s.leaf(requires_grad=True)))
    found = analyse(s.recording(score, layer=layer), (layer,))
    assert found.score_depends
    assert not found.score_carries
    assert [group.cause for group in found.needed] == ["detach"]


def test_a_cut_whose_value_the_score_does_not_use_is_none():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    s.do("mean", s.do("detach", layer, grad=False), grad=False)
    score = s.do("sum", layer)
    assert causes(s, score, layer) == ([], [])


def test_a_cut_on_one_of_two_ways_is_not_needed_but_told():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    score = s.do("add", s.do("relu", layer), s.do("detach", layer, grad=False))
    assert causes(s, score, layer) == ([], ["detach"])


def test_cuts_in_a_row_are_all_needed_and_a_region_counts_once():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    h = s.do("detach", layer, grad=False)
    h = s.do("linear", h, s.leaf(requires_grad=True))
    h = s.do("tanh", h, grad=False, mode=1, region=7)
    h = s.do("relu", h, grad=False, mode=1, region=7)
    score = s.do("linear", h, s.leaf(requires_grad=True))
    assert causes(s, score, layer)[0] == ["detach", "no-grad"]


def test_the_way_with_fewest_cuts_is_taken():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    twice = s.do("linear", s.do("detach", layer, grad=False), s.leaf(requires_grad=True))
    twice = s.do("linear", s.do("detach", twice, grad=False), s.leaf(requires_grad=True))
    once = s.do("numpy_backed", layer, grad=False)
    score = s.do("add", twice, once)
    assert causes(s, score, layer)[0] == ["nondiff-op"]


@pytest.mark.parametrize("detached", [1, 2])
def test_a_choice_is_taken_for_the_way_only_where_there_is_no_other(detached: int) -> None:
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    smooth = layer
    for _ in range(detached):
        smooth = s.do("linear", s.do("detach", smooth, grad=False), s.leaf(requires_grad=True))
    chosen = s.do("to", s.do("argmax", layer, grad=False, dtype="int64"), grad=False)
    assert causes(s, s.do("add", chosen, smooth), layer)[0] == ["detach"] * detached
    assert causes(s, s.do("mul", chosen, s.leaf(requires_grad=True)), layer)[0] == ["nondiff-op"]


def test_numbers_that_came_back_from_outside_come_before_a_choice() -> None:
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    places = s.do("nonzero", layer, grad=False, dtype="int64")
    s.do("tolist", layer, out=False)
    made = s.do("sparse_coo_tensor", places, grad=False)
    score = s.do("sum", made, grad=False)
    recording = s.recording(score, layer=layer)
    assert [each.cause for each in analyse(recording, (layer,)).needed] == ["nondiff-op"]
    bridged = analyse(recording, (layer,), (Bridge(leave=1, enter=2),))
    assert [each.cause for each in bridged.needed] == ["numpy-roundtrip"]


def test_what_only_gives_its_shape_passes_nothing_on():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    score = s.do("sum", s.do("zeros_like", layer, grad=False), grad=False)
    assert not analyse(s.recording(score, layer=layer), (layer,)).score_depends


def test_an_integer_is_the_cut_and_what_follows_from_it_is_not():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    index = s.do("argmax", layer, grad=False, dtype="int64")
    hot = s.do("one_hot", index, grad=False, dtype="int64")
    score = s.do("linear", s.do("float", hot, grad=False), s.leaf(requires_grad=True))
    assert causes(s, score, layer)[0] == ["nondiff-op"]


def test_a_new_leaf_that_requires_grad_is_a_cut_all_the_same():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    score = s.do("sum", s.do("Parameter", layer, grad=True))
    assert causes(s, score, layer)[0] == ["tensor-rewrap"]


def test_in_place_under_no_grad_keeps_the_history_of_what_is_changed():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    h = s.do("relu", layer)
    h = s.do("mul_", h, mode=1, region=3)
    assert analyse(s.recording(s.do("sum", h), layer=layer), (layer,)).score_carries


def test_writing_under_no_grad_loses_the_history_of_what_is_written():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    buffer = s.do("copy_", s.leaf(), layer, grad=False, mode=1, region=3)
    score = s.do("linear", buffer, s.leaf(requires_grad=True))
    assert causes(s, score, layer)[0] == ["no-grad"]


def test_a_bridge_brings_the_value_back():
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    s.do("item", layer, out=False)
    score = s.do("mul", s.leaf(requires_grad=True))
    assert causes(s, score, layer) == ([], [])
    needed, _ = causes(s, score, layer, (Bridge(leave=0, enter=1),))
    assert needed == ["numpy-roundtrip"]
    assert analyse(s.recording(score, layer=layer), (layer,), (Bridge(leave=0, enter=1),)).exits == (0,)


def _leaving(s: Sketch, value: int, operations_between: int) -> list[str]:
    """The cuts where a value leaves torch as an array, and comes back so many operations later."""
    leave = len(s.operations.name)
    s.do("numpy", value, out=False)
    for _ in range(operations_between):
        s.do("zeros", grad=False)
    score = s.do("linear", s.do("from_numpy", grad=False), s.leaf(requires_grad=True))
    layer = 0
    return causes(s, score, layer, (Bridge(leave=leave, enter=leave + 1 + operations_between),))[0]


@pytest.mark.parametrize("between", [0, 10])
def test_a_detach_that_only_prepares_the_way_out_is_part_of_it(between):
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    prepared = s.do("cpu", s.do("detach", layer, grad=False), grad=False)
    assert _leaving(s, prepared, between) == ["numpy-roundtrip"]


@pytest.mark.parametrize("between", [0, 10])
def test_a_detach_before_a_computation_is_a_cut_of_its_own(between):
    s = Sketch()
    layer = s.leaf(requires_grad=True)
    detached = s.do("detach", layer, grad=False)
    assert _leaving(s, s.do("linear", detached, s.leaf(), grad=False), between) == ["detach", "numpy-roundtrip"]


def test_a_long_chain_is_linear_in_time():
    s = Sketch()
    layer = h = s.leaf(requires_grad=True)
    for _ in range(100_000):
        h = s.do("mul", h)
    assert analyse(s.recording(h, layer=layer), (layer,)).score_carries


def test_a_leaf_that_is_switched_off_and_on_again_is_the_same_leaf():
    sketch = Sketch()
    weight, x = sketch.leaf(requires_grad=True), sketch.leaf()
    off = sketch.do("requires_grad_", weight, grad=False)
    drawn = sketch.do("linear", x, off, grad=False)
    stopped = sketch.do("detach", drawn, grad=False)
    on = sketch.do("requires_grad_", off)
    score = sketch.do("linear", stopped, on)
    found = analyse(sketch.recording(score, weight=weight), (weight,))
    assert found.score_carries
    assert found.needed == ()
    # the other way begins where it is switched off, and does not go on along the switch back
    assert [[group.cause for group in way] for way in found.sides] == [["requires-grad-off", "detach"]]


def test_the_result_of_an_operation_is_no_leaf_that_can_be_switched_on_again():
    sketch = Sketch()
    weight = sketch.leaf(requires_grad=True)
    made = sketch.do("mul", weight, grad=False)
    on = sketch.do("requires_grad_", made)
    score = sketch.do("sum", on)
    found = analyse(sketch.recording(score, weight=weight), (weight,))
    assert not found.score_carries
    assert found.needed


def test_a_way_through_a_cut_goes_past_the_shorter_one():
    sketch = Sketch()
    x = sketch.leaf(requires_grad=True)
    low = sketch.do("linear", x)
    long = sketch.do("tanh", low)
    stopped = sketch.do("detach", long, grad=False)
    joined = sketch.do("add", low, stopped)
    score = sketch.do("sum", joined)
    recording = sketch.recording(score, x=x)
    found = analyse(recording, (x,))
    (cut,) = found.cuts
    assert found.way == (x, low, joined, score)
    assert way_through(recording, found, cut) == (x, low, long, stopped, joined, score)
    # of a cut that is on no way to the score, the cheapest way is all there is
    lone = sketch.do("detach", low, grad=False)
    recording = sketch.recording(score, x=x)
    elsewhere = CutGroup(cause="detach", operation=len(recording) - 1, value=low)
    assert lone not in way_through(recording, analyse(recording, (x,)), elsewhere)
