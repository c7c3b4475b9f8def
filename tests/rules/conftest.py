"""Small models written out as source text, so that each way to lose a gradient is one or two lines in a table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = "# <- here"

_TEMPLATE = """\
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

{top}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)
{init}

{decorator}
    def forward(self, x):
        h = torch.tanh(self.body(x))
{forward}
{head}


def build():
    torch.manual_seed(0)
{build}
    return Net().to(torch.{dtype})


def example_input():
    return torch.linspace(-1, 1, 12).reshape(2, 6).to(torch.{dtype})
"""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A report, and the line of the program that ends with the mark; ``None`` without one."""

    report: Any
    line: int | None

    @property
    def found(self) -> list[tuple[str, int | None]]:
        """Name and line of every finding."""
        return [
            (each.name, each.location.line if each.location is not None else None) for each in self.report.diagnostics
        ]


def _indented(text: str, width: int) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), " " * width)


@pytest.fixture
def check_program(tmp_path: Path) -> Iterator[Callable[..., Checked]]:
    """``check_program(forward="h = h.detach()  # <- here")`` puts the lines into a small model and checks it.

    ``forward`` reads and sets ``h`` of shape ``[2, 6]``; ``init`` stands in the constructor, ``top`` above the class,
    ``decorator`` above ``forward``, ``build`` where the model is built, and ``head`` is the end of the forward pass.
    """
    torch = pytest.importorskip("torch")
    from gradflow.checking import check_workload
    from gradflow.load.loading import load_workload
    from gradflow.load.request import Request

    def check(
        *,
        forward: str = "",
        init: str = "",
        top: str = "",
        decorator: str = "",
        build: str = "",
        head: str = "return self.head(h)",
        dtype: str = "float32",
        slice_: str = "",
        layer: str = "body",
    ) -> Checked:
        source = _TEMPLATE.format(
            top=textwrap.dedent(top).strip(),
            init=_indented(init, 8),
            decorator=_indented(decorator, 4),
            forward=_indented(forward, 8),
            head=_indented(head, 8),
            build=_indented(build, 4),
            dtype=dtype,
        )
        path = tmp_path / "model.py"
        path.write_text(source, encoding="utf-8")
        lines = source.splitlines()
        line = next((number for number, text in enumerate(lines, start=1) if text.endswith(HERE)), None)
        workload = load_workload(Request(model=f"{path}:build", inputs=(f"{path}:example_input",)))
        return Checked(report=check_workload(workload, [layer], slice_=slice_), line=line)

    yield check
    torch.set_grad_enabled(True)  # some of the programs leave it off
