"""The audit in all its formats, from reports written by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from gradflow.audit_report import AuditReport, DepthProfile, ParameterGradient
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.errors import RenderError
from gradflow.render.audit_concise import render_audit_concise
from gradflow.render.audit_json import audit_from_json, dumps_audit
from gradflow.render.audit_markdown import render_audit_markdown
from gradflow.render.audit_rows import module_rows
from gradflow.render.audit_terminal import render_audit_text
from gradflow.render.audit_words import audit_facts, headline, with_names
from gradflow.report import Environment, Score

SCORE = Score(description="loss(output)", value=1.0)


def parameter(name: str, state: str = "gradient", norm: float | None = 0.5, **more: object) -> ParameterGradient:
    return ParameterGradient(
        name=name,
        module=name.rpartition(".")[0],
        shape=(4, 4),
        entry_count=16,
        state=state,
        l2_norm=norm if state not in ("none", "frozen") else None,
        **more,
    )


def report(*parameters: ParameterGradient, diagnostics: tuple[Diagnostic, ...] = ()) -> AuditReport:
    return AuditReport(
        score=SCORE,
        parameters=parameters,
        diagnostics=diagnostics,
        depth=DepthProfile(weight_count=8, first=0.1, last=0.2, ratio=0.5),
        environment=Environment(model="net.py:Net", mode="train", duration_s=0.5),
        assumptions=("loss: every entry counts",),
    )


CUT = Diagnostic(
    code="GF101",
    name="detach",
    severity="error",
    message="2 of 4 parameters get no gradient: path cut by `detach`",
    hides=("stem.a.weight", "stem.b.weight"),
)
BROKEN = report(
    parameter("stem.a.weight", "none", codes=("GF101",)),
    parameter("stem.b.weight", "none", codes=("GF101",)),
    parameter("body.weight", norm=1e-6),
    parameter("head.weight"),
    parameter("old.weight", "frozen"),
    diagnostics=(CUT,),
)
HEALTHY = report(*(parameter(f"layers.{index}.weight") for index in range(4)))


def test_counts_and_exit_status() -> None:
    assert headline(BROKEN) == "2 of 4 trainable parameters get a gradient from loss(output) (1 more is frozen)"
    assert BROKEN.unused == ("stem.a.weight", "stem.b.weight")
    assert (BROKEN.exit_code, HEALTHY.exit_code) == (1, 0)


def test_zeros_are_told_apart_from_no_gradient() -> None:
    """Zeros are no reason for exit status 1 by themselves, so words must not sound like it."""
    zeros = report(parameter("head.weight"), parameter("a.weight", "zero", 0.0), parameter("b.weight", "zero", 0.0))
    assert headline(zeros) == "1 of 3 trainable parameters gets a gradient from loss(output); 2 get exactly zero"
    mixed = report(*zeros.parameters, parameter("c.weight", "none"), parameter("d.weight", "not finite", 1.0))
    assert headline(mixed).endswith("; 2 get exactly zero, 1 gets NaN or infinity, 1 gets none")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0.5, "2 times smaller than"), (2.0, "2 times larger than"), (1.0001, "as large as"), (0.0, "vanishingly small")],
)
def test_first_layers_are_the_subject_of_what_is_said_of_the_depth(ratio: float, said: str) -> None:
    depth = DepthProfile(weight_count=8, first=0.2 * ratio, last=0.2, ratio=ratio)
    fact = audit_facts(dataclasses.replace(HEALTHY, depth=depth))[0]
    assert fact.startswith(f"the gradients of the first layers are typically {said}")


def test_bars_have_a_scale() -> None:
    text = " ".join(render_audit_text(BROKEN, width=100).split())
    assert "log scale from 7.91e-08 (empty) to 0.125 (full)" in text
    assert "log scale" not in render_audit_text(report(parameter("a.weight", "none")))


def test_a_warning_that_explains_it_keeps_the_exit_status() -> None:
    warned = dataclasses.replace(BROKEN, diagnostics=(dataclasses.replace(CUT, severity="warning"),))
    assert warned.exit_code == 0
    unexplained = dataclasses.replace(BROKEN, diagnostics=())
    assert unexplained.exit_code == 1


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("audited", [BROKEN, HEALTHY, report()], ids=["broken", "healthy", "empty"])
def test_text_fits(audited: AuditReport, width: int, ascii_only: bool) -> None:
    text = render_audit_text(audited, width=width, ascii_only=ascii_only)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.isascii() or not ascii_only
    assert "\x1b" not in text


def test_text_says_it_in_order() -> None:
    text = render_audit_text(BROKEN, width=100)
    places = [
        text.index(part)
        for part in ("2 of 4 trainable", "error[GF101]", "module", "note: if you train with `Distributed", "audit: ")
    ]
    assert places == sorted(places)
    row = next(line for line in text.splitlines() if line.startswith("stem.a"))
    assert "0 of 1" in row
    assert row.endswith("no gradient (GF101)")
    assert next(line for line in text.splitlines() if line.startswith("old")).endswith("frozen")


def test_colours_only_where_wanted() -> None:
    assert "\x1b[" in render_audit_text(BROKEN, color=True)


def test_bars_grow_with_the_gradient() -> None:
    lines = render_audit_text(BROKEN, width=100).splitlines()
    bar = {line.split()[0]: line.count("█") for line in lines if line.startswith(("body", "head"))}
    assert bar["head"] == 12
    assert bar["body"] < 3


def test_mixed_modules_are_opened_first() -> None:
    members = [parameter(f"big.{index}.weight") for index in range(30)]
    mixed = [parameter("small.a.weight", "none"), parameter("small.b.weight")]
    rows = module_rows(report(*members, *mixed))
    assert [row.name for row in rows] == ["big", "small.a", "small.b"]
    assert sum(row.parameter_count for row in rows) == 32


def test_rows_hold_every_parameter_once_whatever_the_limit() -> None:
    members = [parameter(f"a.{i}.b.{j}.weight") for i in range(3) for j in range(5)] + [parameter("bare")]
    for most in range(1, 30):
        assert sum(row.parameter_count for row in module_rows(report(*members), most)) == 16


def test_many_names_become_modules() -> None:
    many = dataclasses.replace(CUT, hides=(*(f"stem.{i}.weight" for i in range(5)), "head.weight", "neck.weight"))
    assert with_names(many).notes[0] == "these are `stem` (5), `head`, `neck`"


def test_json_is_one_versioned_object() -> None:
    data = json.loads(dumps_audit(BROKEN))
    assert (data["kind"], data["schema_version"]) == ("audit", "1.0")
    assert (data["trainable_count"], data["reached_count"], data["frozen_count"]) == (4, 2, 1)
    assert data["parameters"][0]["codes"] == ["GF101"]
    assert dumps_audit(BROKEN) == dumps_audit(BROKEN)


def test_concise_has_one_line_per_finding() -> None:
    first, last = render_audit_concise(BROKEN).splitlines()
    assert first == "gradflow: error GF101 detach: 2 of 4 parameters get no gradient: path cut by `detach`"
    assert last.startswith("gradflow: 2 of 4 trainable parameters")


def test_markdown_has_the_count_the_finding_and_the_table() -> None:
    text = render_audit_markdown(BROKEN)
    assert text.startswith("### gradflow audit: 2 of 4 trainable parameters")
    assert "#### error GF101 detach" in text
    assert "| `stem.a` | 0 of 1 | 16 |  | no gradient (GF101) |" in text


def test_saving_chooses_the_format_by_the_name(tmp_path: Path) -> None:
    assert json.loads(BROKEN.save(tmp_path / "audit.json").read_text(encoding="utf-8"))["kind"] == "audit"
    assert BROKEN.save(tmp_path / "audit.txt").read_text(encoding="utf-8") == f"# written by gradflow\n{BROKEN}"
    with pytest.raises(RenderError, match="no format of an audit"):
        BROKEN.save(tmp_path / "audit.svg")
    with pytest.raises(RenderError, match="there is no folder"):
        BROKEN.save(tmp_path / "missing" / "audit.json")


@pytest.mark.parametrize("report", [BROKEN, AuditReport(score=Score(description="loss"))], ids=["broken", "empty"])
def test_what_was_saved_as_json_is_read_again(report: AuditReport) -> None:
    again = audit_from_json(json.loads(dumps_audit(report)))
    assert dumps_audit(again) == dumps_audit(report)
    assert str(again) == str(report)
    assert again.exit_code == report.exit_code


@pytest.mark.parametrize(
    ("change", "said"),
    [({"schema_version": "9.0"}, "schema version 9.0"), ({"parameters": 3}, "`parameters` should be an array")],
)
def test_what_is_no_audit_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(RenderError, match=said):
        audit_from_json(json.loads(dumps_audit(BROKEN)) | change)
