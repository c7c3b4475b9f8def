"""A program's profiler sees the operations of the program, all of them, and none of gradflow's."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from gradflow import explain
from gradflow.record.program.watching import Watch
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.profiling import is_profiling


class Doubled(torch.autograd.Function):
    """What is run once more when it is looked at whether its formula is right."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2


def operations(
    watching: contextlib.AbstractContextManager[Any], *, is_outside: bool = False, of_all_threads: bool = False
) -> list[tuple[str, int]]:
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    config = _ExperimentalConfig(profile_all_threads=of_all_threads)
    profiler = profile(activities=[ProfilerActivity.CPU], experimental_config=config)
    with contextlib.ExitStack() as stack:
        for each in (profiler, watching) if is_outside else (watching, profiler):
            stack.enter_context(each)
        for _ in range(2):
            Doubled.apply(layer(torch.ones(1, 2))).relu().sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            assert layer.weight.grad is not None
    return sorted((event.key, event.count) for event in profiler.key_averages())


@pytest.mark.parametrize("of_all_threads", [False, True])
def test_a_watched_program_has_the_profile_that_it_has_by_itself(of_all_threads: bool) -> None:
    by_itself = operations(contextlib.nullcontext(), of_all_threads=of_all_threads)
    assert by_itself
    assert operations(Watch().watching(), of_all_threads=of_all_threads) == by_itself


def test_a_profile_around_the_whole_block_does_not_show_the_analysis() -> None:
    assert operations(explain(quiet=True), is_outside=True) == operations(contextlib.nullcontext())


def test_what_runs_for_gradflow_is_left_out_and_what_comes_after_is_not() -> None:
    x = torch.ones(2)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        with outside_dispatch():
            assert is_profiling()
            x.abs()
            with outside_dispatch():
                x.neg()
            x.abs()
        x.exp()
    assert [event.key for event in profiler.key_averages()] == ["aten::exp"]
    assert not is_profiling()
