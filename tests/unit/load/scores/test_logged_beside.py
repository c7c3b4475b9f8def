"""A value that is logged beside the loss is neither score nor where the cut is; the way of the loss is."""

from __future__ import annotations

import linecache
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import gradflow


class TwoLosses(nn.Module):
    """Returns what ``make(first loss, second loss, second head's output, features)`` makes of its two losses."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 1)
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        features = torch.tanh(self.body(x))
        second = self.second(features)
        return self.make(self.first(features).square().mean(), (second - 1).square().mean(), second, features)


def stopped(a: torch.Tensor, b: torch.Tensor, second: torch.Tensor, features: torch.Tensor) -> Any:
    other = (second.detach() - 1).square().mean()
    return {"loss": a + other, "one": a.detach(), "other": other}


LOSS_IS_CUT = {
    "a number that left torch": (
        lambda a, b, s, f: {"loss": a + 0.5 * b.item(), "one": a.detach(), "other": b.detach()},
        "numpy-roundtrip",
    ),
    "a prediction without history": (stopped, "detach"),
    "logged first": (lambda a, b, s, f: (b.detach(), a.detach(), a + b.item()), "numpy-roundtrip"),
}


@pytest.mark.parametrize(("make", "cause"), LOSS_IS_CUT.values(), ids=LOSS_IS_CUT)
def test_the_cut_is_told_of_the_loss_and_not_of_what_is_logged(make: Any, cause: str) -> None:
    model, x = TwoLosses(make), torch.rand(4, 5)
    assert gradflow.check(model, "first", inputs=x).verdict == "connected"
    checked = gradflow.check(model, "second", inputs=x)
    assert (checked.verdict, checked.diagnostics[0].name) == ("broken", cause)
    assert gradflow.check(model, "body", inputs=x).verdict == "wrong"
    found = gradflow.audit(model, inputs=x).diagnostics
    assert [(one.name, one.code) for one in found] == [(cause, found[0].code), ("partial-detach", "GF401")]
    assert set(found[0].hides) == {"second.weight", "second.bias"}
    assert found[0].location == checked.diagnostics[0].location == found[1].location


def test_a_loss_that_is_logged_and_goes_into_nothing_else_is_still_cut() -> None:
    def make(a: torch.Tensor, b: torch.Tensor, s: torch.Tensor, f: torch.Tensor) -> Any:
        loss = a * 1
        return {"loss": loss, "other": b.detach(), "number": b.item()}  # left torch when the loss was there already

    found = gradflow.audit(TwoLosses(make), inputs=torch.rand(4, 5)).diagnostics
    assert found[0].name == "detach"
    assert set(found[0].hides) == {"second.weight", "second.bias"}


def test_the_whole_loss_comes_before_its_parts() -> None:
    def make(a: torch.Tensor, b: torch.Tensor, s: torch.Tensor, f: torch.Tensor) -> Any:
        return {"loss/one": a, "loss/other": b.detach(), "loss": a + b}

    checked = gradflow.check(TwoLosses(make), "second", inputs=torch.rand(4, 5))
    assert checked.verdict == "connected"
    assert checked.assumptions == (
        "score: `output['loss']`, a single number",
        "left out of the score: `output['loss/other']`, which has no gradient history, unlike other outputs",
    )


def test_of_two_losses_that_reach_as_much_the_first_is_taken() -> None:
    checked = gradflow.check(TwoLosses(lambda a, b, s, f: (a, b)), "first", inputs=torch.rand(4, 5))
    assert checked.assumptions == ("score: `output[0]`, a single number",)


def test_a_cut_output_of_which_another_takes_only_the_shape_stays() -> None:
    def make(a: torch.Tensor, b: torch.Tensor, second: torch.Tensor, features: torch.Tensor) -> Any:
        return {"logits": second.detach(), "aux": features[:, :1] + torch.zeros_like(second)}

    checked = gradflow.check(TwoLosses(make), "second", inputs=torch.rand(4, 5))
    assert (checked.verdict, checked.diagnostics[0].name) == ("broken", "detach")


class Encoder(nn.Module):
    """Decodes what it draws, and returns beside it what ``logged`` makes of the mean and the scale."""

    def __init__(self, logged: Any) -> None:
        super().__init__()
        self.mean, self.scale, self.decoder = nn.Linear(5, 3), nn.Linear(5, 3), nn.Linear(3, 5)
        self.logged = logged

    def forward(self, x: torch.Tensor) -> Any:
        posterior = torch.distributions.Normal(self.mean(x), self.scale(x).exp())
        z = posterior.sample()
        return self.decoder(z), *self.logged(posterior)


LOGGED = {
    "the mean": lambda posterior: (posterior.loc.detach(),),
    "both": lambda posterior: (posterior.loc.detach(), posterior.scale.detach()),
    "an array": lambda posterior: (posterior.loc.detach().numpy(),),
    "nothing": lambda posterior: (),
}


@pytest.mark.parametrize("logged", LOGGED.values(), ids=LOGGED)
def test_the_draw_is_told_and_not_the_log_beside_it(logged: Any) -> None:
    (found,) = gradflow.audit(Encoder(logged), inputs=torch.rand(4, 5)).diagnostics
    assert found.name == "no-grad"
    assert found.location is not None
    assert "posterior.sample()" in linecache.getline(found.location.path, found.location.line)
    assert set(found.hides) == {"mean.weight", "mean.bias", "scale.weight", "scale.bias"}


class ThroughArrays(nn.Module):
    """Decodes what ``outside`` makes of the code, and returns the code beside it."""

    def __init__(self, outside: Any) -> None:
        super().__init__()
        self.encoder, self.decoder, self.outside = nn.Linear(5, 3), nn.Linear(3, 5), outside

    def forward(self, x: torch.Tensor) -> Any:
        code = self.encoder(x)
        return {"decoded": self.decoder(self.outside(code)), "code": code.detach()}


OUTSIDE = {
    "a function of an array": lambda code: torch.from_numpy(numpy.tanh(code.detach().numpy())),
    "a list": lambda code: torch.tensor(code.tolist()),
}


@pytest.mark.parametrize("outside", OUTSIDE.values(), ids=OUTSIDE)
def test_the_way_through_an_array_is_told_and_not_the_log_beside_it(outside: Any) -> None:
    model, x = ThroughArrays(outside), torch.rand(4, 5)
    assert gradflow.check(model, "decoder", inputs=x).verdict == "connected"
    assert gradflow.check(model, "encoder", inputs=x).diagnostics[0].name == "numpy-roundtrip"
    (found,) = gradflow.audit(model, inputs=x).diagnostics
    assert (found.name, set(found.hides)) == ("numpy-roundtrip", {"encoder.weight", "encoder.bias"})


def test_numbers_of_the_program_are_no_way_for_an_array_that_left() -> None:
    def outside(code: torch.Tensor) -> torch.Tensor:
        assert code.detach().numpy().shape == (4, 3)
        return torch.tensor([0.1, 0.2, 0.3])

    found = gradflow.check(ThroughArrays(outside), "encoder", inputs=torch.rand(4, 5))
    assert (found.verdict, found.diagnostics[0].name) == ("broken", "detach")
