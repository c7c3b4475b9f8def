"""The plugin as a project uses it: its own tests, options and reports, also in several processes."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gradflow import testing

pytest_plugins = ["pytester"]

# a run inside this process forgets what it has imported: torch cannot be imported twice, and there must not be two
# classes of the same exception
ASSERTIONS = {name: getattr(testing, name) for name in testing.__all__}
for one in ("declared_items", "marks", "report_files", "summary", "telling", "workflow_commands"):
    importlib.import_module(f"gradflow.pytest_support.{one}")

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, broken=False):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)
        self.broken = broken

    def forward(self, x):
        x = self.stem(x)
        if self.broken:
            x = x.detach()
        return self.head(x)
"""
TESTS = """
import pytest
import torch
from net import Net

X = torch.ones(2, 4)

def test_sound(gradflow):
    assert gradflow.assert_connected(Net(), "stem", X).connected

def test_broken(gradflow):
    model = Net(broken=True)
    gradflow.assert_connected(model, "stem", X)

@pytest.mark.gradflow(ignore=["GF101"])
def test_ignored(gradflow):
    gradflow.assert_connected(Net(broken=True), "stem", X)

@pytest.mark.xfail(strict=True)
def test_expected(gradflow):
    gradflow.assert_connected(Net(broken=True), "stem", X)

@pytest.mark.parametrize("broken", [False, True])
def test_parametrized(gradflow, broken):
    gradflow.assert_all_parameters_learn(Net(broken), X)

def test_without():
    assert 1 + 1 == 2
"""
UNITTEST = """
import unittest
import torch
from gradflow.testing import assert_connected
from net import Net

class GradientTest(unittest.TestCase):
    def test_broken(self):
        assert_connected(Net(broken=True), "stem", torch.ones(2, 4))
"""
OUTCOMES = {"passed": 4, "failed": 2, "xfailed": 1}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a model, and tests of it that pass and fail."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.makepyfile(net=NET, test_net=TESTS)
    pytester.syspathinsert()
    return pytester


def test_outcomes_are_those_of_any_test(project: pytest.Pytester) -> None:
    result = project.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(**OUTCOMES)
    result.stdout.fnmatch_lines(
        [
            '>       gradflow.assert_connected(model, "stem", X)',
            "E       error[[]GF101[]] detach: no gradient reaches `stem` from score*",
            "test_net.py:12: GradientAssertionError",
            "*- gradflow -*",
            "  --> net.py:13:17 in Net.forward",
            "2 of 6 gradient checks failed",
            "  net.py:13:17: error[[]GF101[]]*(test_net.py::test_broken)",
            "FAILED test_net.py::test_broken - error[[]GF101[]] detach*",
        ]
    )
    assert "torch/nn" not in result.stdout.str()
    assert "checking.py" not in result.stdout.str()


def test_two_workers_say_the_same(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-n", "2", "--gradflow-report", "out", "--junitxml", "junit.xml")
    result.assert_outcomes(**OUTCOMES)
    result.stdout.fnmatch_lines(
        [
            "*- gradflow -*",
            "  --> net.py:13:17 in Net.forward",
            "2 of 6 gradient checks failed",
            "FAILED test_net.py::test_broken - error[[]GF101[]] detach*",
        ]
    )
    assert len(list(Path("out").glob("*.json"))) == 2
    properties = [one.attrib for one in ElementTree.parse("junit.xml").iter("property")]
    assert {"name": "gradflow.code", "value": "GF101"} in properties
    places = [one["value"] for one in properties if one["name"] == "gradflow.location"]
    assert places
    assert all(place.endswith("net.py:13:17") for place in places)


def test_unittest_users_get_the_same(project: pytest.Pytester) -> None:
    project.makepyfile(test_unit=UNITTEST)
    result = project.runpytest("test_unit.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- gradflow -*", "  --> net.py:13:17 in Net.forward", "1 of 1 gradient check failed"])
    plain = project.run(sys.executable, "-m", "unittest", "test_unit")
    plain.stderr.fnmatch_lines(["gradflow.testing.failure.GradientAssertionError: error[[]GF101[]]*", "*net.py:13:17*"])


def test_only_what_failed_is_run_again(project: pytest.Pytester) -> None:
    project.runpytest().assert_outcomes(**OUTCOMES)
    project.runpytest("--lf").assert_outcomes(failed=2)


def test_quiet_where_all_is_well(project: pytest.Pytester) -> None:
    assert "gradient check" not in project.runpytest("-k", "sound").stdout.str()
    project.runpytest("-v", "-k", "sound").stdout.fnmatch_lines(["1 gradient check, all passed"])


def test_report_folder_holds_graph_data_and_summary(project: pytest.Pytester) -> None:
    result = project.runpytest("--gradflow-report", "out/of/it", "-k", "broken and not parametrized")
    result.stdout.fnmatch_lines(["wrote out/of/it/test_net.py--test_broken-*.svg", "wrote out/of/it/summary.md"])
    (saved,) = Path("out/of/it").glob("*.json")
    assert json.loads(saved.read_text())["verdict"] == "broken"
    (drawn,) = Path("out/of/it").glob("*.svg")
    summary = Path("out/of/it/summary.md").read_text()
    assert "1 checked, 1 failed." in summary
    assert f"[json]({saved.name}), [svg]({drawn.name})" in summary
    assert "`net.py:13:17`" in summary


def test_the_report_folder_may_be_below_home(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.mkdir("home")))
    project.runpytest("--gradflow-report=~/out", "-k", "broken and not parametrized")
    assert Path("home/out/summary.md").is_file()
    assert not Path("~").exists()
    result = project.runpytest("--gradflow-report=~nosuchuser/out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*home folder of a user that there is not*"])


def test_ini_is_the_twin_of_the_option(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\ngradflow_report = reports\n")
    project.runpytest("-k", "broken and not parametrized")
    assert Path("reports/summary.md").is_file()


def test_every_option_is_in_the_help(project: pytest.Pytester) -> None:
    shown = project.runpytest("--help").stdout.str()
    for name in ("report", "lock", "update"):
        assert f"--gradflow-{name}" in shown
        assert f"gradflow_{name} (" in shown
    assert "@pytest.mark.gradflow(select=(), ignore=())" in project.runpytest("--markers").stdout.str()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('ignore=["GF999"]', "there is no finding `GF999`"),
        ('ignore=["detatch"]', "did you mean `detach`?"),
        ('skip=["GF101"]', "unexpected keyword argument 'skip'"),
    ],
)
def test_wrong_markers_are_told_before_any_test_runs(project: pytest.Pytester, arguments: str, said: str) -> None:
    project.makepyfile(test_marked=f"import pytest\n@pytest.mark.gradflow({arguments})\ndef test_it(): pass\n")
    result = project.runpytest("test_marked.py", "--strict-markers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_marked.py::test_it: @pytest.mark.gradflow: *{said}*"])


def test_github_is_told_the_line_of_the_model(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    result = project.runpytest()
    commands = [line for line in result.outlines if line.startswith("::error")]
    assert any(line.startswith("::error file=net.py,line=13,title=gradflow GF101 detach,col=17::") for line in commands)


# Tests of a project that has nothing to do with gradients


def test_torch_is_not_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_light():
            ours = {name for name in sys.modules if name.partition(".")[0] == "gradflow"}
            light = {"current_test", "errors", "printable", "pytest_plugin", "spelled"}
            assert ours == {"gradflow", *(f"gradflow.{name}" for name in light)}
            assert "torch" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_the_assertions_have_the_names_that_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "pytest.md").read_text(encoding="utf-8")
    for name in ASSERTIONS:
        assert f"`{name}" in page, name
