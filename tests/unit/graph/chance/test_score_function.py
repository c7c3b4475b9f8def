"""A draw that meets what it was drawn with, in a term that is weighed, is part of an estimator: on traces by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gradflow.graph.chance.draws import RANDOM_DRAW, Draw, draw_at, draws_in
from gradflow.graph.chance.origins import Origins
from gradflow.graph.chance.score_function import is_estimated, likelihood_of, only_weighs
from gradflow.graph.cut_group import CutGroup
from gradflow.recording import OperationColumns, Recording, ValueColumns

REGION = 7


@dataclass
class Sketch:
    """Writes a trace: every value has six entries, but for what a sum or a mean gives."""

    operations: OperationColumns = field(default_factory=OperationColumns)
    values: ValueColumns = field(default_factory=ValueColumns)
    names: list[str] = field(default_factory=list)

    def leaf(self, *, requires_grad: bool = True) -> int:
        return self._value(-1, requires_grad, (6,))

    def _value(self, producer: int, requires_grad: bool, shape: tuple[int, ...]) -> int:
        self.values.producer.append(producer)
        self.values.requires_grad.append(requires_grad)
        self.values.shape.append(shape)
        self.values.dtype.append(0)
        self.values.memory.append(len(self.values.memory))
        return len(self.values.producer) - 1

    def do(self, name: str, *inputs: int, mode: int = 0) -> int:
        columns, row = self.operations, len(self.operations.name)
        if name not in self.names:
            self.names.append(name)
        columns.name.append(self.names.index(name))
        columns.site.append(row)
        columns.call.append(-1)
        columns.mode.append(mode)
        columns.region.append(REGION if mode else -1)
        columns.sequence_start.append(row)
        columns.sequence_end.append(row + 1)
        columns.inputs.extend(inputs)
        columns.argument.extend(range(len(inputs)))
        columns.input_start.append(len(columns.inputs))
        has_history = not mode and any(self.values.requires_grad[value] for value in inputs)
        made = self._value(row, has_history, () if name in ("sum", "mean") else (6,))
        columns.outputs.append(made)
        columns.output_start.append(len(columns.outputs))
        return made

    def recording(self, score: int) -> Recording:
        return Recording(
            operations=self.operations,
            values=self.values,
            names=tuple(self.names),
            dtypes=("float32",),
            spans=(),
            calls=(),
            leaf_names={},
            score=score,
            layer_values={},
        )


class Policy(Sketch):
    """A mean and a scale from weights, and a draw with them under ``no_grad``."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = self.leaf(requires_grad=False)
        self.weight, self.log_scale = self.leaf(), self.leaf()
        self.mean = self.do("linear", self.hidden, self.weight)
        self.scale = self.do("exp", self.log_scale)
        self.drawn = self.do("normal", self.mean, self.scale, mode=1)
        self.kept = -1

    def likelihood(self, mean: int, drawn: int | None = None) -> int:
        off = self.do("sub", self.drawn if drawn is None else drawn, mean)
        scaled = self.do("div", self.do("pow", off), self.do("pow", self.scale))
        return self.do("sub", self.do("neg", scaled), self.do("log", self.scale))

    def draw(self, recording: Recording) -> Draw:
        (found,) = draws_in(recording)
        return found


def test_a_likelihood_that_is_weighed_is_one() -> None:
    policy = Policy()
    term = policy.likelihood(policy.mean)
    reward = policy.do("square", policy.drawn)
    recording = policy.recording(policy.do("sum", policy.do("mul", term, reward)))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert found.is_weighed
    assert term in found.values
    assert only_weighs(recording, [reward], found, [1] * 99)


def test_so_is_one_of_the_same_weights_in_another_call() -> None:
    policy = Policy()
    again = policy.do("linear", policy.hidden, policy.weight)
    term = policy.likelihood(again)
    recording = policy.recording(policy.do("mul", term, policy.do("square", policy.drawn)))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert found.is_weighed


def test_so_is_one_of_a_squashed_draw_whose_reward_left_torch() -> None:
    policy = Policy()
    squashed = policy.do("tanh", policy.drawn)
    policy.do("item", policy.do("square", squashed))
    recording = policy.recording(policy.do("mul", policy.likelihood(policy.mean, policy.do("atanh", squashed))))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert found.is_weighed


def test_a_reward_is_another_value_than_what_it_was_drawn_with() -> None:
    sketch = Policy()
    drawn = sketch.do("normal", sketch.mean, mode=1)
    reward = sketch.do("neg", sketch.do("square", drawn))
    recording = sketch.recording(sketch.do("mul", sketch.likelihood(sketch.mean, drawn), reward))
    (found,) = draws_in(recording)
    likelihood = likelihood_of(recording, found)
    assert likelihood is not None
    assert likelihood.is_weighed
    assert not Origins(recording).of(sketch.mean).is_shared_by(Origins(recording).of(reward))


@pytest.mark.parametrize("weight", ["mask", "buffer", "constant"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["decoded too", "likelihood alone"])
def test_only_what_is_given_may_be_a_reward_and_only_of_a_draw_with_no_other_part(
    weight: str, *, goes_on: bool
) -> None:
    policy = Policy()
    factor = policy.do("tensor") if weight == "constant" else policy.leaf(requires_grad=False)
    loss = policy.do("mul", policy.likelihood(policy.mean), policy.do("square", factor))
    if goes_on:
        loss = policy.do("add", loss, policy.do("linear", policy.drawn, policy.leaf()))
    recording = policy.recording(loss)
    recording.leaf_names[factor] = ("buffer", "beta") if weight == "buffer" else ("input", "1")
    draw = policy.draw(recording)
    found = likelihood_of(recording, draw)
    assert found is not None
    assert not found.is_weighed
    assert is_estimated(recording, draw, found, [1] * 99) is (weight == "mask" and not goes_on)


@pytest.mark.parametrize("prior", [True, False], ids=["prior", "old likelihood"])
def test_of_what_is_added_to_it_only_an_old_likelihood_takes_no_part(prior: bool) -> None:
    policy = Policy()
    term = policy.likelihood(policy.mean)
    beside = policy.drawn if prior else policy.do("sub", policy.drawn, policy.mean, mode=1)
    ratio = policy.do("sub", term, policy.do("square", beside, mode=1))
    recording = policy.recording(policy.do("mul", ratio, policy.leaf(requires_grad=False)))
    draw = policy.draw(recording)
    found = likelihood_of(recording, draw)
    assert found is not None
    assert is_estimated(recording, draw, found, [1] * 99) is not prior


def weigh_with_number(policy: Policy, term: int) -> int:
    return policy.do("mul", term)


def weigh_with_list(policy: Policy, term: int) -> int:
    return policy.do("mul", term, policy.do("sub", policy.do("tensor"), policy.leaf(requires_grad=False)))


def weigh_with_entries(policy: Policy, term: int) -> int:
    return policy.do("mul", term, policy.do("__setitem__", policy.kept))


def weigh_with_what_is_met_first(policy: Policy, term: int) -> int:
    return policy.do("mul", term, policy.leaf(requires_grad=False))


@pytest.mark.parametrize("leaves", ["before", "after"])
@pytest.mark.parametrize(
    "weigh", [weigh_with_number, weigh_with_list, weigh_with_entries, weigh_with_what_is_met_first]
)
def test_what_comes_back_after_a_draw_left_may_be_its_reward(weigh: Callable[[Policy, int], int], leaves: str) -> None:
    policy = Policy()
    policy.kept = policy.do("zeros")
    term = policy.likelihood(policy.mean)
    if leaves == "before":
        policy.do("item", policy.do("square", policy.drawn))
    loss = weigh(policy, term)
    if leaves == "after":
        policy.do("item", policy.do("square", policy.drawn))
    recording = policy.recording(loss)
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert found.is_weighed is (leaves == "before")


@pytest.mark.parametrize("loss", ["mse_loss", "mul"])
def test_noise_that_is_added_and_decoded_is_not_weighed(loss: str) -> None:
    policy = Policy()
    noisy = policy.do("add", policy.mean, policy.drawn)
    decoded = policy.do("linear", noisy, policy.leaf())
    recording = policy.recording(policy.do(loss, decoded, policy.leaf(requires_grad=False)))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is None or not found.is_weighed


def test_one_that_is_only_added_is_not_weighed() -> None:
    policy = Policy()
    decoder = policy.leaf()
    loss = policy.do("sum", policy.do("linear", policy.drawn, decoder))
    recording = policy.recording(policy.do("add", loss, policy.do("sum", policy.likelihood(policy.mean))))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert not found.is_weighed


@pytest.mark.parametrize("penalty", ["mean", "scale"])
def test_a_penalty_that_is_added_to_what_comes_of_the_draw_is_no_likelihood(penalty: str) -> None:
    policy = Policy()
    loss = policy.do("sum", policy.do("linear", policy.drawn, policy.leaf()))
    small = policy.do("mean", policy.do("square", getattr(policy, penalty)))
    recording = policy.recording(policy.do("add", loss, small))
    assert likelihood_of(recording, policy.draw(recording)) is None


@pytest.mark.parametrize(
    ("name", "made", "expected"),
    [
        ("gaussian_nll_loss", "linear", True),
        ("gaussian_nll_loss", "square", False),
        ("add", "linear", False),
        ("where", "linear", True),
        ("where", "gt", False),
    ],
)
def test_one_operation_may_be_given_the_weight_as_well(name: str, made: str, *, expected: bool) -> None:
    policy = Policy()
    more = (policy.leaf(requires_grad=False),) if made == "linear" else ()
    weight = policy.do("detach", policy.do(made, policy.drawn, *more))
    if name == "gaussian_nll_loss":
        loss = policy.do(name, policy.mean, policy.drawn, weight)
    else:
        loss = policy.do(name, weight, policy.likelihood(policy.mean))
    recording = policy.recording(loss)
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert found.is_weighed is expected
    assert only_weighs(recording, [weight], found, [1] * 99) is (expected or name != "gaussian_nll_loss")


def test_what_meets_it_beside_something_else_of_the_draw_needs_the_draw_itself() -> None:
    policy = Policy()
    decoded = policy.do("linear", policy.drawn, policy.leaf(requires_grad=False))
    recording = policy.recording(policy.do("addcmul", policy.mean, decoded, policy.do("neg", decoded)))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert not found.is_weighed


def test_a_decoder_with_the_same_weights_is_no_likelihood() -> None:
    policy = Policy()
    loss = policy.do("sum", policy.do("linear", policy.drawn, policy.do("t", policy.weight)))
    recording = policy.recording(policy.do("add", loss, policy.do("mean", policy.mean)))
    assert likelihood_of(recording, policy.draw(recording)) is None


def test_a_stop_that_goes_elsewhere_too_does_more_than_weigh() -> None:
    policy = Policy()
    term = policy.likelihood(policy.mean)
    held = policy.do("detach", policy.do("linear", policy.hidden, policy.leaf()), mode=1)
    loss = policy.do("mul", term, held)
    other = policy.do("mul", held, policy.do("linear", policy.hidden, policy.leaf()))
    recording = policy.recording(policy.do("add", loss, other))
    found = likelihood_of(recording, policy.draw(recording))
    assert found is not None
    assert not only_weighs(recording, [held], found, [1] * 99)


def test_a_region_out_of_which_the_draw_alone_goes_on_is_a_draw() -> None:
    sketch = Policy()
    noise = sketch.do("randn_like", sketch.mean, mode=1)
    drawn = sketch.do("add", sketch.mean, noise, mode=1)
    recording = sketch.recording(sketch.do("linear", drawn, sketch.leaf()))
    group = CutGroup(cause="no-grad", operation=recording.values.producer[drawn], value=sketch.mean, site=REGION)
    found = draw_at(recording, group, [1] * 99)
    assert found is not None
    assert drawn in found.values
    assert sketch.mean in found.given


def test_a_region_out_of_which_more_goes_on_is_none() -> None:
    sketch = Policy()
    other = sketch.do("relu", sketch.mean, mode=1)
    both = [sketch.do("linear", value, sketch.leaf()) for value in (sketch.drawn, other)]
    recording = sketch.recording(sketch.do("add", *both))
    group = CutGroup(cause="no-grad", operation=2, value=sketch.mean, site=REGION)
    assert draw_at(recording, group, [1] * 99) is None


def test_a_detach_is_no_draw_and_a_recorded_draw_is_one() -> None:
    sketch = Policy()
    recorded = sketch.do("normal", sketch.mean, sketch.scale)
    recording = sketch.recording(recorded)
    row = recording.values.producer[recorded]
    assert draw_at(recording, CutGroup(cause="detach", operation=row, value=sketch.mean), [1] * 99) is None
    found = draw_at(recording, CutGroup(cause=RANDOM_DRAW, operation=row, value=sketch.mean), [1] * 99)
    assert found is not None
    assert found.values == {recorded}


def test_what_is_put_together_has_the_origins_of_its_parts() -> None:
    policy = Policy()
    given = policy.do("stack", policy.do("exp", policy.mean), policy.scale)
    again = policy.do("stack", policy.do("exp", policy.do("linear", policy.hidden, policy.weight)), policy.scale)
    recording = policy.recording(again)
    assert Origins(recording).of(given).is_shared_by(Origins(recording).of(again))
    assert not Origins(recording).of(given).is_shared_by(Origins(recording).of(policy.hidden))


def test_normalised_logits_have_the_origin_of_the_logits_and_a_sum_of_two_has_its_own() -> None:
    policy = Policy()
    calls = [policy.do("linear", policy.hidden, policy.weight) for _ in range(2)]
    first, second = (policy.do("sub", call, policy.do("logsumexp", call)) for call in calls)
    mixed = policy.do("add", policy.mean, policy.scale)
    recording = policy.recording(second)
    assert Origins(recording).of(first).is_shared_by(Origins(recording).of(second))
    assert not Origins(recording).of(first).is_shared_by(Origins(recording).of(mixed))


def test_an_origin_is_found_behind_any_number_of_sums() -> None:
    policy = Policy()
    value = policy.mean
    for _ in range(60):
        value = policy.do("add", policy.do("exp", value), policy.do("square", value))
    recording = policy.recording(value)
    assert Origins(recording).of(value).is_shared_by(Origins(recording).of(policy.mean))
