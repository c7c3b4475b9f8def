"""Data on its way into a line, and whole texts on their way out."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.errors import LoadError
from gradflow.printable import inert, inert_json, printable, printable_pieces, printable_prose

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\n\r\t\x1b:#[`\u200d\u202e\u3000"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[31m\x07\x00\x7f\x9b", r"\x1b[31m\x07\x00\x7f\x9b"),
        ("\u202eabc\u2066\u200f\u061c", r"\u202eabc\u2066\u200f\u061c"),
        ("a\u200bb\ufeff\u00adc\u2060", r"a\u200bb\ufeff\xadc\u2060"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("\ud800\ue000\U000e0041", r"\ud800\ue000\U000e0041"),
        ("pay\u200dpal\u200d", r"pay\u200dpal\u200d"),
        ("no\u00a0break", "no break"),
    ],
)
def test_what_is_not_seen_or_moves_what_is_becomes_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "layer4.1.conv2",
        "::error::",
        "слой",
        "图层",
        "طبقة",
        "می‌خواهم",
        "श्री",
        "क्‍ष",
        "👩‍👩‍👧",
        "👩🏽‍💻",
        "❤️‍🔥",
        "e\u0301",
    ],
)
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert printable(text) is text or printable(text) == text


def test_where_nothing_is_to_be_done_the_text_is_the_same_object() -> None:
    text = "layer4"
    assert printable(text) is text
    assert printable_prose(text) is text


@given(ANY_TEXT)
def test_every_text_is_one_visible_line_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert all(one.isprintable() or one in "\u200c\u200d" for one in shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert "".join(printable_pieces(text)) == shown
    assert len(printable_pieces(text)) == len(text)
    shown.encode()


@given(ANY_TEXT, st.booleans())
def test_no_line_of_a_text_is_a_command(text: str, has_colour: bool) -> None:
    shown = inert(text, has_colour=has_colour)
    assert inert(shown, has_colour=has_colour) == shown
    assert shown.count("\n") == text.count("\n")
    assert "##[" not in shown
    for line in shown.split("\n"):
        assert not line.lstrip().startswith("::") or line.lstrip().startswith("::: ")
        unseen = {one for one in line if unicodedata.category(one)[0] == "C" and one not in "\u200c\u200d"}
        assert unseen <= ({"\x1b"} if has_colour else set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error file=a::b", "\\x3a:error file=a::b"),
        ("one\n  ::warning::two\n::", "one\n  \\x3a:warning::two\n\\x3a:"),
        ("\u00a0::debug::x", "\u00a0\\x3a:debug::x"),
        ("##[error]x and ##vso[task.complete]", "\\x23#[error]x and \\x23#vso[task.complete]"),
        ("###[group]", "#\\x23#[group]"),
        (":::x", "\\x3a::x"),
    ],
)
def test_a_command_to_a_runner_becomes_a_text(text: str, shown: str) -> None:
    assert inert(text) == shown


@pytest.mark.parametrize("text", ["a ::error::b", "  ::: net.py:7:3 in f", "## [x]", "## heading", "#[x]", "a::b"])
def test_what_is_no_command_is_left_as_it_is(text: str) -> None:
    assert inert(text) == text


def test_colours_stay_where_there_are_colours_and_hide_no_command() -> None:
    assert inert("\x1b[1;31mred\x1b[0m", has_colour=True) == "\x1b[1;31mred\x1b[0m"
    assert inert("\x1b[1m:\x1b[0m:error::", has_colour=True) == "\x1b[1m\\x3a\x1b[0m:error::"
    assert inert("\x1b[2J\x1b[1m", has_colour=True) == "\\x1b[2J\x1b[1m"
    assert inert("\x1b[1m") == "\\x1b[1m"


def test_line_breaks_of_a_sentence_stay_and_those_of_a_name_do_not() -> None:
    text = "torch says:\n\tMissing `a\n::error::b`\r\nend\x1b"
    assert printable_prose(text) == "torch says:\n    Missing `a\\n::error::b`\nend\\x1b"


@given(ANY_TEXT)
def test_json_means_the_same_and_is_printable(text: str) -> None:
    for is_ascii in (True, False):
        shown = inert_json(json.dumps({text: [text]}, indent=1, ensure_ascii=is_ascii))
        assert json.loads(shown) == {text: [text]}
        assert shown.replace("\n", "").isprintable()
        assert "##[" not in shown


def test_an_error_is_printable_whoever_shows_it() -> None:
    error = LoadError("no layer `a\n\x1b[2J`", note="torch says:\n::error::\u202e", hint="`\x07`")
    assert str(error) == "no layer `a\\n\\x1b[2J`\nnote: torch says:\n\\x3a:error::\\u202e\nhelp: `\\x07`"
    assert error.args == (error.message,)
