"""The models in fixtures/: each says in comments what is wrong with it, and gradflow must find just that.

``# layer: NAME`` is what to ask of, ``# verdict: WORD`` what comes out, and on each line that may be blamed stands
``# expect: cause``, or ``# expect: cause | cause``. Where people are shown the bare line, the head of the file says
``# expect: cause at TEXT`` instead, for the line that reads TEXT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"

# what the broken models themselves warn of is theirs
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:fixtures", "ignore:To copy construct from a tensor")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a fixture says of itself; ``blame`` maps a line number to the causes that are right there."""

    path: Path
    layer: str
    verdict: str
    blame: dict[int, set[str]]

    @property
    def needs_torchvision(self) -> bool:
        return "torchvision" in self.path.read_text(encoding="utf-8")


def read_expectation(path: Path) -> Expectation:
    lines = path.read_text(encoding="utf-8").splitlines()
    settings = dict(match.groups() for line in lines if (match := re.match(r"# (layer|verdict): (\S+)$", line)))
    blame = {}
    for number, line in enumerate(lines, start=1):
        if match := re.search(r"# expect: (.*?)(?: at (.*))?$", line):
            causes = {cause.strip() for cause in match[1].split("|")}
            blame[_line_that_reads(match[2], lines) if match[2] else number] = causes
    return Expectation(path=path, layer=settings["layer"], verdict=settings["verdict"], blame=blame)


def _line_that_reads(text: str, lines: list[str]) -> int:
    (number,) = [number for number, line in enumerate(lines, start=1) if line.strip() == text]
    return number


def fixtures(*folders: str) -> list[Expectation]:
    return [read_expectation(path) for folder in folders for path in sorted((FIXTURES / folder).glob("*.py"))]


def name_of(expectation: Expectation) -> str:
    return f"{expectation.path.parent.name}/{expectation.path.stem}"


def check(expectation: Expectation):
    if expectation.needs_torchvision:
        pytest.importorskip("torchvision", exc_type=ImportError)
    from gradflow.checking import check_workload
    from gradflow.load.loading import load_workload
    from gradflow.load.request import Request

    request = Request(model=f"{expectation.path}:build", inputs=(f"{expectation.path}:example_input",))
    return check_workload(load_workload(request), [expectation.layer])


def test_fixtures_are_found() -> None:
    assert len(fixtures("causes")) == 17 + 6
    assert {each.path.name for each in fixtures("broken")} == {each.path.name for each in fixtures("healthy")}


@pytest.mark.parametrize("expectation", fixtures("broken", "causes"), ids=name_of)
def test_broken_model_is_explained(expectation: Expectation) -> None:
    assert expectation.blame, "a broken fixture says which line is to blame"
    report = check(expectation)
    assert report.verdict == expectation.verdict, str(report)
    first = report.diagnostics[0]
    assert first.severity == "error"
    assert first.location is not None, str(report)
    assert Path(first.location.path).resolve() == expectation.path.resolve()
    assert first.location.line in expectation.blame, str(report)
    assert first.name in expectation.blame[first.location.line], str(report)


@pytest.mark.parametrize("expectation", fixtures("healthy"), ids=name_of)
def test_healthy_twin_is_connected(expectation: Expectation) -> None:
    report = check(expectation)
    assert report.verdict == expectation.verdict == "connected", str(report)
    assert report.connected
    assert [each for each in report.diagnostics if each.severity == "error"] == []
