"""What goes wrong inside an installed package is told at the line of the user's own code that led there, if one did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.report import Report

LIBRARY = """\
import torch
from torch import nn

def stopped(x):
    return x.detach() * 2

@torch.no_grad()
def unrecorded(x):
    return x * 2

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return stopped(self.inner(x))

class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.block(x))
"""

OWN = """\
import stopping_library as library
from torch import nn

class Net(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.block = library.Block()
        self.way = getattr(self, way)

    def forward(self, x):
        return self.way(self.layer(x)).sum(1, keepdim=True)

    def by_function(self, x):
        return library.stopped(x)  # by_function

    def by_module(self, x):
        return self.block(x)  # by_module

    def by_decorated(self, x):
        return library.unrecorded(x)  # by_decorated

    def twice(self, x):
        aside = library.stopped(x.detach() * 0).sum()
        return library.stopped(x) + aside  # twice

    def on_a_side_way(self, x):
        x = x.tanh()
        return x * library.stopped(x)  # on_a_side_way
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, beside a package that is installed as far as its path tells."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "stopping_library.py").write_text(LIBRARY)
    (tmp_path / "own_net.py").write_text(OWN)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "own_net.py"


def net(way: str) -> torch.nn.Module:
    from own_net import Net

    torch.manual_seed(0)
    return Net(way)


def check(way: str) -> Report:
    return gradflow.check(net(way), "layer", inputs=torch.rand(2, 4))


def marked(path: Path, way: str) -> tuple[Path, int]:
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.endswith(f"# {way}"))
    return path, line


def place(found: Diagnostic) -> tuple[Path, int]:
    assert found.location is not None
    return Path(found.location.path), found.location.line


@pytest.mark.parametrize("way", ["by_function", "by_module", "by_decorated", "twice", "on_a_side_way"])
def test_check_names_the_users_line_and_shows_the_librarys(own: Path, way: str) -> None:
    report = check(way)
    # a library's own stop on a side way is taken for meant
    assert report.connected == (way == "on_a_side_way")
    found = report.diagnostics[0]
    assert place(found) == marked(own, way)
    inside = found.annotations[0].span
    assert Path(inside.path).name == "stopping_library.py"
    assert inside.line == (7 if way == "by_decorated" else 5)
    assert found.label == "happens in what is called here"
    assert "stopping_library.py" in str(report)


def test_audit_does_the_same(own: Path) -> None:
    report = gradflow.audit(net("by_module"), inputs=torch.rand(2, 4))
    found = report.diagnostics[0]
    assert place(found) == marked(own, "by_module")
    assert Path(found.annotations[0].span.path).name == "stopping_library.py"
    assert set(found.hides) == {"layer.weight", "layer.bias", "block.inner.weight", "block.inner.bias"}


def test_what_the_user_wrote_stays_where_it_is(own: Path) -> None:
    own.write_text(own.read_text().replace("return library.stopped(x)  #", "return library.stopped(x).detach()  #"))
    found = check("by_function").diagnostics
    lines = {place(one) for one in found}
    assert lines == {marked(own, "by_function")}


@pytest.mark.usefixtures("own")
def test_a_model_of_the_library_itself_is_told_at_the_librarys_line() -> None:
    from stopping_library import Whole

    inputs = torch.rand(2, 4)
    checked = gradflow.check(Whole(), "block.inner", inputs=inputs).diagnostics
    audited = gradflow.audit(Whole(), inputs=inputs).diagnostics
    for found in (*checked, *audited):
        path, line = place(found)
        assert (path.name, line) == ("stopping_library.py", 5)
        assert found.label == "the value goes on, its gradient does not"


@pytest.mark.usefixtures("own")
def test_no_line_is_kept_where_only_a_library_ran() -> None:
    from stopping_library import Whole

    from gradflow.load.loading import workload_from_objects
    from gradflow.record.program_sites import ProgramSites
    from gradflow.record.run import run_forward

    def callers(model: torch.nn.Module) -> list[list[int]]:
        workload = workload_from_objects(model, torch.rand(2, 4))
        recording = run_forward(workload, {}, {}, sites=ProgramSites()).recording
        return [[recording.spans[own].line for _, own in lines] for lines in recording.callers.values()]

    assert callers(Whole()) == []
    assert [15] in callers(net("by_function"))
