"""Files that are more than data: a payload makes one file, `canary`, in the folder of its test, and nothing else."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.attacks.archives import Small, WithNumber, quietly, records
from tests.attacks.commands import Commands, running_server
from tests.attacks.sources import NET

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    if not hasattr(os, "fork"):
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a process is forked for each command"))


@pytest.fixture(scope="session")
def server():
    with running_server() as process:
        yield process


@pytest.fixture
def cli(server, tmp_path):
    return Commands(server, tmp_path)


@pytest.fixture
def canary(tmp_path):
    """The one thing that a payload may make."""
    return tmp_path / "canary"


@pytest.fixture
def net(tmp_path):
    """Source of two small models, in the working folder."""
    path = tmp_path / "net.py"
    path.write_text(NET, encoding="utf-8")
    return path


@pytest.fixture
def picture(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "p.png"
    image.new("RGB", (8, 8), (200, 30, 30)).save(path)
    return path


@pytest.fixture(scope="session")
def exported():
    """An ordinary exported program."""
    file = io.BytesIO()
    with quietly():
        torch.manual_seed(0)
        torch.export.save(torch.export.export(Small().eval(), (torch.randn(2, 5),)), file)
    return file.getvalue()


@pytest.fixture(scope="session")
def exported_with_number():
    """An exported program with a size among its inputs."""
    file = io.BytesIO()
    shapes = {"x": {0: torch.export.Dim.AUTO}, "n": torch.export.Dim.DYNAMIC}
    with quietly():
        torch.manual_seed(0)
        program = torch.export.export(WithNumber().eval(), (torch.randn(3, 5), 3), dynamic_shapes=shapes)
        torch.export.save(program, file)
    return file.getvalue()


@pytest.fixture(scope="session")
def scripted():
    """An ordinary TorchScript archive, without its debug records."""
    file = io.BytesIO()
    with quietly():
        torch.manual_seed(0)
        torch.jit.save(torch.jit.script(Small()), file)
    return {name: data for name, data in records(file.getvalue()).items() if not name.endswith(".debug_pkl")}
