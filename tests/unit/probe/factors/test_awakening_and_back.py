"""Zeros that are moved to see what wakes up are zeros again at once, however the moved run ends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.probe.factors import awakening, zero_parameters


class Shared(nn.Module):
    """Two gains of zeros over one memory."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.first = nn.Parameter(torch.zeros(4))
        self.second = nn.Parameter(self.first.data)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) * self.first + self.body(x) * self.second


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_both_of_two_that_share_their_memory_are_zeros_again(
    monkeypatch: pytest.MonkeyPatch, *, is_interrupted: bool
) -> None:
    model = Shared()
    largest = []

    def look(*arguments: object, **options: object) -> object:
        try:
            return awakening.awakened(*arguments, **options)
        finally:
            largest.append(float(model.first.detach().abs().max()))

    def move_and_stop(*arguments: object) -> str:
        write(*arguments)
        if len(arguments) == 3:
            monkeypatch.setattr(awakening, "write", write)
            raise KeyboardInterrupt
        return ""

    write = awakening.write
    monkeypatch.setattr(zero_parameters, "awakened", look)
    if is_interrupted:
        monkeypatch.setattr(awakening, "write", move_and_stop)
        with pytest.raises(KeyboardInterrupt):
            gradflow.check(model, "body", inputs=torch.ones(2, 4))
    else:
        gradflow.check(model, "body", inputs=torch.ones(2, 4))
    assert largest
    assert set(largest) == {0.0}
