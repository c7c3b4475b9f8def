"""What a model reports beside its loss is not what a check or an audit differentiates; a cut head is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import gradflow


class TwoHeads(nn.Module):
    """Returns what ``make(features, first, second, module)`` makes of the two heads' outputs."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 2)
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        features = torch.tanh(self.body(x))
        return self.make(features, self.first(features), self.second(features), self)


def penalty(module: nn.Module) -> torch.Tensor:
    return torch.stack([parameter.square().sum() for parameter in module.parameters()]).sum()


def without_grad(function: Any, *arguments: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return function(*arguments)


def both(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return first.square().mean() + second.square().mean()


REPORTED_BESIDE = {
    "a loss and a metric": lambda f, a, b, m: {"objective": both(a, b), "hits": without_grad(torch.mean, a)},
    "the metric comes first": lambda f, a, b, m: {"hits": without_grad(torch.mean, a), "objective": both(a, b)},
    "detached logits and the loss": lambda f, a, b, m: {"logits": a.detach(), "loss": both(a, b)},
    "a tuple": lambda f, a, b, m: (a.detach(), f.detach().cpu(), both(a, b)),
    "a copy as a Python number": lambda f, a, b, m: {"value": both(a, b).item(), "cost": both(a, b)},
    "an array": lambda f, a, b, m: {"seen": a.detach().numpy(), "cost": both(a, b)},
    "a norm of the weights": lambda f, a, b, m: {"cost": both(a, b), "norm": without_grad(penalty, m)},
    "a penalty beside a loss": lambda f, a, b, m: {"logits": a.detach(), "l2": penalty(m), "cost": both(a, b)},
    "an embedding beside logits": lambda f, a, b, m: {"out_a": a, "emb": f.detach(), "out_b": b},
}


@pytest.mark.parametrize("make", REPORTED_BESIDE.values(), ids=REPORTED_BESIDE)
def test_what_is_only_reported_is_neither_score_nor_loss(make: Any) -> None:
    model, x = TwoHeads(make), torch.rand(4, 5)
    audited = gradflow.audit(model, inputs=x)
    assert not audited.diagnostics
    assert any(text.startswith("left out of the loss: ") for text in audited.assumptions) == (
        not isinstance(model(x), dict) or not {"value", "seen"} & set(model(x))
    )
    checked = gradflow.check(model, "first", inputs=x)
    assert checked.verdict == "connected"
    assert any(text.startswith("left out of the score: ") for text in checked.assumptions)


CUT = {
    "the logits are cut, features go on": lambda f, a, b, m: {"logits": a.detach(), "aux": f},
    "a tuple": lambda f, a, b, m: (a.detach(), b),
    "a loss that knows nothing of the cut head": lambda f, a, b, m: {"out": a.detach(), "loss": b.square().mean()},
    "made of an array": lambda f, a, b, m: {"out": torch.from_numpy(a.detach().numpy()), "aux": b},
    "a penalty on the weights": lambda f, a, b, m: {"out": a.detach(), "l2": penalty(m)},
    "a penalty beside another head": lambda f, a, b, m: {"out": a.detach(), "l2": penalty(m), "aux": b},
    "all are cut": lambda f, a, b, m: {"a": a.detach(), "b": b.detach()},
    "the only output": lambda f, a, b, m: a.detach(),
}


@pytest.mark.parametrize("make", CUT.values(), ids=CUT)
def test_a_head_that_reaches_the_caller_by_a_cut_output_only_is_found(make: Any) -> None:
    model, x = TwoHeads(make), torch.rand(4, 5)
    checked = gradflow.check(model, "first", inputs=x)
    assert checked.verdict == "broken"
    assert not any(text.startswith("left out") for text in checked.assumptions)
    audited = gradflow.audit(model, inputs=x)
    assert any("first.weight" in found.hides and found.severity == "error" for found in audited.diagnostics)


def test_an_array_beside_a_penalty_is_what_a_check_looks_at() -> None:
    def make(f: torch.Tensor, a: torch.Tensor, b: torch.Tensor, m: nn.Module) -> Any:
        return {"out": a.detach().numpy(), "l2": penalty(m)}

    checked = gradflow.check(TwoHeads(make), "first", inputs=torch.rand(4, 5))
    assert checked.verdict == "broken"
    assert not any(text.startswith("left out") for text in checked.assumptions)


def test_a_model_that_makes_its_data_itself_reports_beside_its_loss() -> None:
    class Simulation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self) -> Any:
            out = self.fc(torch.ones(4, 5))
            return {"cost": out.square().mean(), "seen": out.detach(), "copy": out.detach().numpy()}

    checked = gradflow.check(Simulation(), "fc", inputs=())
    assert checked.verdict == "connected"
    assert any("`output['seen']`" in text for text in checked.assumptions if text.startswith("left out"))


def test_a_branch_that_nobody_uses_does_not_make_a_metric_a_loss() -> None:
    def make(f: torch.Tensor, a: torch.Tensor, b: torch.Tensor, m: nn.Module) -> Any:
        return {"metric": without_grad(torch.mean, a), "given": torch.ones(4), "cost": a.square().mean()}

    model, x = TwoHeads(make), torch.rand(4, 5)
    assert gradflow.check(model, "first", inputs=x).verdict == "connected"
    found = gradflow.audit(model, inputs=x).diagnostics
    assert {name for one in found for name in one.hides} == {"second.weight", "second.bias"}


def test_the_number_that_reaches_all_parameters_is_the_loss() -> None:
    def make(f: torch.Tensor, a: torch.Tensor, b: torch.Tensor, m: nn.Module) -> Any:
        return {"features": f, "cost": both(a, b)}

    checked = gradflow.check(TwoHeads(make), "second", inputs=torch.rand(4, 5))
    assert checked.verdict == "connected"
    assert "score: `output['cost']`, a single number" in checked.assumptions


def test_logits_from_which_all_parameters_are_reached_come_before_the_loss() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> Any:
            logits = self.fc(x)
            return {"loss": logits.square().mean(), "classes": logits}

    checked = gradflow.check(Classifier(), "fc", inputs=torch.rand(4, 5))
    assert "score: the largest entry of the first sample of `output['classes']`" in checked.assumptions


def test_what_is_assumed_of_plain_outputs() -> None:
    def assumed(model: nn.Module) -> tuple[str, ...]:
        return gradflow.check(model, "0", inputs=torch.rand(4, 5)).assumptions

    assert assumed(nn.Sequential(nn.Linear(5, 3))) == ("score: the largest entry of the first sample",)
    assert assumed(nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))) == ("score: the first entry of `output`",)
