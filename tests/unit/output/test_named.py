from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.errors import RenderError
from gradflow.output.named import output_path
from gradflow.report import Report, Score, Target


def test_home_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert output_path("~/r.txt") == output_path(Path("~/r.txt")) == tmp_path / "r.txt"
    assert output_path("a~b") == Path("a~b")
    assert output_path("./~/r.txt") == Path("~/r.txt"), "`./` is how to name a folder that is called so"


@pytest.mark.parametrize("name", ["", " ", "~nosuchuser/r.txt", "a\0b"])
def test_what_can_be_no_path_is_one_error(name: str) -> None:
    with pytest.raises(RenderError):
        output_path(name)


def test_a_report_is_saved_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    report = Report(verdict="connected", target=Target(name="fc"), score=Score(description="score"))
    assert report.save("~/r.json") == tmp_path / "r.json"
    assert (tmp_path / "r.json").stat().st_size
