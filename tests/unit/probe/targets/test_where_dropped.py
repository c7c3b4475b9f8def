"""What a helper returns and nobody reads is told where it is dropped."""

# ruff: noqa: F841, RUF059, RET504  (values that nobody reads are what this is about)

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import gradflow


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.probe, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

    def gates(self, x):
        score = self.probe(x)
        gate = score.sigmoid()
        return gate, score.detach().shape

    def twice(self, x):
        return [gate * 2 for gate in (self.gates(x)[0],)]


def free(model, x):
    weights = model.probe(x).softmax(-1)
    return weights


class ByName(Base):
    def forward(self, x):
        gate, _ = self.gates(x)  # <- here
        return self.out(x)


class ThroughTwoFunctions(Base):
    def forward(self, x):
        kept = self.twice(x)  # <- here
        return self.out(x)


class ThroughFunctionOutside(Base):
    def forward(self, x):
        free(self, x)  # <- here
        return self.out(x)


class ThroughLambda(Base):
    def forward(self, x):
        weigh = lambda y: self.probe(y).exp()  # noqa: E731
        weighed = weigh(x)  # <- here
        return self.out(x)


class InPlace(Base):
    """Not handed back: the last operation stands in the forward itself."""

    def forward(self, x):
        h = self.probe(x)
        h = h.tanh()
        h.relu()  # <- here
        return self.out(x)


class KeptInside(Base):
    """The helper returns something else; what the layer gives ends in the helper."""

    def count(self, x):
        loud = self.probe(x).abs()  # <- here
        return len(x)

    def forward(self, x):
        return self.out(x) * self.count(x)


MODELS = [ByName, ThroughTwoFunctions, ThroughFunctionOutside, ThroughLambda, InPlace, KeptInside]


@pytest.mark.parametrize("cls", MODELS)
def test_the_place_is_the_line_that_drops_it(cls):
    report = gradflow.check(cls(), "probe", inputs=torch.randn(3, 4))
    lines, first = inspect.getsourcelines(cls)
    (line,) = [first + number for number, text in enumerate(lines) if "# <- here" in text]
    assert report.verdict == "unused"
    (found,) = [one for one in report.diagnostics if one.severity == "error"]
    assert (found.code, found.location.line) == ("GF302", line)
