"""A model that gradflow builds with random weights is the same each time, unless its own code decides otherwise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from gradflow.cli import main
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.load.workload import Workload

FACTORY = """
import random
import numpy
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)
        self.drop = torch.nn.Dropout()
        self.gain = numpy.random.rand() + random.random()

    def forward(self, x):
        return self.fc(self.drop(x)) * self.gain

def build():
    return Net()

def seeded():
    torch.manual_seed(7)
    return Net()

def without_numbers():
    return torch.nn.Flatten()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seededfactory.py").write_text(FACTORY)
    return tmp_path


def load(folder: Path, name: str, **options: Any) -> Workload:
    return load_workload(Request(model=f"{folder}/seededfactory.py:{name}", input_shapes=("1,3",), **options))


def weights(workload: Workload) -> list[float]:
    return [*workload.model.fc.weight.flatten().tolist(), workload.model.gain]


def says_seed(workload: Workload) -> bool:
    return any("seeded with 0" in text for text in workload.assumptions)


def test_two_models_of_one_factory_are_the_same(folder: Path) -> None:
    first = load(folder, "build")
    torch.rand(5)
    random.random()
    numpy.random.rand()  # noqa: NPY002
    second = load(folder, "build")
    assert weights(first) == weights(second)
    assert says_seed(first)
    assert first.seed == 0


def test_a_seed_that_is_given_is_taken_and_not_said(folder: Path) -> None:
    given = load(folder, "build", seed=3)
    assert weights(given) == weights(load(folder, "build", seed=3)) != weights(load(folder, "build"))
    assert not says_seed(given)


def test_a_factory_that_seeds_by_itself_wins(folder: Path) -> None:
    torch.manual_seed(7)
    wanted = torch.nn.Linear(3, 2).weight.flatten().tolist()
    for options in ({}, {"seed": 3}):
        built = load(folder, "seeded", **options)
        assert built.model.fc.weight.flatten().tolist() == wanted
        assert not says_seed(built)


def test_nothing_is_said_where_no_number_was_drawn(folder: Path) -> None:
    assert not says_seed(load(folder, "without_numbers"))


def test_the_command_gives_one_answer_and_leaves_the_generators(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    norms = []
    for _ in range(2):
        before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()  # noqa: NPY002
        command = ["check", "seededfactory.py:build", "--layer", "fc", "--input-shape", "4,3", "--train"]
        assert main([*command, "--format", "json"]) == 0
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == random.getstate()
        assert before[2] == numpy.random.get_state()[1].tolist()  # noqa: NPY002
        report = json.loads(capsys.readouterr().out)
        norms.append((report["target"]["value"], report["gradients"]))
        torch.rand(3)
    assert norms[0] == norms[1]
