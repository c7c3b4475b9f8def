"""How long `gradflow run` explains when a program has ended, by the length of the program."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch
from gradflow.watch.observing import observation_of
from gradflow.watch.outcome import outcome

__all__ = ["end_table"]

LENGTHS = (25, 50, 100, 200)

_HEAD = """
import torch
from torch import nn
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.b(self.a(x).relu())
"""
# as in a suite of tests: each asks for gradients at places of its own, and some of them are missing
_TEST = """
def test_{number}():
    model, x, w = Net(), torch.randn(3, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    torch.autograd.grad(model(x)[0].max(), x)[0].abs().sum().item()
    kept, grads = [], []
    forward = model.a.register_forward_hook(lambda module, inputs, output: kept.append(output))
    backward = model.a.register_full_backward_hook(lambda module, inputs, outputs: grads.append(outputs[0]))
    model(x).sum().backward()
    (kept[0] * grads[0]).sum().item()
    forward.remove(), backward.remove()
    torch.autograd.grad(torch.relu(-x.abs()).sum(), x)[0].sum().item()
    try:
        torch.autograd.grad(model(x.detach()).sum().detach(), x)
    except RuntimeError:
        pass
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    assert torch.autograd.grad(model(x).sum(), w, allow_unused=True) == (None,)

test_{number}()
"""


def end_table() -> Iterator[str]:
    """Markdown lines."""
    yield "## The end of a program under `gradflow run`\n"
    yield "CPU time of a suite of small tests that ask for gradients, and of explaining them when it has ended.\n"
    yield "| tests | operations | running, s | explaining, s |"
    yield "| ---: | ---: | ---: | ---: |"
    for length in LENGTHS:
        operations, ran, explained = _timed(length)
        yield f"| {length} | {operations:,} | {ran:.2f} | {explained:.2f} |"
    yield ""


def _timed(length: int) -> tuple[int, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"suite_of_{length}.py"
        path.write_text(_HEAD + "".join(_TEST.format(number=number) for number in range(length)), encoding="utf-8")
        watch, start = Watch(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            run_program(watch, str(path), [], is_module=False)
        ended = time.process_time()
        report = outcome(functools.partial(observation_of, watch), program=path.name)
        return report.environment.operation_count, ended - start, time.process_time() - ended
