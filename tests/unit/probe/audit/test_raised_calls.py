"""A layer whose call raised, and was caught by the model, has run: an audit says so, as a check of it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradflow


class Refuses(nn.Module):
    """``lin`` cannot take what it is given; ``tail`` would come after it, ``head`` came before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head, self.lin, self.tail = nn.Linear(5, 5), nn.Linear(width, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.lin(self.head(x)))


class Falls(nn.Module):
    """Goes on without the part where that raises."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.out = part, nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            x = x + self.part(x)
        except RuntimeError:
            x = x * 2
        return self.out(x)


def test_a_layer_that_raised_is_not_said_to_be_idle() -> None:
    model, x = Falls(nn.Linear(7, 5)), torch.randn(4, 5)
    report = gradflow.audit(model, inputs=x)
    assert not report.diagnostics
    (audited,) = report.undetermined
    (checked,) = gradflow.check(model, "part", inputs=x).undetermined
    assert audited.startswith("why `part.weight` and 1 more parameter get no gradient, because `part` raised `Runtime")
    assert audited.partition(" raised ")[2] == checked.partition(" raised ")[2]
    assert report.exit_code == 1


def test_what_is_inside_a_layer_that_raised() -> None:
    report = gradflow.audit(Falls(Refuses(7)), inputs=torch.randn(4, 5))
    reasons = {text.split("`")[1]: text.partition("because ")[2].split(",")[0] for text in report.undetermined}
    assert reasons == {
        "part.lin.weight": "`part.lin` raised `RuntimeError`",
        "part.tail.weight": "`part` raised `RuntimeError`",
    }
    (found,) = report.diagnostics
    assert found.hides == ("part.head.weight", "part.head.bias")
    assert found.label == "raises an exception here, which the model catches"
    assert found.location is not None
    assert found.location.line == Falls.forward.__code__.co_firstlineno + 2
    assert not any("use the result" in one.text for one in found.helps)


@pytest.mark.parametrize("part", [nn.Linear(5, 5), Refuses(5)])
def test_the_same_layers_where_nothing_is_raised(part: nn.Module) -> None:
    report = gradflow.audit(Falls(part), inputs=torch.randn(4, 5))
    assert not report.diagnostics
    assert not report.undetermined


class Spare(nn.Module):
    """A layer that nothing calls, beside one that raises first and is called again with what it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.lin, self.spare, self.out = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            self.lin(x[:, :3])
        except RuntimeError:
            x = self.lin(x)
        return self.out(x)


def test_a_layer_that_was_never_called_is_still_told() -> None:
    report = gradflow.audit(Spare(), inputs=torch.randn(4, 5))
    (found,) = report.diagnostics
    assert (found.name, found.hides) == ("layer-not-called", ("spare.weight", "spare.bias"))
    assert not report.undetermined
