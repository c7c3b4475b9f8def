"""The check of formulas after the end: found where wrong, and nothing else is touched."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import gradflow  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

RUNS: list[int] = []


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):  # type: ignore[no-untyped-def]
        ctx.scale = scale
        return x * scale

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient, None


class Counted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        RUNS.append(1)
        return x * 3

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient


def test_a_wrong_formula_is_found_at_its_line_and_the_random_state_is_as_before() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        Wrong.apply(x, 5.0).sum().backward()
        state = torch.get_rng_state()
    assert explanation.report is not None
    assert [d.name for d in explanation.report.diagnostics] == ["custom-function"]
    assert explanation.report.verdict == "wrong"
    location = explanation.report.diagnostics[0].location
    assert location is not None
    assert location.line == Wrong.backward.__code__.co_firstlineno + 2
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x.grad, torch.ones(4, 3))


def test_inputs_too_large_to_keep_are_checked_by_their_first_rows() -> None:
    x = torch.randn(512, 300, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        Wrong.apply(x, 5.0).sum().backward()
    assert explanation.report is not None
    assert explanation.report.verdict == "wrong"


def test_a_function_that_counts_its_calls_is_not_called_again() -> None:
    RUNS.clear()
    x = torch.randn(4, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        Counted.apply(x).sum().backward()
    assert RUNS == [1]
    assert explanation.report is not None
    assert explanation.report.diagnostics == ()


def test_what_never_took_part_in_a_backward_is_not_checked() -> None:
    x = torch.randn(4, requires_grad=True)
    with gradflow.explain(quiet=True) as explanation:
        Wrong.apply(x, 5.0)
        x.square().sum().backward()
    assert explanation.report is not None
    assert explanation.report.diagnostics == ()


def test_the_check_can_be_left_out() -> None:
    x = torch.randn(4, requires_grad=True)
    watch = Watch()
    with watch.watching():
        Wrong.apply(x, 5.0).sum().backward()
    assert observation_of(watch, formulas=False).formulas == ()
    assert len(observation_of(watch).formulas) == 1
