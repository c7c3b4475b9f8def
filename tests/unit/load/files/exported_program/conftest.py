"""Programs that torch.export writes, and copies of their files in which one thing is different."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from gradflow.load.files.exported import load_exported


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x, n: int):
        with torch.no_grad():
            scale = self.b(torch.tanh(self.a(x))).mean()
        return self.b(torch.tanh(self.a(x)).reshape(n, -1)) * scale + 2 * n


class Changed:
    """Copies of one exported file with a change in one of its records."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source = source
        self.target = folder / "changed.pt2"

    def records(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.source) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def record(self, end: str) -> str:
        return next(name for name in self.records() if name.endswith(end))

    def write(self, records: dict[str, bytes], **options) -> Path:
        with zipfile.ZipFile(self.target, "w", **options) as archive:
            for name, data in records.items():
                archive.writestr(name, data)
        return self.target

    def json(self, end: str, change: Callable) -> Path:
        """With ``change`` applied to the JSON of a record, in place."""
        name = self.record(end)
        value = json.loads(self.records()[name])
        change(value)
        return self.write(self.records() | {name: json.dumps(value).encode()})

    def program(self, change: Callable) -> Path:
        return self.json("models/model.json", change)

    def weights(self, change: Callable) -> Path:
        return self.json("model_weights_config.json", change)

    def data(self, end: str, data: bytes) -> Path:
        return self.write(self.records() | {self.record(end): data})


def exported_bytes(model, *args, kwargs=None, **options) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        file = io.BytesIO()
        torch.export.save(torch.export.export(model, args, kwargs, **options), file)
    return file.getvalue()


@pytest.fixture(scope="session")
def healthy(tmp_path_factory):
    """With a symbolic batch, a size among its inputs, arithmetic on it, and a region without gradients."""
    path = tmp_path_factory.mktemp("exported") / "healthy.pt2"
    shapes = {"x": {0: torch.export.Dim.AUTO}, "n": torch.export.Dim.DYNAMIC}
    path.write_bytes(exported_bytes(Small().eval(), torch.randn(3, 5), 3, dynamic_shapes=shapes))
    return path


@pytest.fixture
def changed(healthy, tmp_path):
    return Changed(healthy, tmp_path)


@pytest.fixture
def load_program(tmp_path):
    """Export a model, write it to a file, and load that."""

    def load(model, *args, kwargs=None, **options):
        path = tmp_path / "program.pt2"
        path.write_bytes(exported_bytes(model, *args, kwargs=kwargs, **options))
        return load_exported(path, trust=False)

    return load


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not (tmp_path / "made_by_the_file").exists()
    assert not list(tmp_path.glob("gradflow-*"))
