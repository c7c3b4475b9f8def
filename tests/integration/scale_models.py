"""Models of many operations, and what a user would do with them; run as a program by `test_scale`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

import gradflow


class Chain(nn.Module):
    """``length`` operations, one after the other."""

    def __init__(self, length: int, cut_at: int = -1) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.length, self.cut_at = length, cut_at

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for step in range(self.length // 2):
            x = x * 0.99999
            x = x + 0.001
            if step == self.cut_at:
                x = x.detach()
        return x


class Wide(nn.Module):
    """``width`` branches side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.stack([x * number for number in range(self.width)]).mean(0)


class Ladder(nn.Module):
    """Two streams that exchange values at each of ``depth`` rungs."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        left = right = self.first(x)
        for _ in range(self.depth):
            left, right = left * 0.6 + right * 0.8, right * 0.6 - left * 0.8  # a rotation: nothing fades
        return left + right


MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "chain": (lambda: Chain(200_000), "connected"),
    "cut chain": (lambda: Chain(200_000, cut_at=50_000), "broken"),
    "wide": (lambda: Wide(10_000), "connected"),
    "ladder": (lambda: Ladder(20_000), "connected"),
}


def main(name: str) -> None:
    make, verdict = MODELS[name]
    torch.manual_seed(0)
    model, x = make(), torch.ones(1, 2)
    held = model(x).sum()  # a graph of the user's own
    report = gradflow.check(model, "first", inputs=x, target=0)
    assert report.verdict == verdict, report.verdict
    assert [found.code for found in report.diagnostics] == (["GF101"] if verdict == "broken" else [])
    report.to_json()
    after = model(x).sum()
    if verdict == "connected":
        after.backward()
    del held, after, report, model  # where a graph that Python has touched would overflow the C stack
    sys.stdout.write("alive\n")


if __name__ == "__main__":
    main(sys.argv[1])
