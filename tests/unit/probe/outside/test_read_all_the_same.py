"""Of many parameters the first are tried one at a time; of the others it is said that they were not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gradflow.probe.outside import unrecorded


@pytest.mark.parametrize(("count", "untried"), [(32, 0), (35, 3)])
def test_what_was_not_tried_by_itself_may_move_the_score(
    count: int, untried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory: Any = SimpleNamespace(forward=lambda: None, first_score=1.0)
    monkeypatch.setattr(unrecorded, "score_of", lambda _: 1.0)
    monkeypatch.setattr(unrecorded, "_moves_the_score", lambda _, names: bool(names))
    found = unrecorded.read_all_the_same(laboratory, [f"p{number}" for number in range(count)])
    said = [text for text in found.values() if text != "the score moves with it"]
    assert len(found) == count
    assert (
        said
        == [f"the score may move with it ({count} such parameters were found, and 32 tried by themselves)"] * untried
    )
