"""Each gradient is that of the input in its position, however the inputs are given."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge

from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observation import Observation
from gradflow.watch.observing import observation_of


def observed(run) -> Observation:
    watch = Watch()
    with watch.watching():
        run()
    observation = observation_of(watch)
    assert observation.recording.completeness.is_to_the_end
    return observation


def arrived(observation: Observation) -> list[tuple[bool, bool]]:
    (backward,) = observation.program.backwards
    return [(one.arrived, one.is_zero) for one in backward.results]


def test_an_edge_keeps_its_place() -> None:
    def run() -> None:
        x, zeros = torch.ones(3, requires_grad=True), torch.zeros(3)
        hidden = x * 2
        torch.autograd.grad((hidden * zeros).sum() + x.sum(), [get_gradient_edge(hidden), x])

    observation = observed(run)
    assert arrived(observation) == [(True, True), (True, False)]
    assert observation.program.backwards[0].inputs[0] == -1
    assert explain_observation(observation).verdict == "connected"


def test_a_zero_beside_an_edge_is_still_found() -> None:
    def run() -> None:
        x, zeros = torch.ones(3, requires_grad=True), torch.zeros(3)
        hidden = x * 2
        torch.autograd.grad((hidden * zeros).sum(), [get_gradient_edge(hidden), x])

    assert explain_observation(observed(run)).verdict == "zero"


@pytest.mark.parametrize(
    "given",
    [
        lambda layer: dict(layer.named_parameters()).values(),
        lambda layer: layer.parameters(),
        lambda layer: (layer.weight, layer.bias),
        lambda layer: dict.fromkeys(layer.parameters()),
    ],
)
def test_any_iterable_will_do(given) -> None:
    def run(detach: bool) -> None:
        layer = nn.Linear(3, 1)
        out = layer(torch.ones(2, 3))
        score = out.detach().requires_grad_() if detach else out
        inputs = given(layer)
        inputs = iter(list(inputs)) if isinstance(inputs, dict) else inputs
        torch.autograd.grad(score.sum(), inputs, allow_unused=True)

    observation = observed(lambda: run(detach=True))
    assert arrived(observation) == [(False, False), (False, False)]
    assert [one.name for one in explain_observation(observation).diagnostics] == ["detach"]
    healthy = observed(lambda: run(detach=False))
    assert arrived(healthy) == [(True, False), (True, False)]
    assert explain_observation(healthy).verdict == "connected"


def test_zeros_that_torch_fills_in_pair_with_their_inputs() -> None:
    def run() -> None:
        layer, other = nn.Linear(3, 1), nn.Linear(1, 1)
        inputs = {"a": layer.weight, "b": other.weight}.values()
        torch.autograd.grad(layer(torch.ones(2, 3)).sum(), inputs, materialize_grads=True)

    assert [one[0] for one in arrived(observed(run))] == [True, False]


def test_of_an_edge_that_is_differentiated_nothing_is_claimed() -> None:
    def run() -> None:
        layer = nn.Linear(3, 1)
        score = layer(torch.ones(2, 3)).sum()
        torch.autograd.backward([get_gradient_edge(score)], inputs=[layer.weight])
        assert layer.weight.grad is not None
        torch.autograd.grad(get_gradient_edge(layer(torch.ones(2, 3)).sum()), layer.bias)

    observation = observed(run)
    assert [backward.roots for backward in observation.program.backwards] == [(), ()]
    assert all(len(backward.arrived) >= 1 for backward in observation.program.backwards[:1])
    assert explain_observation(observation).verdict == "connected"


def test_inputs_that_raise_are_no_backward() -> None:
    def inputs():
        yield torch.ones(1, requires_grad=True)
        raise KeyError("mine")

    def run() -> None:
        with pytest.raises(KeyError, match="mine"):
            torch.autograd.grad(torch.ones(1, requires_grad=True).sum(), inputs())

    assert observed(run).program.backwards == ()


@pytest.mark.parametrize(
    ("given", "is_allowed", "is_filled"),
    [
        ((None, True, False, True), False, False),
        ((None, True, False, True, True), True, False),
        ((None, True, False, True, True, False, True), True, True),
    ],
)
def test_arguments_count_by_position_too(given, is_allowed: bool, is_filled: bool) -> None:
    def run() -> None:
        x, other = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        torch.autograd.grad((x * 2).sum(), [x, other] if is_allowed else iter([x]), *given)

    (backward,) = observed(run).program.backwards
    assert (backward.allow_unused, backward.fills_zeros) == (is_allowed, is_filled)
    assert [one.arrived for one in backward.results] == [True, False][: 1 + is_allowed]


def test_more_arguments_than_there_are_is_an_error_of_the_program() -> None:
    def run() -> None:
        x = torch.ones(3, requires_grad=True)
        with pytest.raises(TypeError):
            torch.autograd.grad((x * 2).sum(), x, None, None, False, True, None, False, False, "one too many")

    observed(run)
