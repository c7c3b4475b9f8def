"""A parameter in whose place the forward puts another tensor gets no gradient, and no line of the layer stays out."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Scaled(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.scale, self.linear, self.how = nn.Parameter(torch.ones(3, 1)), nn.Linear(4, 3), how
        self.kept = nn.Parameter(torch.ones(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "a new parameter":
            self.linear.weight = nn.Parameter(self.scale * self.kept)
        elif self.how == "a tensor":
            del self.linear.weight
            self.linear.weight = self.scale * self.kept
        elif self.how == "one that is there":
            self.linear.weight = self.kept
        return self.linear(x) * self.scale.mT


@pytest.mark.parametrize("how", ["a new parameter", "a tensor", "one that is there"])
def test_what_took_its_place_is_told(how: str) -> None:
    model = Scaled(how)
    before = model.linear.weight
    report = gradflow.audit(model, inputs=torch.randn(2, 4))
    assert model.linear.weight is before
    (one,) = [one for one in report.diagnostics if "linear.weight" in one.hides]
    assert (one.code, one.hides) == ("GF301", ("linear.weight",))
    assert "puts another in its place" in one.message
    assert not one.annotations
    lines = {"a new parameter": "nn.Parameter(", "a tensor": "self.scale * self.kept"}
    if how in lines:
        assert one.location is not None
        assert lines[how] in Path(__file__).read_text().splitlines()[one.location.line - 1]
    else:
        assert one.location is None
    asked = gradflow.check(model, parameter="linear.weight", inputs=torch.randn(2, 4))
    assert asked.verdict == "unused"
    assert "did not run" not in " ".join(each.label for one in asked.diagnostics for each in one.annotations)


def test_one_that_stays_in_its_place_is_not_said_to_be_replaced() -> None:
    report = gradflow.audit(Scaled("not at all"), inputs=torch.randn(2, 4))
    (one,) = report.diagnostics
    assert one.hides == ("kept",)
    assert "place" not in one.message
