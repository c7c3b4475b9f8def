"""Of optimizers that were made before a block, those that step in it are seen: what others hold is not denied."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradflow
from gradflow.report import Report

Explain = Callable[..., Report]
UNSEEN = "because one that was made before the block and does not step in it is not seen"


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = [nn.Linear(3, 3)], nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers[0](x))


def _sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.1)


def _pass(model: Callable[[torch.Tensor], torch.Tensor], *stepping: torch.optim.Optimizer) -> None:
    model(torch.ones(2, 3)).square().mean().backward()
    for optimizer in stepping:
        optimizer.step()
    for optimizer in stepping:
        optimizer.zero_grad()


def _replaced(*, is_older: bool) -> Report:
    """A head takes the place of another; its own optimizer steps after the block."""
    model, head = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Linear(4, 2)
    optimizer, other = _sgd(model), _sgd(head)
    with gradflow.explain(quiet=True) as explained:
        _pass(model, optimizer)
        model[1] = head if is_older else nn.Linear(4, 2)
        for _ in range(3):
            _pass(model, optimizer)
    other.step()
    return explained.report


def _in_turn(*, is_older: bool) -> Report:
    """Two models in turn, of which one is trained later."""
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer, other = _sgd(first), _sgd(second)
    with gradflow.explain(quiet=True) as explained:
        for _ in range(2):
            _pass(first, optimizer)
        second = second if is_older else nn.Linear(3, 2)
        for _ in range(4):
            _pass(second, optimizer)
    other.step()
    return explained.report


def _given_twice(*, is_older: bool) -> Report:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizers, other = (_sgd(first), torch.optim.Adam(first.parameters())), _sgd(second)
    with gradflow.explain(quiet=True) as explained:
        second = second if is_older else nn.Linear(3, 2)
        for _ in range(4):
            _pass(lambda x: first(x) + second(x), *optimizers)
    other.step()
    return explained.report


CASES = {"replaced": _replaced, "in turn": _in_turn, "given twice": _given_twice}


@pytest.mark.parametrize("case", CASES)
def test_what_an_older_optimizer_may_hold_is_not_determined(case: str) -> None:
    report = CASES[case](is_older=True)
    assert report.verdict == "not determined"
    assert report.diagnostics == ()
    (doubt,) = report.undetermined
    assert doubt.startswith("whether an optimizer holds ")
    assert doubt.endswith(UNSEEN)


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_in_the_block_no_older_optimizer_holds(case: str) -> None:
    report = CASES[case](is_older=False)
    assert [one.name for one in report.diagnostics] == ["optimizer-stale-params"]
    assert report.undetermined == ()


def test_an_older_optimizer_that_steps_in_the_block_is_seen() -> None:
    model, head = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Linear(4, 2)
    optimizer, other = _sgd(model), _sgd(head)
    with gradflow.explain(quiet=True) as explained:
        _pass(model, optimizer)
        model[1] = head
        for _ in range(3):
            _pass(model, optimizer, other)
    assert (explained.report.diagnostics, explained.report.undetermined) == ((), ())


def test_layers_in_a_list_are_a_warning_where_an_older_optimizer_may_hold_them() -> None:
    model = Listed()
    optimizer, other = _sgd(model), _sgd(model.layers[0])
    with gradflow.explain(quiet=True) as explained:
        for _ in range(3):
            _pass(model, optimizer)
    other.step()
    assert [(one.name, one.severity) for one in explained.report.diagnostics] == [("unregistered-params", "warning")]


def _behind_a_zero(*, is_older: bool) -> Report:
    """A factor that starts at zero, and that an optimizer may move."""
    body, head = nn.Linear(3, 2), _closed()
    optimizer, other = _sgd(body), _sgd(head)
    with gradflow.explain(quiet=True) as explained:
        head = head if is_older else _closed()
        for _ in range(3):
            _pass(lambda x: head(body(x)), optimizer)
    other.step()
    return explained.report


def _closed() -> nn.Module:
    head = nn.Linear(2, 2)
    nn.init.zeros_(head.weight)
    return head


def test_a_factor_that_an_older_optimizer_may_move_is_not_said_to_stay_zero() -> None:
    (older,), (newer, beside) = (_behind_a_zero(is_older=is_older).diagnostics for is_older in (True, False))
    assert (older.name, newer.name) == ("zero-multiplier", "zero-multiplier")
    assert (beside.name, beside.severity) == ("optimizer-stale-params", "info")
    assert not any("no optimizer holds it" in note for note in older.notes)
    assert any("no optimizer holds it: it stays zero" in note for note in newer.notes)


PROGRAM = """
model, head = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for turn in range(4):
    if turn == 1:
        model[1] = head
    model(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
"""


def test_of_a_whole_program_all_optimizers_are_seen(explain: Explain) -> None:
    report = explain(PROGRAM)
    assert [(one.name, one.severity) for one in report.diagnostics] == [("optimizer-stale-params", "error")]
    assert report.undetermined == ()
