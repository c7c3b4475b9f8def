from __future__ import annotations

from dataclasses import replace

import pytest

from gradflow.diagnose.diagnostic import PathStep
from gradflow.render.path_drawing import draw_breadcrumb, draw_rail
from gradflow.render.score_path import path_rows, short_path
from gradflow.render.theme import ASCII, UNICODE
from gradflow.report import Report, Score, Target

REPORT = Report(verdict="broken", target=Target(name="layer1", type_name="Sequential"), score=Score(description="s"))


def steps(*modules: str, cut: int | None = None) -> tuple[PathStep, ...]:
    """A path through these modules; the one at ``cut`` loses the gradient."""
    between = [
        PathStep(kind="cut" if index == cut else "step", label=module, module=module, shape=(1, index))
        for index, module in enumerate(modules)
    ]
    return (PathStep(kind="score", label="s"), *between, PathStep(kind="layer", label="layer1", module="layer1"))


def labels(path: tuple[PathStep | int, ...]) -> list[str | int]:
    return [step if isinstance(step, int) else step.label for step in path]


def test_short_path_stays_as_it_is() -> None:
    path = steps("fc", "layer4.1.conv2", "layer4.1.conv1")
    assert short_path(path) == path


def test_long_path_is_told_by_modules() -> None:
    path = steps("fc", *(f"layer4.{block}.conv{conv}" for block in (2, 1, 0) for conv in (3, 2, 1)), "layer3.0.conv1")
    assert labels(short_path(path, 6)) == ["s", "fc", "layer4", "layer3.0.conv1", "layer1"]
    assert labels(short_path(path, 9)) == ["s", "fc", "layer4.2", "layer4.1", "layer4.0", "layer3.0.conv1", "layer1"]


def test_middle_is_left_out_but_never_a_cut() -> None:
    path = steps(*(f"block{index}" for index in range(40)), cut=30)
    shown = short_path(path, 12)
    assert len(shown) <= 14
    assert labels(shown)[:1] == ["s"]
    assert labels(shown)[-1] == "layer1"
    assert "block30" in labels(shown)
    assert sum(step if isinstance(step, int) else 1 for step in shown) == len(path)


@pytest.mark.parametrize("count", [0, 1, 5, 11, 12, 13, 300])
def test_no_step_is_lost(count: int) -> None:
    path = steps(*(f"m{index}" for index in range(count)))
    assert sum(step if isinstance(step, int) else 1 for step in short_path(path)) == len(path)


def test_gradient_is_lost_from_the_cut_on() -> None:
    rows = path_rows(steps("fc", "neck", "conv", cut=1), REPORT)
    assert [(row.label, row.carries) for row in rows] == [
        ("s", True), ("fc", True), ("neck", False), ("conv", False), ("layer1", False),
    ]  # fmt: skip
    rails = [line[0][0] for line in draw_rail(rows, width=80, glyphs=UNICODE)]
    assert rails == ["● ", "│ ", "✂ ", "┊ ", "○ "]


def test_gradient_arrives_at_the_layer_only_if_the_verdict_says_so() -> None:
    path = steps("fc")
    assert [row.carries for row in path_rows(path, REPORT)] == [True, True, False]
    connected = replace(REPORT, verdict="connected")
    assert [row.carries for row in path_rows(path, connected)] == [True, True, True]


def test_narrow_rail_drops_columns_and_shortens_names() -> None:
    rows = path_rows(steps("encoder.layers.encoder_layer_11.self_attention.out_proj"), REPORT)
    for width in (30, 40, 80, 120):
        lines = ["".join(text for text, _ in line) for line in draw_rail(rows, width=width, glyphs=ASCII)]
        assert max(map(len, lines)) <= width
    assert "..." in lines[1] or "out_proj" in lines[1]


def test_breadcrumb() -> None:
    assert draw_breadcrumb(steps("fc", "neck", cut=1), glyphs=ASCII) == "s <- fc <- -X- neck <- layer1"
    assert draw_breadcrumb(steps("fc", "neck", cut=1), glyphs=UNICODE) == "s ← fc ← ✂ neck ← layer1"
    long = draw_breadcrumb(steps(*(f"b{index}" for index in range(30))), glyphs=ASCII)
    assert "... 24 more ..." in long


def test_a_layer_that_other_ways_reach_says_so() -> None:
    *before, layer = steps("fc", "neck", "conv", cut=1)
    rows = path_rows((*before, replace(layer, is_reached=True)), REPORT)
    assert [row.carries for row in rows] == [True, True, False, False, True]
    assert [row.note for row in rows] == ["", "", "", "", "reached by other ways"]
    drawn = ["".join(text for text, _ in line) for line in draw_rail(rows, width=80, glyphs=UNICODE)]
    assert drawn[-1].startswith("● layer1")
    assert drawn[-1].endswith("reached by other ways")
    # the sign stays where there is no room for the words
    narrow = ["".join(text for text, _ in line) for line in draw_rail(rows, width=24, glyphs=UNICODE)]
    assert narrow[-1] == "● layer1"


def test_a_layer_that_the_drawn_way_reaches_needs_no_words() -> None:
    *before, layer = steps("fc", "conv")
    rows = path_rows((*before, replace(layer, is_reached=True)), replace(REPORT, verdict="wrong"))
    assert (rows[-1].carries, rows[-1].note) == (True, "")
