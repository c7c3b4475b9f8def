"""The models in fixtures/adversarial: failures as people report them, each with its true verdict and line.

``# layer:``, ``# verdict:`` and ``# slice:`` at the head of a file say what is asked and what comes out; a line that
may be blamed carries ``# expect: cause | cause``. A file without such a line is healthy.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "adversarial").glob("*.py"))

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:fixtures", "ignore:Sparse", "ignore:None of the inputs have requires_grad"
)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_true_cause_is_told_first_at_its_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    asked = dict(re.findall(r"^# (layer|verdict|slice): (.+)$", text, flags=re.MULTILINE))
    blame = {
        number: set(match[1].split(" | "))
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := re.search(r"# expect: (.+)$", line))
    }
    score = f"{path}:score" if "\ndef score(" in text else None
    workload = load_workload(Request(model=f"{path}:build", inputs=(f"{path}:example_input",), score=score))
    report = check_workload(workload, [asked["layer"]], slice_=asked.get("slice", ""))
    assert report.verdict == asked["verdict"], str(report)
    if not blame:
        assert not [each for each in report.diagnostics if each.severity == "error"], str(report)
        return
    first = report.diagnostics[0]
    assert first.location is not None, str(report)
    assert first.location.path.endswith(path.name), str(report)
    assert first.name in blame.get(first.location.line, set()), str(report)


def test_both_kinds_are_there() -> None:
    healthy = [path for path in FIXTURES if "# expect: " not in path.read_text(encoding="utf-8")]
    assert len(FIXTURES) >= 25
    assert 5 <= len(healthy) < len(FIXTURES)
