"""The lock as a file: the same for the same, and legible in a diff."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.declared.lock_file import LOCK_NAME, differences, lock_text, read_lock
from gradflow.errors import UsageError

SECTIONS = {
    "parameters": {"stem": "learns", "head.bias": "frozen"},
    "layers": {"stem": "connected"},
    "branches": {},
}
TEXT = """\
# Which gradients arrive. Written by `pytest --gradflow-update`, compared by `pytest --gradflow-lock`.
version = 1

["a net".layers]
"stem" = "connected"

["a net".parameters]
"head.bias" = "frozen"
"stem" = "learns"
"""


def test_the_text_is_sorted_and_comes_back(tmp_path: Path) -> None:
    assert lock_text({"a net": SECTIONS}) == TEXT
    path = tmp_path / "gradflow.lock"
    path.write_text(TEXT, encoding="utf-8")
    assert differences(read_lock(path)["a net"], SECTIONS) == []


def test_what_changed_is_told_line_by_line() -> None:
    found = {"parameters": {"stem": "no gradient", "tail": "learns"}, "layers": {"stem": "connected"}}
    assert differences(SECTIONS, found) == [
        "parameters: head.bias: frozen -> not there",
        "parameters: stem: learns -> no gradient",
        "parameters: tail: not there -> learns",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no"),
        ("version = 2", "has version 2"),
        ("version = ", "cannot be read"),
        ("version = 1\ngood = 3", "`good` is not a table of sections"),
        ("version = 1\n[[good]]\nlayers = 1", "`good` is not a table of sections"),
        ("version = 1\n[good]\nlayers = ['a']", "`good.layers` is not a table of texts"),
        ("version = 1\n[good.layers]\na = 3", "`good.layers` is not a table of texts"),
    ],
)
def test_a_lock_that_cannot_be_used_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "gradflow.lock"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        read_lock(path)
    assert "--gradflow-update" in caught.value.hint


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
def test_every_name_comes_back(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lock") / LOCK_NAME
    models = {name: {"layers": {name: "connected"}} for name in names if name != "version"}
    path.write_bytes(lock_text(models).encode())
    assert read_lock(path) == models


def test_a_model_called_version_has_no_place() -> None:
    with pytest.raises(UsageError, match="has no place"):
        lock_text({"version": {"layers": {"a": "connected"}}})
