"""A layer that is registered nowhere is looked for among what the outer one holds: again only when that has changed."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.modules import holders
from gradflow.report import Report

HELPER = nn.Linear(3, 3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.layers: list[nn.Module] = []
        self.vocabulary = {f"word {number}": number for number in range(50)}
        self.pass_count = 0
        self.last: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.pass_count += 1
        self.last = HELPER(self.fc(x))
        return self.last


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    found: list[nn.Module] = []
    original = holders.find_unregistered
    monkeypatch.setattr(holders, "find_unregistered", lambda root: (found.append(root), original(root))[1])
    return found


def watched(net: Net, *, register_after: int = -1, passes: int = 6) -> Report:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with redirect_stderr(io.StringIO()), gradflow.explain(quiet=True) as explanation:
        for number in range(passes):
            if number == register_after:
                net.layers.append(HELPER)
            optimizer.zero_grad()
            net(torch.ones(1, 3)).sum().backward()
            optimizer.step()
    return explanation.report


def test_what_is_held_nowhere_is_looked_for_once(looks: list[nn.Module]) -> None:
    report = watched(Net())
    assert len(looks) == 1
    assert not any("layers" in one.message for one in report.diagnostics)


def test_it_is_found_as_soon_as_the_outer_one_holds_it(looks: list[nn.Module]) -> None:
    report = watched(Net(), register_after=3)
    assert len(looks) == 2
    assert any(one.name == "unregistered-params" and "layers" in one.message for one in report.diagnostics)


def test_what_is_held_from_the_beginning_is_found_at_once(looks: list[nn.Module]) -> None:
    report = watched(Net(), register_after=0)
    assert len(looks) == 1
    assert any(one.name == "unregistered-params" and "layers" in one.message for one in report.diagnostics)
