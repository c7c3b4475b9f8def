"""Annotations as GitHub reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gradflow.pytest_support.workflow_commands import error_commands


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "reason": "error[GF101] detach: cut",
        "code": "GF101 detach",
        "message": "cut",
        "path": "/project/src/net.py",
        "line": 7,
        "column": 9,
        **changes,
    }


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/project")


def commands(*findings: dict[str, Any]) -> list[str]:
    return list(error_commands(findings, Path("/elsewhere")))


def test_a_finding_is_placed_in_the_repository() -> None:
    assert commands(finding()) == ["::error file=src/net.py,line=7,title=gradflow GF101 detach,col=9::cut"]


def test_what_would_end_a_command_is_escaped() -> None:
    (line,) = commands(finding(message="50%\nlost", path="/project/a,b:c.py"))
    assert line == "::error file=a%2Cb%3Ac.py,line=7,title=gradflow GF101 detach,col=9::50%25%0Alost"


def test_each_place_is_told_once_and_only_places_are() -> None:
    without_place = {"reason": "no gradient", "test": "test_a.py::test_it"}
    assert len(commands(finding(), finding(), without_place, finding(line=8))) == 2


def test_a_file_outside_and_a_line_without_columns() -> None:
    (line,) = commands(finding(path="/lib/torch.py", column=None))
    assert line == "::error file=/lib/torch.py,line=7,title=gradflow GF101 detach::cut"
