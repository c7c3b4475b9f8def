"""A program's profiler sees the operations of the program, all of them, and none of gradflow's."""

from __future__ import annotations

import contextlib

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from gradflow.record.program.watching import Watch
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.profiling import is_profiling


def operations(watching: contextlib.AbstractContextManager[None]) -> list[tuple[str, int]]:
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with watching, profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(2):
            layer(torch.ones(1, 2)).relu().sum().backward()
            optimizer.step()
            assert layer.weight.grad is not None
    return sorted((event.key, event.count) for event in profiler.key_averages())


def test_a_watched_program_has_the_profile_that_it_has_by_itself() -> None:
    by_itself = operations(contextlib.nullcontext())
    assert by_itself
    assert operations(Watch().watching()) == by_itself


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
