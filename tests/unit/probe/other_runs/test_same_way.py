"""Nothing follows from a further run that something kept from the first one has answered."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


class Encoded(nn.Module):
    """A memo that belongs to a function which still runs, so that it is not taken back."""

    def __init__(self, memo: dict[int, torch.Tensor], *, is_used: bool = True) -> None:
        super().__init__()
        self.scale, self.layer, self.is_used = nn.Parameter(torch.ones(4)), nn.Linear(4, 2), is_used
        self.remember = memo.setdefault
        self.recall = memo.get

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.recall(len(x))
        if made is None:
            made = self.remember(len(x), torch.arange(4) * self.scale)
        number = torch.tensor(made.tolist())
        return self.layer(x + number if self.is_used else x)  # type: ignore[no-any-return]


def test_a_score_that_stays_the_same_in_runs_that_a_memo_answered_is_no_sign_of_unused() -> None:
    report = gradflow.check(Encoded({}), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "not determined"
    assert not report.diagnostics
    (reason,) = report.undetermined
    assert "ran in the first run and not in a further one" in reason
    assert "`mul` at " in reason


def test_an_audit_says_it_too() -> None:
    report = gradflow.audit(Encoded({}), inputs=torch.ones(1, 4))
    assert not report.diagnostics
    assert any("depends on `scale`, because `mul` at " in reason for reason in report.undetermined)


def test_runs_that_do_the_same_show_that_a_parameter_is_unused() -> None:
    class Forgetful(Encoded):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            number = torch.tensor((torch.arange(4) * self.scale).tolist())
            return self.layer(x + number if self.is_used else x)  # type: ignore[no-any-return]

    report = gradflow.check(Forgetful({}, is_used=False), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "unused"
    report = gradflow.check(Forgetful({}), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "broken"


def test_a_table_of_the_first_run_alone_that_does_not_read_the_parameter_changes_nothing() -> None:
    class Positions(Encoded):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            table = self.recall(len(x))
            if table is None:
                table = self.remember(len(x), torch.arange(4.0))
            float(self.scale.sum())
            return self.layer(x + table)  # type: ignore[no-any-return]

    report = gradflow.check(Positions({}), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "unused"


class Beside(Encoded):
    """The memo of numbers stands beside a way that is whole."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        numbers = self.recall(len(x))
        if numbers is None:
            numbers = self.remember(len(x), torch.tensor((torch.arange(4) * self.scale).tolist()))
        return self.layer(x * self.scale + numbers)  # type: ignore[no-any-return]


class Forgotten(Beside):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        numbers = torch.tensor((torch.arange(4) * self.scale).tolist())
        return self.layer(x * self.scale + numbers)  # type: ignore[no-any-return]


def test_numbers_that_a_memo_gives_back_are_not_called_without_effect() -> None:
    report = gradflow.check(Beside({}), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "not determined"
    assert any("ran in the first run and not in a further one" in reason for reason in report.undetermined)
    report = gradflow.check(Forgotten({}), parameter="scale", inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "wrong"
