"""A trace of TorchScript's is the program's own, also while it is watched."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.program.watching import Watch

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.inner(x) * self.weight).view(x.size(0), -1).sum()


def graphs() -> list[str]:
    x = torch.ones(2, 2)
    made = [
        torch.jit.trace(lambda x: torch.tanh(x * 2).sum(1) + x.shape[0], x).inlined_graph,
        torch.jit.trace_module(Net(), {"forward": x}).inlined_graph,
        torch.jit._get_trace_graph(Net(), (x,))[0],
    ]
    # classes of the same name are numbered, from trace to trace
    return [re.sub(r"(\.___torch_mangle_\d+)", "", str(graph)) for graph in made]


def test_a_trace_has_the_operations_and_the_lines_of_the_program_alone() -> None:
    plain = graphs()
    with gradflow.explain(quiet=True):
        watched = graphs()
    assert watched == plain


def test_a_trace_that_fails_fails_as_it_does_plainly() -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))

    def call(x: torch.Tensor) -> torch.Tensor:
        return scripted(x)

    with gradflow.explain(quiet=True), pytest.raises(RuntimeError, match="Tried to trace"):
        torch.jit.trace(call, torch.ones(1, 2))


def test_what_runs_beside_a_trace_is_recorded() -> None:
    watch = Watch()
    with watch.watching():
        torch.ones(2).exp()
        torch.jit.trace(lambda x: x.sin(), torch.ones(2), check_trace=False)
        torch.ones(2).log()
    recording = watch.seen().recording
    names = [recording.name_of(row) for row in range(len(recording))]
    assert [name for name in names if name in {"exp", "sin", "log"}] == ["exp", "log"]
    assert recording.completeness.is_to_the_end
