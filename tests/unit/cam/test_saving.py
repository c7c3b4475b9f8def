"""A map that a function made says how it is saved; the one of a command is saved by the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from torch import nn

import gradflow
from gradflow.checking import check_workload
from gradflow.errors import RenderError
from gradflow.load.loading import workload_from_objects

X = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).relu().mean((2, 3)))


def test_the_report_says_how_and_that_writes_the_map(tmp_path: Path) -> None:
    report = gradflow.check(Net().eval(), "body", inputs=X, cam=True)
    assert '`report.cam.save("cam.png")`' in " ".join(str(report).split())
    assert report.cam is not None
    assert report.cam.save(tmp_path / "cam.png") == tmp_path / "cam.png"
    with Image.open(tmp_path / "cam.png") as picture:
        assert picture.size == (16, 16)
    report.cam.save(str(tmp_path / "cam.npy"))
    assert numpy.array_equal(numpy.load(tmp_path / "cam.npy"), report.cam.saliency)


def test_an_extension_of_no_map_is_refused(tmp_path: Path) -> None:
    report = gradflow.check(Net().eval(), "body", inputs=X, cam=True)
    assert report.cam is not None
    with pytest.raises(RenderError, match="cannot write a map"):
        report.cam.save(tmp_path / "cam.svg")
    assert not list(tmp_path.iterdir())


def test_nothing_of_saving_is_said_where_a_command_writes_the_map_or_nobody_asked_for_one() -> None:
    typed = replace(workload_from_objects(Net().eval(), X), is_typed=True)
    made = check_workload(typed, ["body"], cam=True)
    assert made.cam is not None
    assert "cam.save" not in str(made)
    assert "cam.save" not in str(gradflow.check(Net().eval(), "body", inputs=X))
