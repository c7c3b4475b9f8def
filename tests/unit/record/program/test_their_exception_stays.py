"""Whatever gradflow does when a watched program raises, the program sees its own exception."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gradflow
from gradflow.watch import explain as explaining


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    number: int


class Model(torch.nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


ERRORS = [
    SilentError(),
    FrozenError(1),
    ValueError(SilentError()),
    AttributeError("no", name=torch.ones(1), obj=SilentError()),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_a_hooked_forward(error: Exception) -> None:
    model = Model(error)

    def run() -> None:
        with explanation:
            model.register_forward_hook(lambda *_: None)
            model(torch.ones(1))

    explanation = gradflow.explain(quiet=True)
    with pytest.raises(type(error)) as caught:
        run()
    assert caught.value is error
    assert explanation.report is not None
    assert not any("gradflow itself" in text or "own observation" in text for text in explanation.report.undetermined)


# a frozen one cannot pass the `with` statement in which torch calls a function mode: Python 3.11 sets its traceback
@pytest.mark.parametrize("error", [ERRORS[0], *ERRORS[2:]], ids=lambda error: type(error).__name__)
def test_out_of_a_backward(error: Exception) -> None:
    class Refuse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            raise error

    with pytest.raises(type(error)) as caught, gradflow.explain(quiet=True) as explanation:
        Refuse.apply(torch.ones(1, requires_grad=True)).sum().backward()
    assert caught.value is error
    assert explanation.report is not None
    assert explanation.report.environment.watched.endswith(f"ended by {type(error).__name__}")


@pytest.mark.parametrize("step", ["with_what_ran_before", "show"])
def test_a_failure_of_gradflows_does_not_take_its_place(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("gradflow")

    monkeypatch.setattr(explaining, step, fail)
    with pytest.raises(SilentError), gradflow.explain():
        raise SilentError


def test_a_block_runs_where_gradflow_cannot_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("gradflow")

    with monkeypatch.context() as patched:
        patched.setattr(explaining, "Watch", fail)
        with gradflow.explain() as explanation:
            ran = True
    assert ran
    assert explanation.report is not None
    assert explanation.report.verdict == "error"
    assert "not watched, because gradflow itself failed: LookupError" in capsys.readouterr().err
    with gradflow.explain(quiet=True) as explanation:  # the next one watches again
        torch.ones(1, requires_grad=True).sum().backward()
    assert explanation.report is not None
    assert explanation.report.connected


END = """
import sys, dataclasses
@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    number: int
def hook(kind, error, traceback):
    {does}
sys.excepthook = hook
raise FrozenError(4)
"""


@pytest.mark.parametrize("does", ["raise ValueError('in the hook')", "raise SystemExit(5)", "print(sys.exception())"])
def test_the_end_of_a_program_is_that_of_plain_python(does: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(END.format(does=does))
    plain, watched = (
        subprocess.run(
            [sys.executable, *words, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        for words in ((), ("-m", "gradflow", "run"))
    )
    assert (watched.returncode, watched.stdout) == (plain.returncode, plain.stdout)
    said = [line for line in watched.stderr.splitlines() if not line.startswith("gradflow:")]
    assert said == plain.stderr.splitlines()
