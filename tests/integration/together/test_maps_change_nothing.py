"""A check says the same with a map and without: every fixture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.report import Report

ROOT = Path(__file__).parents[3] / "fixtures"
FOLDERS = ("adversarial", "broken", "causes", "healthy", "rules")
FIXTURES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:fixtures",
    "ignore:Sparse",
    "ignore:None of the inputs have requires_grad",
    "ignore:Converting a tensor with requires_grad",
    "ignore:To copy construct",
)


def check(path: Path, *, cam: bool) -> Report:
    if "torchvision" in path.read_text(encoding="utf-8"):
        pytest.importorskip("torchvision", exc_type=ImportError)
    text = path.read_text(encoding="utf-8")
    asked = dict(re.findall(r"^# (layer|slice): (.+)$", text, flags=re.MULTILINE))
    score = f"{path}:score" if "\ndef score(" in text else None
    workload = load_workload(Request(model=f"{path}:build", inputs=(f"{path}:example_input",), score=score))
    return check_workload(workload, [asked.get("layer", "auto")], slice_=asked.get("slice", ""), cam=cam)


def without_the_map(report: Report) -> dict[str, Any]:
    """The JSON, but for the map, for what it assumes, and for how long and how often the model ran."""
    data = report.to_json()
    data["assumptions"] = [text for text in data["assumptions"] if not text.startswith("map:")]
    for name in ("forward_count", "duration_s"):
        del data["environment"][name]
    del data["cam"]
    return data


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_report_is_the_same(path: Path) -> None:
    plain, mapped = check(path, cam=False), check(path, cam=True)
    assert without_the_map(mapped) == without_the_map(plain)
    assert mapped.exit_code == plain.exit_code
    # no map of a path that is cut; one of a frozen model is made of a run of its own
    assert mapped.cam is None or plain.connected or [one.code for one in plain.diagnostics] == ["GF109"]
