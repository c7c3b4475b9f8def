"""Ctrl-C at any step of gradflow leaves the model and torch as they were found."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

import gradflow
from gradflow.location import own_directory


class Net(nn.Module):
    """Changes itself, torch and the random state in its forward; interrupts it where it is told to."""

    def __init__(self, interrupts: bool) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.interrupts, self.runs = interrupts, 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        self.b.weight.data.add_(1)
        h = self.norm(self.a(x)) + torch.rand(4)
        if self.interrupts:
            signal.raise_signal(signal.SIGINT)
        out: Tensor = self.b(h)
        return out


def found(model: nn.Module) -> tuple[Any, ...]:
    return (
        {name: value.tolist() for name, value in model.state_dict().items()},
        model.runs,
        [module.training for module in model.modules()],
        [parameter.grad for parameter in model.parameters()],
        torch.get_rng_state().tolist(),
        torch.from_numpy,
        torch.autograd.Function.__dict__.get("apply"),
        torch.inference_mode.__enter__,
        torch.autograd.backward,
        len(modules._global_forward_hooks),
        torch._C._len_torch_function_stack(),
        signal.getsignal(signal.SIGINT),
    )


class AtStep:
    """Sends an interrupt at the nth step of gradflow after the first forward; a profile function.

    The steps are those at which Python itself looks for signals: a function begins, or a built-in one has returned.
    Not lines: an exception that a trace function raises at the line of a ``with`` statement that is being left comes
    before ``__exit__`` is called, where no signal is ever delivered.
    """

    def __init__(self, number: int, model: Watched) -> None:
        self.number, self.model, self.steps = number, model, 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "c_return") or not frame.f_code.co_filename.startswith(own_directory()):
            return
        if self.model.runs_seen:
            self.steps += 1
            if self.steps == self.number:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)


class Watched(Net):
    runs_seen = False

    def forward(self, x: Tensor) -> Tensor:
        type(self).runs_seen = True
        return super().forward(x)


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(model: Watched, number: int, verb: Callable[[nn.Module], object]) -> int:
    """Run with an interrupt at that step; how many steps there were."""
    steps, before = AtStep(number, model), sys.getprofile()
    Watched.runs_seen = False
    sys.setprofile(steps)
    try:
        verb(model)
    except KeyboardInterrupt:
        assert number or model.interrupts
    finally:
        sys.setprofile(before)
    return steps.steps


VERBS: dict[str, Callable[[nn.Module], object]] = {
    "check": lambda model: gradflow.check(model, "a", inputs=torch.ones(3, 4)),
    "audit": lambda model: gradflow.audit(model, inputs=torch.ones(3, 4)),
}


# Python prints and drops what is raised while it closes a generator, an interrupt too
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_everything_is_as_found(verb: str, twice: bool) -> None:
    torch.manual_seed(0)
    model = Watched(interrupts=twice)
    before = found(model)
    count = interrupted(model, 0, VERBS[verb])
    assert found(model) == before
    assert count > 100
    # what is put back is put back last
    for number in (*range(1, count, count // 40), *range(max(count - 100, 1), count, 2)):
        interrupted(model, number, VERBS[verb])
        assert found(model) == before, number


_SLOW = """
import signal
import torch

def build():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(4, 2)

        def forward(self, x):
            signal.raise_signal(signal.SIGINT)
            return self.a(x)

    return Net()
"""


@pytest.mark.parametrize("arguments", [("check", "--layer", "a"), ("audit",)])
def test_the_command_line_ends_with_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "slow.py").write_text(_SLOW)
    verb, *rest = arguments
    command = [sys.executable, "-m", "gradflow", verb, "slow.py:build", "--input-shape", "1,4", *rest]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130
    assert done.stderr == "interrupted\n"
    assert done.stdout == ""


def test_a_file_that_was_being_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradflow.output import whole_file

    def unlink(path: Path, *, missing_ok: bool) -> None:
        signal.raise_signal(signal.SIGINT)
        remove(path, missing_ok=missing_ok)

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    remove = Path.unlink
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        whole_file._replace(tmp_path / "report.json", b"{}", None)
    assert list(tmp_path.iterdir()) == []
