"""No text of a report drives the terminal, the runner or the page that it is shown in, whatever the format."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import hypothesis
import pytest
from markdown_it import MarkdownIt

from gradflow.audit_report import Activity, AuditReport, DepthProfile, ParameterGradient
from gradflow.cli.formats import FORMATS
from gradflow.location import SourceSpan
from gradflow.render.audit_formats import AUDIT_FORMATS
from gradflow.render.audit_json import audit_to_json
from gradflow.render.audit_terminal import render_audit_text
from gradflow.render.drawing import render_dot, render_svg
from gradflow.render.html import render_html
from gradflow.render.json_report import dumps, report_from_json, report_to_json
from gradflow.render.markdown import render_markdown
from gradflow.render.notebook import render_notebook
from gradflow.render.printable_copy import printable_copy
from gradflow.render.sarif import render_sarif, report_to_sarif
from gradflow.render.terminal import render_text
from gradflow.report import Environment, Report, Score
from gradflow.watch.explaining import summary

HERE = Path(__file__).parent


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile, examples = _beside("hostile"), _beside("example_reports")
EXAMPLES: tuple[Report, ...] = tuple(make() for make in examples.EXAMPLES.values())

AUDIT = AuditReport(
    score=Score(description="loss(output)", value=1.0),
    parameters=tuple(
        ParameterGradient(
            name=f"{module}.{name}", module=module, shape=(4, 4), entry_count=16, state=state, l2_norm=norm, codes=codes
        )
        for module in ("stem.a", "stem.b", "head")
        for name, state, norm, codes in (("weight", "none", None, ("GF101",)), ("bias", "gradient", 0.5, ()))
    ),
    diagnostics=(dataclasses.replace(examples.DETACH, hides=("stem.a.weight", "stem.b.weight")),),
    depth=DepthProfile(weight_count=8, first=0.1, last=0.2, ratio=0.5),
    activities=(Activity(module="stem", operation="relu", unit_count=4, dead_count=1, place_count=9),),
    environment=Environment(model="net.py:Net", mode="train", input="random", duration_s=0.5),
    assumptions=("loss: every entry counts",),
    undetermined=("the depth, because there is none",),
)

PROFILE = hypothesis.settings(max_examples=8, deadline=None, derandomize=True, database=None)


def given_texts(check: Callable[..., None]) -> Callable[..., None]:
    """Every piece at once, and some few together."""
    return hypothesis.given(text=hostile.TEXTS)(hypothesis.example(text="".join(hostile.PIECES))(check))


WHOLE: dict[str, Callable[[Report], str]] = {
    **{name: render for name, render in FORMATS.items() if name != "html"},  # its drawing takes long
    "html": render_html,
    "notebook": render_notebook,
    "dot": lambda report: re.sub(r"(?m)^\t+", "", render_dot(report)),  # indented by the library
    "str": str,
    "narrow": lambda report: render_text(report, width=60),
    "ascii": lambda report: render_text(report, ascii_only=True),
    "watched": lambda report: summary(dataclasses.replace(report, diagnostics=())),
}


def among(text: str) -> Callable[[str], str]:
    """Puts a text into others: alone, before and after what is there."""
    turn = Counter[str]()

    def change(was: str) -> str:
        turn["all"] += 1
        return (f"{was}{text}", f"{text}{was}", text)[turn["all"] % 3] if was else was

    return change


def after(text: str) -> Callable[[str], str]:
    return lambda was: f"{was}{text}" if was else was


@pytest.mark.parametrize("name", WHOLE)
def test_a_report_drives_nothing(name: str) -> None:
    @PROFILE
    @given_texts
    def check(text: str) -> None:
        for report in EXAMPLES:
            # ids of nodes must stay as many as they are
            for change in (after(text), among(text)) if not len(report.flow) else (after(text),):
                hostile.assert_drives_nothing(WHOLE[name](hostile.infested(report, change)))

    check()


@PROFILE
@given_texts
def test_a_report_in_colour_holds_only_our_colours(text: str) -> None:
    for report in EXAMPLES:
        shown = render_text(hostile.infested(report, after(text), paths=False), color=True)
        hostile.assert_drives_nothing(shown, has_colour=True)
        assert "\x1b[8m" not in shown


@pytest.mark.parametrize("name", AUDIT_FORMATS)
def test_an_audit_drives_nothing(name: str) -> None:
    @PROFILE
    @given_texts
    def check(text: str) -> None:
        for change in (after(text), among(text)):
            audit = hostile.infested(AUDIT, change)
            hostile.assert_drives_nothing(AUDIT_FORMATS[name](audit))
            hostile.assert_drives_nothing(render_audit_text(audit, width=60, color=True), has_colour=True)

    check()


@PROFILE
@given_texts
def test_json_holds_the_texts_as_they_are(text: str) -> None:
    for report in EXAMPLES:
        evil = hostile.infested(report, after(text))
        assert json.loads(dumps(evil)) == report_to_json(evil)
        assert report_from_json(json.loads(dumps(evil))).target == evil.target
        assert json.loads(render_sarif(evil)) == report_to_sarif(evil)
        assert all(text in result["message"]["text"] for result in report_to_sarif(evil)["runs"][0]["results"])
    audit = hostile.infested(AUDIT, after(text))
    assert json.loads(AUDIT_FORMATS["json"](audit)) == audit_to_json(audit)


OWN_TAGS = ("<!-- -->", "<code>", "</code>")
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def markdown_shape(text: str) -> tuple[list[str], Counter[str]]:
    """The blocks of a page in order, and how much of each kind of inline element, but for text and code."""
    tokens = PARSER.parse(text)
    blocks = ["code" if _is_code(token) else token.type for token in tokens]
    inline = [child for token in tokens for child in token.children or ()]
    strange = [one.content for one in inline if one.type == "html_inline" and one.content not in OWN_TAGS]
    assert not strange, strange
    plain = ("text", "text_special", "code_inline", "html_inline", "softbreak")
    return blocks, Counter(one.type for one in inline if one.type not in plain)


def _is_code(token: Any) -> bool:
    if token.type == "html_block" and token.content.startswith("<pre>"):
        assert "<" not in token.content.removeprefix("<pre>").removesuffix("</pre>\n").removesuffix("</pre>")
        return True
    return token.type == "fence"


def _harmless(report: Report) -> Report:
    """The same report with a harmless text in the same places: names in words are then no longer those of targets."""
    changed: Report = hostile.infested(report, after("x"), paths=False)
    return changed


@PROFILE
@given_texts
def test_markdown_keeps_its_shape(text: str) -> None:
    for report in EXAMPLES:
        evil = hostile.infested(report, after(text), paths=False)
        assert markdown_shape(render_markdown(evil)) == markdown_shape(render_markdown(_harmless(report)))
    evil = hostile.infested(AUDIT, lambda was: f"{was}{text.replace('.', '')}" if was else was, paths=False)
    assert markdown_shape(AUDIT_FORMATS["markdown"](evil)) == markdown_shape(AUDIT_FORMATS["markdown"](AUDIT))


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("code", "br"):  # backticks of a name are taken for ours, which is no harm
            self.seen.append(tag)


@pytest.mark.parametrize("render", [render_html, render_notebook])
def test_a_page_keeps_its_shape(render: Callable[[Report], str]) -> None:
    @PROFILE
    @given_texts
    def check(text: str) -> None:
        for report in EXAMPLES:
            evil = hostile.infested(report, after(text), paths=False)
            assert _Tags(render(evil)).seen == _Tags(render(_harmless(report))).seen

    check()


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x07\u202e\u2028\x85\x00\ufffe\ud800",
        "\n::error file=a::b\n##[error]x",
        "<img src=x>&amp;]]>-->'\"",
        "\\N\\G\\l\\",
        "`|` @team",
    ],
)
def test_a_drawing_is_well_formed_and_shows_the_text(text: str) -> None:
    evil = hostile.infested(examples.detach(), after(text))
    drawn = render_svg(evil)
    hostile.assert_drives_nothing(drawn)
    root = ElementTree.fromstring(drawn)
    assert "".join(root.itertext()).replace("\u00a0", " ").count("layer4") >= 2
    ordinary = ElementTree.fromstring(render_svg(examples.detach()))
    assert {one.tag for one in root.iter()} == {one.tag for one in ordinary.iter()}


def test_a_drawing_shows_what_stands_for_a_control_character() -> None:
    evil = hostile.infested(examples.detach(), after("\x1b\u202e"))
    assert "\\x1b\\u202e" in "".join(ElementTree.fromstring(render_svg(evil)).itertext())


def test_source_lines_drive_nothing_and_carets_stay_below_them(tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text("x = '\x1b[2J\u202e'; y = x.detach()  # ##[error] \x85\n::error::\n", encoding="utf-8")
    column = source.read_text(encoding="utf-8").index("x.detach") + 1
    span = SourceSpan(path=str(source), line=1, column=column, end_line=1, end_column=column + len("x.detach()"))
    found = dataclasses.replace(examples.DETACH, location=span, annotations=())
    report = dataclasses.replace(examples.detach(), diagnostics=(found,))
    for render in WHOLE.values():
        hostile.assert_drives_nothing(render(report))
    lines = render_text(report).splitlines()
    row = next(index for index, line in enumerate(lines) if "x.detach()" in line and "│" in line)
    assert lines[row + 1].index("^") == lines[row].index("x.detach()")
    assert r"'\x1b[2J\u202e'" in lines[row]


def test_a_place_that_has_no_end_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero", "a\0b.py", "\ud800.py", str(tmp_path)):
        found = dataclasses.replace(examples.DETACH, location=SourceSpan(path=path, line=1), annotations=())
        text = render_text(dataclasses.replace(examples.detach(), diagnostics=(found,)))
        assert "│" in text
        assert "1 │" not in text


def test_a_name_may_begin_with_a_point_or_be_nothing_else() -> None:
    for text in (".", "..", ".a", "a..b"):
        audit = hostile.infested(AUDIT, lambda was, text=text: f"{text}{was}{text}" if was else was)
        assert all(render(audit) for render in AUDIT_FORMATS.values())


def test_an_ordinary_report_is_not_copied() -> None:
    report = examples.missing_source()
    copy = printable_copy(report)
    assert copy.diagnostics is report.diagnostics
    assert copy.flow.nodes is report.flow.nodes


def test_ids_of_nodes_stay_apart() -> None:
    evil = hostile.infested(examples.two_cuts(), after("\x1b"))
    copy = printable_copy(evil)
    assert [node.id for node in copy.flow] == [node.id for node in evil.flow]
    assert all("\x1b" not in node.name for node in copy.flow)
    assert len(copy.flow.path()) == len(evil.flow.path()) > 1
