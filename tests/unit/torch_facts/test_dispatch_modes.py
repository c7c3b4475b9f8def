"""What is computed past the modes of the dispatcher, past autograd, and past tensor classes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch

from gradflow.torch_facts.dispatch_modes import DispatchMode, outside_dispatch, outside_torch


class Log(DispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_mode_of_the_dispatcher_sees_nothing_of_it() -> None:
    x = torch.ones(2)
    with Log() as log:
        with outside_dispatch():
            x.exp()
        with outside_torch():
            x.exp()
        assert log.seen == []
        x.exp()
        assert log.seen == ["aten.exp.default"]


def test_autograd_records_nothing_outside_torch_and_goes_on_afterwards() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.inference_mode(), outside_torch():
        inside = x * 2
        assert not torch.is_inference_mode_enabled()
    with outside_torch():
        assert not (x * 2).requires_grad
    assert not inside.is_inference()
    assert torch.is_grad_enabled()
    assert (x * 2).requires_grad


PROGRAM = """
import sys, warnings
import torch
from gradflow.torch_facts.dispatch_modes import DispatchMode

seen = []

class Noting(DispatchMode):
    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        seen.append(str(func))
        return func(*args, **(kwargs or {}))

filters = list(warnings.filters)
with Noting():
    torch.ones(2) + 1
assert "aten.add.Tensor" in seen, seen
assert "torch._dynamo" not in sys.modules
assert warnings.filters == filters
"""


def test_a_mode_of_gradflows_does_not_import_the_compiler() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
