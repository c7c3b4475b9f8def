"""What is said about a layer does not depend on which others are asked with it: every fixture alone and with ``*``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.report import Report

ROOT = Path(__file__).parents[3] / "fixtures"
FOLDERS = ("adversarial", "broken", "causes", "healthy", "rules")
FIXTURES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]

MOST_ALONE = 8
"""Of a large model, its own layer and some spread over it are asked alone."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:fixtures",
    "ignore:Sparse",
    "ignore:None of the inputs have requires_grad",
    "ignore:Converting a tensor with requires_grad",
    "ignore:To copy construct",
)


def check(path: Path, layer: str) -> dict[str, Report]:
    if "torchvision" in path.read_text(encoding="utf-8"):
        pytest.importorskip("torchvision", exc_type=ImportError)
    score = f"{path}:score" if "\ndef score(" in path.read_text(encoding="utf-8") else None
    workload = load_workload(Request(model=f"{path}:build", inputs=(f"{path}:example_input",), score=score))
    report = check_workload(workload, [layer])
    return {one.target.name: one for one in (report, *report.others)}


def answer(report: Report) -> tuple[object, ...]:
    findings = [(one.code, one.name, one.severity, one.location, one.hides) for one in report.diagnostics]
    return report.verdict, findings, report.undetermined


def norms(report: Report) -> list[float]:
    """One per call; -1 where nothing arrived."""
    return [-1.0 if one.l2_norm is None else one.l2_norm for one in report.gradients]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_layer_gets_the_answer_that_it_gets_alone(path: Path) -> None:
    together = check(path, "*")
    (own,) = re.findall(r"^# layer: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE) or [""]
    step = -(-len(together) // MOST_ALONE)
    asked = {*list(together)[::step], *([own] if own in together else [])}
    assert asked
    for layer in asked:
        # a glob as well: who names a layer means its output, also where there is none
        alone = check(path, f"{layer[:-1]}[{layer[-1]}_]")[layer]
        assert answer(together[layer]) == answer(alone), layer
        assert norms(together[layer]) == pytest.approx(norms(alone), rel=1e-4, abs=1e-12), layer


def test_a_detached_skip_of_a_residual_network_is_found_among_all_layers() -> None:
    together = check(ROOT / "causes" / "resnet_detached_skip.py", "*")
    wrong = [name for name, one in together.items() if one.verdict == "wrong"]
    assert "layer4.0" in wrong
    assert "layer4.1" not in wrong
    assert len(wrong) > len(together) / 2
