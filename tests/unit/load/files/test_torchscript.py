"""TorchScript archives run only where they are trusted, and torch reads a copy whose tensors have their records."""

from __future__ import annotations

import io
import zipfile

import pytest
import torch
from torch import nn

from gradflow.errors import LoadError, UntrustedFileError
from gradflow.load.files.torchscript import load_torchscript

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning"),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(5, 4, batch_first=True)
        self.names = ["a", "b"]
        self.sizes = {"x": 1}
        self.register_buffer("table", torch.arange(6.0).view(2, 3).t())

    def forward(self, x):
        return self.cell(x)[0].sum() + self.table.sum() * len(self.names) + torch.tensor([1.0, 2.0]).sum()


@pytest.fixture(scope="module")
def archive():
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(Net()), file)
    with zipfile.ZipFile(file) as content:
        return {name: content.read(name) for name in content.namelist()}


def written(path, records):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in records.items():
            file.writestr(name, data)
    return path


def test_it_needs_trust_and_the_message_says_why(tmp_path, archive):
    with pytest.raises(UntrustedFileError, match="a program of its own") as caught:
        load_torchscript(written(tmp_path / "m.pt", archive), trust=False)
    assert "--trust" in caught.value.hint


def test_a_trusted_one_runs(tmp_path, archive):
    model = load_torchscript(written(tmp_path / "m.pt", archive), trust=True).model
    assert model(torch.ones(2, 3, 5)).shape == ()


def test_a_frozen_one_has_no_mode_and_loads(tmp_path):
    torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(5, 3)).eval())).save(str(tmp_path / "m.pt"))
    assert "eval" in load_torchscript(tmp_path / "m.pt", trust=True).assumptions[0]


@pytest.mark.parametrize("kept", [0, 4, -4])
def test_a_record_that_is_shorter_than_its_tensor_is_damage(tmp_path, archive, kept):
    name = max((name for name in archive if "/data/" in name), key=lambda name: len(archive[name]))
    with pytest.raises(LoadError, match="cannot load"):
        load_torchscript(written(tmp_path / "m.pt", archive | {name: archive[name][:kept]}), trust=True)
