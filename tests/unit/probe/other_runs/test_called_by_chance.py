"""A layer that is asked for and that a draw left out: it is called in another run, and no fault."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import gradflow


class Picks(nn.Module):
    """One of three operations runs, as in a search over architectures; ``spare`` is called by nothing."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.stem, self.head, self.by = nn.Linear(4, 6), nn.Linear(6, 2), by
        self.choices, self.spare = nn.ModuleList(nn.Linear(6, 6) for _ in range(3)), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if self.by == "choice":
            x = random.choice(list(self.choices))(x)
        elif self.by == "index":
            x = self.choices[int(torch.randint(3, ()))](x)
        else:
            x = self.choices[0](x)
        return self.head(x)


def _left_out(by: str) -> tuple[Picks, str]:
    random.seed(0)
    torch.manual_seed(0)
    model = Picks(by)
    ran: list[str] = []
    for name, layer in model.choices.named_children():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    states = random.getstate(), torch.get_rng_state()
    model(torch.ones(2, 4))
    random.setstate(states[0])
    torch.set_rng_state(states[1])
    return model, next(f"choices.{number}" for number in range(3) if str(number) not in ran)


@pytest.mark.parametrize("by", ["choice", "index"])
def test_what_a_draw_left_out_is_not_determined(by: str) -> None:
    model, layer = _left_out(by)
    report = gradflow.check(model, layer, inputs=torch.ones(2, 4))
    (found,) = report.diagnostics
    assert (report.verdict, found.code, found.severity) == ("not determined", "GF301", "info")
    assert not any("no code" in text for text in (found.message, found.label, *found.notes))
    assert layer in " ".join(report.undetermined)


@pytest.mark.parametrize(("by", "layer"), [("choice", "spare"), ("fixed", "choices.1")])
def test_what_no_draw_takes_stays_an_error(by: str, layer: str) -> None:
    model, _ = _left_out(by)
    report = gradflow.check(model, layer, inputs=torch.ones(2, 4))
    assert (report.verdict, [one.severity for one in report.diagnostics]) == ("unused", ["error"])


def test_the_random_state_is_as_it_was() -> None:
    model, layer = _left_out("choice")
    states = random.getstate(), torch.get_rng_state()
    gradflow.check(model, layer, inputs=torch.ones(2, 4))
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
