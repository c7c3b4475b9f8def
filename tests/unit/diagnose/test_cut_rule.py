"""What is cut, and whether it would matter if it were not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import gradflow


class Ranked(nn.Module):
    """Rows in an order that a layer decides."""

    def __init__(self, *, first_only: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rank = nn.Linear(6, 1)
        self.head = nn.Linear(6, 2)
        self.first_only = first_only

    def forward(self, x: Tensor) -> Tensor:
        order = self.rank(x).squeeze(-1).argsort(dim=1)
        rows = torch.relu(x.gather(1, order[..., None].expand_as(x)))
        return self.head(rows[:, 0] if self.first_only else rows.mean(1))


def test_an_order_that_changes_nothing_is_no_broken_path() -> None:
    report = gradflow.check(Ranked(first_only=False), "rank", inputs=torch.randn(2, 5, 6))
    assert report.verdict == "unused"
    (found,) = report.diagnostics
    assert found.name == "nondiff-op"
    assert "not seen to change with `rank`" in found.message
    assert all(help_.repair is None for help_ in found.helps)


def test_an_order_that_decides_is_one() -> None:
    report = gradflow.check(Ranked(first_only=True), "rank", inputs=torch.randn(2, 5, 6))
    assert report.verdict == "broken"
    assert [found.name for found in report.diagnostics] == ["nondiff-op"]
    assert report.diagnostics[0].message == "no gradient reaches `rank` from score[1]"


def test_a_choice_that_no_move_made_another_is_not_said_to_have_no_effect() -> None:
    torch.manual_seed(66)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    inputs = torch.randn(2, 4)
    hidden = model[0](inputs)

    def accuracy(out: Tensor) -> Tensor:
        return (out.argmax(1) == 0).float().mean()

    changes = sum(
        accuracy(model[1:](hidden + 3 * hidden.std() * torch.randn(2, 6))) != accuracy(model(inputs))
        for _ in range(300)
    )
    assert changes
    report = gradflow.check(model, "0", inputs=inputs, score=accuracy)
    assert report.verdict == "broken"
    assert report.diagnostics[0].message == "no gradient reaches `0` from accuracy(output)"


def test_a_choice_between_two_is_seen_although_it_often_stays_the_same() -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.router = nn.Linear(6, 2)
            self.experts = nn.Parameter(torch.randn(2, 6, 3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.bmm(x[:, None], self.experts[self.router(x).argmax(-1)]).squeeze(1)

    for seed in range(4):
        torch.manual_seed(seed)
        assert gradflow.check(Routed(), "router", inputs=torch.randn(3, 6)).verdict == "broken"
