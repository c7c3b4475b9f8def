"""Every example that a `--help` shows can be run as it stands, and ends with status 0 on models that are whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

pytest.importorskip("torchvision")

import torch
import torchvision
from PIL import Image
from torch import nn

import gradflow
from gradflow.cli.program import VERBS

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, 8)
        self.classify = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.classify(self.embed(ids).mean(1))
"""
TRAIN = """
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential()
        self.backbone.add_module("layer4", nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x).mean((2, 3)))


def build() -> nn.Module:
    torch.manual_seed(0)
    return Classifier()


def loss(output: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output, torch.arange(len(output)) % 5)


if __name__ == "__main__":
    model, images = build(), torch.randn(2, 3, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss(model(images)).backward()
        optimizer.step()
"""
TEST = """
import sys

import torch

sys.path.insert(0, ".")
from train import build, loss


def test_it_learns() -> None:
    model = build()
    loss(model(torch.randn(2, 3, 8, 8))).backward()
    assert model.head.weight.grad is not None
"""


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a shell, as it is typed: an example may be piped into another command."""
    places = [str(Path(gradflow.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "TORCH_HOME": str(folder / "hub")}
    written = f'gradflow() {{ "{sys.executable}" -m gradflow "$@"; }}\n{command}'
    return subprocess.run(
        ["bash", "-c", written], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _examples(verb: str, folder: Path) -> list[str]:
    text = _run(f"gradflow {verb} --help", folder).stdout.partition("examples:")[2].replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith("  gradflow ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the examples name, and weights of a ResNet-50 where torch keeps what it has downloaded."""
    here = tmp_path_factory.mktemp("examples")
    for name in ("package", "tests", "hub/hub/checkpoints"):
        (here / name).mkdir(parents=True)
    (here / "net.py").write_text(NET, encoding="utf-8")
    for name in ("train.py", "cam.py", "package/module.py"):
        (here / name).write_text(TRAIN, encoding="utf-8")
    (here / "tests" / "test_model.py").write_text(TEST, encoding="utf-8")
    picture = numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=numpy.uint8)
    Image.fromarray(picture).save(here / "cat.jpg")
    torch.manual_seed(0)
    torch.save(torch.randn(2, 3, 8, 8), here / "batch.pt")
    space: dict[str, type[nn.Module]] = {}
    exec(NET, space)
    torch.save(space["Net"]().state_dict(), here / "model.pth")
    url = torchvision.models.get_model_weights("resnet50").DEFAULT.url
    weights = torchvision.models.resnet50().state_dict()
    torch.save(weights, here / "hub" / "hub" / "checkpoints" / url.rpartition("/")[2])
    return here


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_example_of_a_help_succeeds(verb: str, folder: Path) -> None:
    examples = _examples(verb, folder)
    assert len(examples) >= 3
    ended = {example: _run(example, folder) for example in examples}
    assert {example: done.returncode for example, done in ended.items()} == dict.fromkeys(examples, 0), "\n".join(
        done.stdout[-400:] + done.stderr[-400:] for done in ended.values() if done.returncode
    )
