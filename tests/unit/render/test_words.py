from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from gradflow.diagnose.diagnostic import Repair
from gradflow.location import SourceSpan
from gradflow.render.words import (
    branches_text,
    cuts_text,
    distinct_diagnostics,
    gradient_text,
    largest_norm,
    measured_shape,
    plural,
    summary,
    tried_text,
)
from gradflow.report import GradientStatistics, Report, Score, Target
from gradflow.source_place import function_name, place, shown_path


def statistics(*, zero_count: int = 0) -> Report:
    gradient = GradientStatistics(name="fc", arrived=True, l2_norm=0.5, entry_count=1000, zero_count=zero_count)
    return Report(verdict="connected", target=Target(name="fc"), score=Score(description="s"), gradients=(gradient,))


@pytest.mark.parametrize(
    ("zeros", "text"),
    [
        (0, "L2 norm 0.5"),
        (1, "L2 norm 0.5, under 1% exact zeros"),
        (500, "L2 norm 0.5, 50% exact zeros"),
        (999, "L2 norm 0.5, over 99% exact zeros"),
        (1000, "L2 norm 0.5, 100% exact zeros"),
    ],
)
def test_share_of_zeros_never_rounds_to_none_or_all(zeros: int, text: str) -> None:
    assert gradient_text(statistics(zero_count=zeros)) == text


def test_gradient_of_several_calls() -> None:
    report = statistics()
    gradients = (*report.gradients, GradientStatistics(name="fc", arrived=False))
    assert gradient_text(replace(report, gradients=gradients)) == "L2 norm per call of the layer: 0.5, none"
    assert gradient_text(replace(report, gradients=gradients[1:])) == ""


@pytest.mark.parametrize(
    ("odd", "text"), [({}, "0.5"), ({"inf_count": 1}, "inf"), ({"nan_count": 1, "inf_count": 1}, "nan")]
)
def test_the_norm_in_a_table_is_that_of_the_whole_gradient(odd: dict[str, int], text: str) -> None:
    report = statistics()
    one = replace(report.gradients[0], **odd)
    assert largest_norm(replace(report, gradients=(one, GradientStatistics(name="fc", arrived=False)))) == text
    assert largest_norm(replace(report, gradients=())) == ""


def test_the_shape_in_a_table_is_that_of_the_slice() -> None:
    report = statistics()
    measured = (replace(report.gradients[0], shape=(1, 3)),)
    asked = Target(name="fc", shape=(1, 5), slice="[:, 1:4]")
    assert measured_shape(replace(report, target=asked, gradients=measured)) == (1, 3)
    assert measured_shape(replace(report, target=replace(asked, slice=""), gradients=measured)) == (1, 5)


def test_one_cause_in_several_layers_is_one_finding(examples: ModuleType) -> None:
    found = distinct_diagnostics(examples.several_layers())
    assert [(diagnostic.code, len(reports)) for diagnostic, reports in found] == [("GF101", 2), ("GF401", 1)]


def test_summary_counts(examples: ModuleType) -> None:
    assert summary(examples.healthy()) == "connected"
    assert summary(examples.two_cuts()) == "broken (2 errors)"
    assert summary(examples.several_layers()) == "2 of 4 layers connected (1 error, 1 warning)"


def test_cuts_that_must_be_mended_together(examples: ModuleType) -> None:
    cut = examples.DETACH_CUT
    assert cuts_text((cut, replace(cut, needed=False))) == ""
    assert cuts_text((cut, cut)).startswith("2 cuts must both be mended")
    assert cuts_text((cut, cut, cut)).startswith("3 cuts must all be mended")


def test_branches(examples: ModuleType) -> None:
    branches = examples.healthy().flow.branches
    assert branches_text(branches) == "skip branches: 8 identity, 3 projection; all carry gradient"
    broken = replace(branches[0], paths=(replace(branches[0].paths[0], carries_gradient=False),))
    assert branches_text((broken, *branches[1:])).endswith("1 branch has a path that is cut")
    assert branches_text((replace(branches[0], kind="gate"),)) == "branches: 1 gate; all carry gradient"


def test_plural() -> None:
    assert [plural(1, "error"), plural(2, "error"), plural(1200, "branch")] == ["1 error", "2 errors", "1,200 branches"]


def test_paths_are_shown_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(str(tmp_path / "models" / "neck.py")) == "models/neck.py"
    assert shown_path(str(tmp_path / "v/lib/python3.12/site-packages/torchvision/x.py")) == "torchvision/x.py"
    assert shown_path("/elsewhere/x.py") == "/elsewhere/x.py"
    assert shown_path("<string>") == "<string>"
    assert shown_path(r"C:\env\Lib\site-packages\timm\models\vit.py") == "timm/models/vit.py"
    assert place(SourceSpan(path="x.py", line=3)) == "x.py:3"


def test_function_name_without_its_surroundings() -> None:
    span = SourceSpan(path="x.py", line=1, function="build.<locals>.Neck.forward")
    assert function_name(span) == "Neck.forward"
    assert function_name(replace(span, function="<module>")) == ""
    assert function_name(replace(span, function="f.<locals>.<lambda>")) == "<lambda>"


@pytest.mark.parametrize(
    ("verified", "outcome", "text"),
    [
        (True, "it arrives", "tried: it arrives"),
        (True, "", "tried: the gradient then arrives"),
        (False, "", "tried: the gradient still does not arrive"),
        (None, "", ""),
        (None, "not tried", ""),
        (None, "not tried: it writes in place", "not tried: it writes in place"),
        (None, "it writes in place", "not tried: it writes in place"),
    ],
)
def test_what_came_of_a_repair(verified: bool | None, outcome: str, text: str) -> None:
    assert tried_text(Repair(description="change", verified=verified, outcome=outcome)) == text
    assert tried_text(None) == ""
