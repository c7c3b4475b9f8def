"""Each code that a check reports: a broken model, a near miss that stays silent, and the message as people see it.

``fixtures/rules/GF101_broken.py`` is a model with the mistake; the line to blame ends with ``# <- here``.
``GF101_near_miss.py`` looks much like it and is right. ``# layer: NAME`` (or ``# param: NAME``), ``# slice: [...]`` and
``# verdict: WORD`` stand at the head of each. The message is compared with ``tests/snapshots/rules/GF101.txt``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from gradflow.diagnose.codes import CODES

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures" / "rules"
SNAPSHOTS = ROOT / "tests" / "snapshots" / "rules"
REPORTED = sorted(path.name.partition("_")[0] for path in FIXTURES.glob("GF*_broken.py"))

# what the models themselves warn of is theirs
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """A model in a file, and what it says of itself; ``line`` is the line to blame."""

    path: Path
    settings: dict[str, str]
    line: int | None

    def check(self):
        pytest.importorskip("torch")
        from gradflow.checking import check_workload
        from gradflow.load.loading import load_workload
        from gradflow.load.request import Request

        shown = self.path.relative_to(ROOT)
        workload = load_workload(Request(model=f"{shown}:build", inputs=(f"{shown}:example_input",)))
        layers = [self.settings["layer"]] if "layer" in self.settings else []
        parameters = [self.settings["param"]] if "param" in self.settings else []
        return check_workload(workload, layers, parameters, slice_=self.settings.get("slice", ""))


def fixture(code: str, kind: str) -> Fixture:
    path = FIXTURES / f"{code}_{kind}.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    settings = dict(match.groups() for line in lines if (match := re.match(r"# (\w+): (.+)$", line)))
    marked = [number for number, line in enumerate(lines, start=1) if line.endswith("# <- here")]
    return Fixture(path=path, settings=settings, line=marked[0] if marked else None)


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in messages are relative to where gradflow is run."""
    monkeypatch.chdir(ROOT)


def without_what_changes(text: str) -> str:
    """The message without the time it took, and with numbers that hold on every release of torch."""
    text = re.sub(r"; \d+\.\d\d s$", "", text, flags=re.MULTILINE)
    return "".join(line if "\u2502" in line[:10] else _rounded(line) for line in text.splitlines(keepends=True))


def _rounded(line: str) -> str:
    return re.sub(r"\b\d+\.\d+(?:e-?\d+)?\b|\b\d+e-\d+\b", lambda match: f"{float(match[0]):.1g}", line)


def page_of(code: str) -> str:
    return (ROOT / "gradflow" / "pages" / f"{code}.md").read_text(encoding="utf-8")


def test_every_reported_code_has_its_fixtures() -> None:
    says_so = {
        code
        for code in CODES
        if re.search(r"^Reported by `gradflow check`(\.|,| and)", page_of(code), flags=re.MULTILINE)
    }
    assert says_so == set(REPORTED) == {path.name.partition("_")[0] for path in FIXTURES.glob("GF*_near_miss.py")}


@pytest.mark.parametrize("code", REPORTED)
def test_broken_model_gets_the_code_at_its_line(code: str) -> None:
    broken = fixture(code, "broken")
    report = broken.check()
    assert report.verdict == broken.settings["verdict"], str(report)
    first = report.diagnostics[0]
    assert (first.code, first.severity) == (code, "error"), str(report)
    assert (first.location.line if first.location is not None else None) == broken.line, str(report)
    assert len([each for each in report.diagnostics if each.severity == "error"]) == 1, str(report)


@pytest.mark.parametrize("code", REPORTED)
def test_near_miss_is_silent(code: str) -> None:
    report = fixture(code, "near_miss").check()
    assert report.verdict == "connected", str(report)
    assert report.diagnostics == (), str(report)


@pytest.mark.parametrize("code", REPORTED)
def test_message_reads_as_it_did(code: str) -> None:
    from gradflow.render.terminal import render_text

    text = render_text(fixture(code, "broken").check(), width=100)
    path = SNAPSHOTS / f"{code}.txt"
    if os.environ.get("GRADFLOW_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(without_what_changes(text), encoding="utf-8")
    assert without_what_changes(text) == path.read_text(encoding="utf-8")
