from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import pytest

from gradflow.render.sarif import render_sarif, report_to_sarif

pytestmark = pytest.mark.usefixtures("in_root")


def test_result_stands_at_its_line(examples: ModuleType) -> None:
    (run,) = report_to_sarif(examples.detach())["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == "GF101"
    assert result["level"] == "error"
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "fixtures/render/neck.py"
    assert physical["region"] == {"startLine": 14, "startColumn": 20, "endLine": 14, "endColumn": 37}
    assert result["relatedLocations"][0]["message"]["text"].startswith("last value")
    assert "help: remove `.detach()` (tried: the gradient then reaches `layer4`" in result["message"]["text"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "GF101"
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]


def test_severities_and_order(examples: ModuleType) -> None:
    (run,) = report_to_sarif(examples.several_layers())["runs"]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("GF101", "error"),
        ("GF401", "warning"),
    ]


def test_verdict_that_no_finding_explains_is_a_result(examples: ModuleType) -> None:
    (result,) = report_to_sarif(examples.not_determined())["runs"][0]["results"]
    assert result["ruleId"] == "GF000"
    assert report_to_sarif(examples.healthy())["runs"][0]["results"] == []


def test_fingerprint_survives_moved_lines(examples: ModuleType) -> None:
    moved = replace(examples.DETACH, location=replace(examples.DETACH_SPAN, line=99, end_line=99))
    one, other = (
        report_to_sarif(replace(examples.detach(), diagnostics=(diagnostic,)))["runs"][0]["results"][0]
        for diagnostic in (examples.DETACH, moved)
    )
    assert one["partialFingerprints"] == other["partialFingerprints"]
    assert one["locations"] != other["locations"]


def test_file_elsewhere_is_absolute_and_quoted(examples: ModuleType) -> None:
    location = replace(examples.DETACH_SPAN, path="/else where/ü.py")
    report = replace(examples.detach(), diagnostics=(replace(examples.DETACH, location=location),))
    result = report_to_sarif(report)["runs"][0]["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///else%20where/%C3%BC.py"


def test_text_is_json_and_stable(examples: ModuleType) -> None:
    text = render_sarif(examples.two_cuts())
    assert json.loads(text) == report_to_sarif(examples.two_cuts())
    assert text == render_sarif(examples.two_cuts())
