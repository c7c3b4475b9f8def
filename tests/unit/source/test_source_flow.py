"""Whether a name leads from one place of a program to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.source.flow import is_written_out, leads_to


def place(path: Path, text: str) -> SourceSpan:
    """The span of the first stretch of a file that reads ``text``."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        column = line.find(text)
        if column >= 0:
            end = column + len(text) + 1
            return SourceSpan(path=str(path), line=number, column=column + 1, end_line=number, end_column=end)
    raise AssertionError(text)


def leads(tmp_path: Path, source: str) -> bool:
    path = tmp_path / "program.py"
    path.write_text(source)
    return leads_to(place(path, "x.item()"), place(path, "torch.tensor(y)"))


@pytest.mark.parametrize(
    "source",
    [
        "a = x.item()\nb = 2 * a\ny = b + 1\nz = torch.tensor(y)\n",
        "y = []\nfor i in range(3):\n    y.append(x.item())\nz = torch.tensor(y)\n",
        "def f(x):\n    return x.item()\ny = f(x) * 2\nz = torch.tensor(y)\n",
        "def f(y):\n    return torch.tensor(y)\nz = f(x.item())\n",
        "total = 0.0\ntotal += x.item()\ny = {'loss': total}\nz = torch.tensor(y)\n",
        "class T:\n def a(self):\n  self.kept = x.item()\n def b(self):\n  y = self.kept\n  z = torch.tensor(y)\n",
    ],
    ids=["names", "list", "returned", "argument", "dictionary", "attribute"],
)
def test_what_leaves_goes_into_what_is_made(tmp_path: Path, source: str) -> None:
    assert leads(tmp_path, source)


@pytest.mark.parametrize(
    "source",
    [
        "print(x.item())\ny = [1.0, other]\nz = torch.tensor(y)\n",
        "a = x.item()\ny = labels\nz = torch.tensor(y)\n",
        "def f(x):\n    y = x.item()\n    return None\ny = g()\nz = torch.tensor(y)\n",
    ],
    ids=["printed", "another name", "a local of the same name"],
)
def test_what_is_only_looked_at_leads_nowhere(tmp_path: Path, source: str) -> None:
    assert not leads(tmp_path, source)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("torch.tensor([0.0, -1.0])", True),
        ("torch.tensor(3, dtype=torch.float32)", True),
        ("torch.tensor(labels)", False),
        ("torch.tensor([a, 1.0])", False),
    ],
)
def test_a_tensor_of_constants_brings_nothing_back(tmp_path: Path, call: str, expected: bool) -> None:
    path = tmp_path / "program.py"
    path.write_text(f"t = {call}\n")
    assert is_written_out(place(path, call)) is expected


def test_a_name_that_is_used_again_for_something_else_is_not_followed(tmp_path: Path) -> None:
    assert not leads(tmp_path, "y = x.item()\nprint(y)\ny = net(z)\nw = torch.tensor(y)\n")
