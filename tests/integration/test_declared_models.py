"""Models that pyproject.toml declares: as tests, by `gradflow check`, against the lock; and the tutorial on them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from gradflow.cli import main

pytest_plugins = ["pytester"]

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "gradient-tests.md"
MENDED = ("return x.detach() + self.conv2", "return x + self.conv2")


@pytest.fixture
def tutorial(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The files that the tutorial lets one write."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for content in re.findall(r"```(?:python|toml)\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL):
        name = content.partition("\n")[0].removeprefix("# ")
        Path(name).write_text(content, encoding="utf-8")
    assert {path.name for path in Path().iterdir()} == {"net.py", "test_gradients.py", "pyproject.toml"}
    pytester.syspathinsert()
    return pytester


def mend() -> None:
    text = Path("net.py").read_text(encoding="utf-8")
    assert MENDED[0] in text
    Path("net.py").write_text(text.replace(*MENDED), encoding="utf-8")


def test_the_tutorial_holds(tutorial: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    first = tutorial.runpytest_subprocess("test_gradients.py")
    first.assert_outcomes(passed=2, failed=3)
    shown = re.findall(r"```text\n(.*?)\n```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)[0]
    first.stdout.fnmatch_lines([line.replace("[", "[[]") + "*" for line in shown.splitlines()])
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert "layers                NOT MET" in said
    assert "net.py:13:16" in said
    assert "0 of 3 expectations met" in said
    mend()
    # without arguments: the tests, and the declared models
    tutorial.runpytest_subprocess("-n", "2", "--gradflow-update").assert_outcomes(passed=9)
    assert Path("gradflow.lock").read_text(encoding="utf-8") == LOCK
    tutorial.runpytest_subprocess("pyproject.toml", "--gradflow-lock").assert_outcomes(passed=4)
    assert main(["check"]) == 0
    assert "3 of 3 expectations met" in capsys.readouterr().out


LOCK = """\
# Which gradients arrive. Written by `pytest --gradflow-update`, compared by `pytest --gradflow-lock`.
version = 1

[net.branches]
"block, identity skip" = "2 of 2 ways carry gradient"

[net.layers]
"block" = "connected"
"stem" = "connected"

[net.parameters]
"block.conv1" = "learns"
"block.conv2" = "learns"
"head" = "learns"
"stem" = "learns"
"""


def test_the_lock_fails_with_what_changed(tutorial: pytest.Pytester) -> None:
    Path("gradflow.lock").write_text(LOCK, encoding="utf-8")
    result = tutorial.runpytest_subprocess("--gradflow-lock", "-k", "lock", "--gradflow-report", "out")
    result.assert_outcomes(failed=1, deselected=8)
    result.stdout.fnmatch_lines(
        [
            "`net` differs from gradflow.lock in 2 places: branches: block, identity skip: 2 of 2 ways*",
            "  branches: block, identity skip: 2 of 2 ways carry gradient -> 1 of 2 ways carry gradient",
            "  layers: stem: connected -> wrong",
            "help: if this is meant, `pytest --gradflow-update`",
        ]
    )
    assert Path("gradflow.lock").read_text(encoding="utf-8") == LOCK
    assert "pyproject.toml::net::lock" in Path("out/summary.md").read_text(encoding="utf-8")


def test_declared_models_are_tests_where_the_run_is_not_narrowed(tutorial: pytest.Pytester) -> None:
    def collected(*arguments: str) -> int:
        result = tutorial.runpytest_subprocess("--collect-only", "-q", *arguments)
        return sum("pyproject.toml::net" in line for line in result.outlines)

    assert collected() == 3
    assert collected("pyproject.toml::net::skips") == 1
    assert collected("test_gradients.py") == 0
    assert collected("test_gradients.py", "--gradflow-lock") == 4
    Path("tests").mkdir()
    Path("pytest.ini").write_text("[pytest]\ntestpaths = tests\n", encoding="utf-8")
    assert collected() == 3
    tutorial.runpytest_subprocess("-n", "2").assert_outcomes(failed=3)


def test_a_mistake_in_the_declaration_is_told(tutorial: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pyproject.toml").write_text("[tool.gradflow.models.net]\nlayer = ['a']\n", encoding="utf-8")
    result = tutorial.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["`[[]tool.gradflow.models.net[]]` has no key `layer`", "help: did you mean `layers`?"])
    assert main(["check"]) == 2
    assert "did you mean `layers`?" in capsys.readouterr().err


def test_a_check_of_nothing_is_told(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "there is no model to check" in capsys.readouterr().err
    assert main(["check", "--layer", "stem"]) == 2
    assert "`--layer` needs a model" in capsys.readouterr().err


class Touching:
    """Unpickling it makes a folder."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


PYPROJECT_TRUST = """
[tool.pytest.ini_options]
addopts = "--gradflow-trust"
gradflow_trust = true

[tool.gradflow.models.net]
source = "m.pt"
trust = true
input-shapes = ["2,5"]
"""


@pytest.mark.parametrize("options", [(), ("--gradflow-trust",), ("--gradflow-trust", "-n", "1")])
def test_trust_is_the_word_of_who_runs_pytest(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """Not that of `addopts`, which the same file can hold."""
    model = torch.nn.Sequential(torch.nn.Linear(5, 3))
    model.extra = Touching()  # type: ignore[assignment]
    torch.save(model, "m.pt")
    Path("pyproject.toml").write_text(PYPROJECT_TRUST, encoding="utf-8")
    result = pytester.runpytest_subprocess(*options, "-p", "no:warnings")
    assert Path("ran").exists() == bool(options)
    if options:
        result.assert_outcomes(passed=1)
    else:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*`trust = true` in pyproject.toml does not count here*", "*--gradflow-trust*"])
