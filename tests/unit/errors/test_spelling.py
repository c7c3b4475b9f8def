"""What to do next is spelled as the caller can do it: options on the command line, arguments in Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.cli import main
from gradflow.errors import GradflowError, UsageError
from gradflow.spelled import Spelled

X = torch.randn(2, 3)


class _Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no")


class _Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3)])
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(3))])

    def forward(self, x: torch.Tensor) -> Any:
        return "nothing" if x.shape[0] == 1 else self.layers[0](x) * self.scales[0]


class _Shapeless(nn.Module):
    def forward(self, first: object, second: object) -> object:
        return first, second


ASKED: dict[str, Callable[[], object]] = {
    "no such layer": lambda: gradflow.check(nn.Linear(3, 2), "nowhere", inputs=X),
    "a parameter as a layer": lambda: gradflow.check(nn.Sequential(nn.Linear(3, 2)), "0.weight", inputs=X),
    "a layer as a parameter": lambda: gradflow.check(nn.Sequential(nn.Linear(3, 2)), (), parameter="0", inputs=X),
    "no such parameter": lambda: gradflow.check(nn.Linear(3, 2), (), parameter="nowhere", inputs=X),
    "a list of layers": lambda: gradflow.check(_Held(), "layers*[a-z]", inputs=X),
    "nothing asked for": lambda: gradflow.check(nn.Linear(3, 2), (), inputs=X),
    "the model raises": lambda: gradflow.audit(_Raises(), inputs=X),
    "no tensor": lambda: gradflow.audit(_Held(), inputs=X[:1]),
    "no input": lambda: gradflow.audit(_Shapeless()),
    "no slice": lambda: gradflow.check(nn.Sequential(nn.Linear(3, 2)), "0", inputs=X, slice="[[["),
    "target and score": lambda: gradflow.check(nn.Linear(3, 2), "", inputs=X, target=0, score=torch.sum),
    "no names of classes": lambda: gradflow.check(nn.Linear(3, 2), "", inputs=X, target="cat"),
    "a lazy layer raises": lambda: gradflow.audit(nn.Sequential(nn.LazyLinear(3), nn.Linear(4, 2)), inputs=X),
}


@pytest.mark.parametrize("what", ASKED)
def test_in_python_no_option_of_the_command_line_is_named(what: str) -> None:
    with pytest.raises(GradflowError) as raised:
        ASKED[what]()
    said = str(raised.value)
    assert "help: " in said
    assert "--" not in said
    assert "`gradflow " not in said


def test_an_exception_says_it_in_python_and_its_parts_for_the_command_line() -> None:
    error = UsageError("no input", hint=Spelled("pass `--input`", in_python="pass `inputs=...`"))
    assert str(error) == "no input\nhelp: pass `inputs=...`"
    assert error.hint == "pass `--input`"
    assert str(UsageError("no", hint="try again")) == "no\nhelp: try again"


def test_the_command_line_names_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text("from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Linear(3, 2))\n")
    assert main(["check", f"{file}:build", "--layer", "0.weight"]) == 2
    assert "ask for it with `--param 0.weight`" in capsys.readouterr().err
