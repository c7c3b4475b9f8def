"""Ordinary requests that once were called a bug of gradflow."""

from __future__ import annotations

import pytest

from tests.attacks.commands import assert_one_error
from tests.attacks.sources import DECLARED

LATER = """
import torch
from torch import nn


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        h = self.a(x)
        self.a.requires_grad_(False)  # after its last use
        return self.b(torch.relu(h))


def lazy():
    return nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyBatchNorm1d(), nn.Linear(4, 3))
"""


@pytest.mark.parametrize(
    "command",
    ["audit later.py:Frozen --input-shape 2,5", "check later.py:Frozen --param a.weight --input-shape 2,5"],
)
def test_a_parameter_that_is_frozen_after_its_use_is_no_bug(cli, tmp_path, command):
    (tmp_path / "later.py").write_text(LATER, encoding="utf-8")
    done = cli(*command.split())
    assert "bug in gradflow" not in done.text, done.err
    assert "Traceback" not in done.text
    assert done.status in (0, 1), done.text


def test_a_lazy_model_without_an_input_is_no_bug(cli, tmp_path):
    (tmp_path / "later.py").write_text(LATER, encoding="utf-8")
    done = cli("check", "later.py:lazy", "--layer", "0")
    assert "bug in gradflow" not in done.text, done.err
    assert "Traceback" not in done.text
    if done.status == 2:
        assert_one_error(done)


@pytest.mark.parametrize(
    "shape",
    [
        "9" * 400,
        ",".join(["999999999"] * 60),
        "2,5:complex256",
        "9" * 5000 + ",5",
        "0,5",
        "1" + ",2" * 70,
    ],
)
def test_an_input_of_any_size_that_can_be_typed_is_one_error(cli, net, shape):
    assert_one_error(cli("check", "net.py:Net", "--layer", "a", "--input-shape", shape, memory=3 * 2**29))


@pytest.mark.parametrize("content", ["tool.gradflow = 3\n# [tool.gradflow\n", "tool = 3\n# [tool.gradflow\n"])
def test_a_pyproject_of_another_shape_is_one_error(cli, tmp_path, content):
    (tmp_path / "pyproject.toml").write_text(content, encoding="utf-8")
    assert_one_error(cli("check"))


def test_pytest_says_what_is_wrong_with_a_pyproject_of_another_shape(cli, tmp_path):
    (tmp_path / "pyproject.toml").write_text("tool.gradflow = 3\n# [tool.gradflow\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n", encoding="utf-8")
    done = cli.pytest()
    assert "TypeError" not in done.text, done.text[-600:]
    assert "AttributeError" not in done.text, done.text[-600:]
    assert "tool.gradflow" in done.text


@pytest.mark.parametrize(
    "content",
    [
        "version = 1\ngood = 3\n",
        "version = 1\n[good]\nlayers = 3\n",
        'version = 1\n[good]\nlayers = ["a"]\n',
        "version = 1\n[good.layers]\na = 3\n",
        'version = 1\n[good.layers]\n"a" = {b = 1}\n',
        "version = 1\n[[good]]\nlayers = 1\n",
    ],
)
def test_a_lock_of_another_shape_is_told_in_plain_words(cli, tmp_path, net, content):
    (tmp_path / "pyproject.toml").write_text(DECLARED, encoding="utf-8")
    (tmp_path / "gradflow.lock").write_text(content, encoding="utf-8")
    done = cli.pytest("--gradflow-lock")
    assert done.status == 1, done.text[-600:]
    assert "AttributeError" not in done.text, done.text[-600:]
    assert "Traceback" not in done.text
    assert "INTERNALERROR" not in done.text
    assert "gradflow.lock" in done.text


def test_a_lock_that_cannot_be_written_leaves_the_old_one(cli, tmp_path):
    layers = "torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(40)])"
    source = f"import torch\n\n\ndef build():\n    return {layers}\n"
    (tmp_path / "net.py").write_text(source, encoding="utf-8")
    declared = DECLARED.replace("Net", "build").replace('"a"', '"3"').replace("2,5", "2,4")
    (tmp_path / "pyproject.toml").write_text(declared, encoding="utf-8")
    first = cli.pytest("--gradflow-update")
    lock = tmp_path / "gradflow.lock"
    before = lock.read_bytes()
    assert len(before) > 512, first.text
    done = cli.pytest("--gradflow-update", largest_file=512)
    assert lock.read_bytes() == before, f"{len(lock.read_bytes())} bytes are left; {done.text[-200:]}"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".gradflow")] == []
