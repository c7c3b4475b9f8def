"""Some of torch's operators and modules under gradflow, others with each commit; all: `python -m tests.harmless`."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.harmless.case import Call, Case, Wanted
from tests.harmless.running import NOISE, SAME, difference
from tests.sampling import commit_seed

NUMBERS = itertools.count()
ROOT = Path(__file__).parents[2]
LEFT_OUT = ("GITHUB_", "PYTEST_", "FORCE_COLOR", "CI")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for each case")
def test_torch_computes_the_same_under_gradflow() -> None:
    """Only what `known_differences.txt` lists may differ; the command that is printed tries the same ones again."""
    pytest.importorskip("expecttest")
    command = ["-m", "tests.harmless", "--sample", "60", "--samples", "2", "--seed", commit_seed()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"python {' '.join(command)}\n{done.stdout}\n{done.stderr[-3000:]}"


def case_of(function: Callable[[Any], Any]) -> Case:
    """A case that calls the function with three numbers that require a gradient."""

    def calls() -> Iterator[tuple[Wanted, Call]]:
        value = torch.linspace(-1, 1, 3).requires_grad_()
        yield lambda: [value], lambda: function(value)

    return Case(name="a case", calls=calls)


def is_watched() -> bool:
    return torch._C._len_torch_function_stack() > 0


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.factor = 2 if is_watched() else 1
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * ctx.factor


def raise_if(condition: bool) -> None:
    if condition:
        raise ValueError("for the test")


@pytest.mark.parametrize(
    ("function", "found"),
    [
        pytest.param(torch.tanh, SAME, id="the same"),
        pytest.param(lambda x: x * torch.nan, SAME, id="NaN"),
        pytest.param(lambda x: x + torch.rand(3), SAME, id="random numbers from the same state"),
        pytest.param(lambda _: raise_if(True), SAME, id="the same exception"),
        pytest.param(lambda x: x * next(NUMBERS), NOISE, id="plain runs that differ"),
        pytest.param(lambda x: x + 1e-7 * is_watched(), "sample 0: value 0 differs", id="the last bit of a value"),
        pytest.param(lambda x: (0.0 * x.detach()).abs() * (-1) ** is_watched(), "sample 0: value 0 differs", id="-0"),
        pytest.param(Doubled.apply, "sample 0: value 1 differs", id="a gradient"),
        pytest.param(lambda x: x.double() if is_watched() else x, "sample 0: value 0 differs", id="a dtype"),
        pytest.param(
            lambda _: raise_if(is_watched()), "sample 0: nothing raised, then ValueError", id="an exception of its own"
        ),
    ],
)
def test_a_difference_is_told(function: Callable[[Any], Any], found: str) -> None:
    assert difference(case_of(function)) == found


def test_inputs_that_cannot_be_made_are_told() -> None:
    def calls() -> Iterator[tuple[Wanted, Call]]:
        raise_if(is_watched())
        yield list, lambda: None

    found = difference(Case(name="a case", calls=calls))
    assert found == "sample 0: nothing raised, then ValueError"


def test_what_unwritten_memory_holds_is_no_difference() -> None:
    def unwritten(_: Any) -> Any:
        memory = torch.empty(3)
        if not torch.are_deterministic_algorithms_enabled():
            memory.fill_(is_watched())  # as if that had been there; where torch fills such memory, it is left alone
        return memory

    assert difference(case_of(unwritten)) == SAME


def test_a_difference_that_is_gone_where_memory_is_filled_is_told_where_none_was_read() -> None:
    def harmed(x: Any) -> Any:
        return x + is_watched() * (not torch.are_deterministic_algorithms_enabled())

    assert difference(case_of(harmed)) == "sample 0: value 0 differs"
