"""`--layer "*"` on healthy networks: status 0, and each layer has an answer or is told of in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from tests.integration.targets import networks

X = torch.ones(2, 4)


def told(report: gradflow.Report) -> set[str]:
    """The layers that the report speaks of: those with an answer, and those named under `assumed`."""
    words = " ".join(report.assumptions).split("`")[1::2]
    return {one.target.name for one in report.reports} | set(words)


@pytest.mark.parametrize("network", networks.HEALTHY, ids=lambda network: network.__name__)
def test_every_layer_of_a_healthy_network(network: type[nn.Module]) -> None:
    model = network()
    report = gradflow.check(model, "*", inputs=X)
    assert report.exit_code == 0, str(report)
    assert {one.verdict for one in report.reports} == {"connected"}
    can_run = {name for name, module in model.named_modules() if name and hasattr(type(module), "forward")}
    held = {name for name, module in model.named_modules() if isinstance(module, nn.ModuleList | nn.ModuleDict)}
    held |= {name for name, module in model.named_modules() if isinstance(module, nn.ParameterList)}
    assert can_run - held <= told(report)


@pytest.mark.parametrize(
    ("network", "layer"),
    [(networks.Attention, "attention.out_proj"), (networks.OwnCheckpoint, "block.2"), (networks.InsideVmap, "inner")],
)
def test_what_stands_in_is_the_gradient_of_the_parameters(network: type[nn.Module], layer: str) -> None:
    model = network()
    report = gradflow.check(model, "*", inputs=X, target=0)
    answer = next(one for one in report.reports if one.target.name == layer)
    model(X)[0, 0].backward()
    parameters = {f"{layer}.{name}": value for name, value in model.get_submodule(layer).named_parameters()}
    assert {one.name for one in answer.gradients} == set(parameters)
    for one in answer.gradients:
        assert one.l2_norm == pytest.approx(parameters[one.name].grad.norm().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("network", "layer", "verdict"),
    [
        (networks.Attention, "attention.out_proj", "unused"),
        (networks.ReturnsNone, "probe", "not determined"),
        (networks.HoldsALoss, "criterion", "unused"),
        (networks.OwnCall, "own", "not determined"),
    ],
)
def test_who_names_the_layer_means_its_output(network: type[nn.Module], layer: str, verdict: str) -> None:
    for asked in ([layer], [layer, "*"], ["*", layer]):
        report = gradflow.check(network(), asked, inputs=X)
        assert next(one for one in report.reports if one.target.name == layer).verdict == verdict


@pytest.mark.parametrize(("network", "pattern"), [(networks.ReturnsNone, "prob?"), (networks.HoldsALoss, "crit*")])
def test_a_glob_that_matches_nothing_else_is_answered(network: type[nn.Module], pattern: str) -> None:
    report = gradflow.check(network(), pattern, inputs=X)
    assert report.exit_code == 1
    assert not report.others


class NeverCalled(networks.Base):
    def build(self):
        self.forgotten = nn.Linear(4, 4)


class DropsIt(networks.Base):
    def build(self):
        self.dropped = nn.Linear(4, 4)

    def between(self, h):
        self.dropped(h)
        return h


class CutInside(networks.StoresElsewhere):
    def between(self, h):
        return super().between(h).detach() + h


class CutWeights(networks.Attention):
    """The weights of a layer that is not called are read, and lead nowhere."""

    def build(self):
        self.inner = nn.Linear(4, 4)

    def between(self, h):
        return h + nn.functional.linear(h, self.inner.weight.detach(), self.inner.bias.detach())


@pytest.mark.parametrize(
    ("network", "layer"),
    [(NeverCalled, "forgotten"), (DropsIt, "dropped"), (CutInside, "store.lin"), (CutWeights, "inner")],
)
def test_what_is_wrong_is_still_found(network: type[nn.Module], layer: str) -> None:
    report = gradflow.check(network(), "*", inputs=X)
    assert report.exit_code == 1
    answers = {one.target.name: one.verdict for one in report.reports}
    assert answers[layer] in ("unused", "broken")


def test_the_words_name_three_and_count_the_others() -> None:
    class Many(networks.Base):
        def build(self):
            self.probes = nn.ModuleList(networks.Nothing() for _ in range(5))

        def between(self, h):
            for probe in self.probes:
                probe(h)
            return h

    report = gradflow.check(Many(), "*", inputs=X)
    (said,) = (one for one in report.assumptions if "left out" in one)
    assert said.startswith("layers left out: `probes.0`, `probes.1`, `probes.2` (and 2 more), each of which returned")
