"""What a forward sets on the user's classes is put back, and code is not touched."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import torch
from torch import nn

import gradflow


class Counted(nn.Module):
    calls = 0
    cache: ClassVar[dict[int, Any]] = {}

    @classmethod
    def count(cls) -> None:
        cls.calls += 1


class Helper:
    last: Any = None


class Net(Counted):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.helper, self.seen = nn.Linear(4, 2), Helper(), functools.partial(print, [1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count()
        Counted.count()
        self.cache[len(self.cache)] = x
        Helper.last = x
        Net.added = True
        self.seen.args[0].append(2)
        return self.layer(x).detach()


def test_everything_is_as_it_was_after_every_run() -> None:
    model = Net()
    code = dict(vars(Net))
    report = gradflow.check(model, "layer", inputs=torch.ones(1, 4), target=0)
    assert report.environment.forward_count > 1
    assert (Counted.calls, Counted.cache, Helper.last, model.seen.args) == (0, {}, None, ([1],))
    assert "calls" not in vars(Net)
    assert dict(vars(Net)) == code
