from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradflow.diagnose import source_lines
from gradflow.diagnose.diagnostic import Annotation, Diagnostic
from gradflow.location import SourceSpan
from gradflow.render.excerpt import Excerpt, excerpts
from gradflow.render.excerpt_drawing import draw_rows
from gradflow.render.theme import ASCII, UNICODE, Glyphs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "model.py"


def at(
    path: Path, line: int, column: int | None = None, end: int | None = None, end_line: int | None = None
) -> SourceSpan:
    return SourceSpan(path=str(path), line=line, column=column, end_line=end_line or line, end_column=end)


def finding(location: SourceSpan | None, *annotations: Annotation, label: str = "here") -> Diagnostic:
    return Diagnostic(
        code="GF101", name="detach", severity="error", message="m", location=location, label=label,
        annotations=annotations,
    )  # fmt: skip


def drawn(diagnostic: Diagnostic, width: int = 80, glyphs: Glyphs = ASCII) -> list[str]:
    lines = []
    for one in excerpts(diagnostic, width=width - 5, glyphs=glyphs):
        rows = draw_rows(one, number_width=one.number_width, width=width, severity="error", glyphs=glyphs)
        lines += ["".join(text for text, _ in row) for row in rows]
    return lines


def test_single_line_has_its_neighbours(source: Path) -> None:
    source.write_text("def f(x):\n    y = x.detach()\n    return y\n\nz = 1\n")
    assert drawn(finding(at(source, 2, 9, 19))) == [
        "  |",
        "1 | def f(x):",
        "2 |     y = x.detach()",
        "  |         ^^^^^^^^^^ here",
        "3 |     return y",
        "  |",
    ]


def test_far_annotation_leaves_a_gap(source: Path) -> None:
    source.write_text("".join(f"x{number} = {number}\n" for number in range(1, 13)))
    text = drawn(finding(at(source, 12, 1, 4), Annotation(span=at(source, 2, 1, 3), label="made")))
    assert text == ["   |", " 2 | x2 = 2", "   | -- made", "...", "12 | x12 = 12", "   | ^^^ here", "   |"]


def test_near_annotation_shows_what_is_between(source: Path) -> None:
    source.write_text("a = 1\nb = 2\nc = 3\n")
    assert "2 | b = 2" in drawn(finding(at(source, 3, 1, 2), Annotation(span=at(source, 1, 1, 2), label="made")))


def test_annotation_in_another_file_has_its_own_excerpt(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    source.write_text("a = 1\n")
    other.write_text("b = 2\n")
    found = excerpts(
        finding(at(source, 1, 1, 2), Annotation(span=at(other, 1, 1, 2), label="x")), width=80, glyphs=ASCII
    )
    assert [(one.span.path, one.is_primary) for one in found] == [(str(source), True), (str(other), False)]


def test_tabs_become_blanks_and_carets_follow(source: Path) -> None:
    source.write_text("\tx =\ty.detach()\n")
    lines = drawn(finding(at(source, 1, 6, 16)))
    assert lines[1] == "1 |     x = y.detach()"
    assert lines[2] == "  |         ^^^^^^^^^^ here"


def test_wide_characters_count_two_cells(source: Path) -> None:
    source.write_text("特徴 = 値.detach()\n", encoding="utf-8")
    lines = drawn(finding(at(source, 1, 6, 16)), glyphs=UNICODE)
    assert lines[2] == "  │        ^^^^^^^^^^^ here"
    ascii_lines = drawn(finding(at(source, 1, 6, 16)))
    assert ascii_lines[1:3] == ["1 | ???? = ??.detach()", "  |        ^^^^^^^^^^^ here"]


def test_long_line_is_shortened_around_its_mark(source: Path) -> None:
    source.write_text("a = [" + "1, " * 100 + "x.detach(), " + "2, " * 100 + "]\n")
    lines = drawn(finding(at(source, 1, 306, 316)), width=70)
    assert lines[1].startswith("1 | ...")
    assert lines[1].endswith("...")
    start = lines[2].index("^")
    assert lines[1][start : start + 10] == "x.detach()"
    assert max(map(len, lines)) <= 70


def test_mark_outside_of_a_shortened_line_points_at_the_dots(source: Path) -> None:
    source.write_text("x.detach() + " + "1 + " * 40 + "y\n")
    far = Annotation(span=at(source, 1, 174, 175), label="far")
    lines = drawn(finding(at(source, 1, 1, 11), far), width=70)
    label = next(line for line in lines if "-" in line[4:])
    assert lines[1][label.index("-")] == "."


def test_label_that_does_not_fit_goes_below(source: Path) -> None:
    source.write_text("value = " + "a" * 40 + ".detach()\n")
    lines = drawn(finding(at(source, 1, 49, 58), label="one two three four five six seven eight"), width=65)
    assert lines[2].endswith("^^^^^^^^^")
    assert " ".join(line[3:].strip() for line in lines[3:-1]) == "one two three four five six seven eight"
    assert max(map(len, lines)) <= 65


def test_span_of_several_lines_says_where_it_ends(source: Path) -> None:
    source.write_text("y = f(\n    x,\n)\n")
    lines = drawn(finding(at(source, 1, 5, 2, end_line=3)))
    assert lines[2] == "  |     ^^ here (continues to line 3)"


@pytest.mark.parametrize(("column", "end"), [(None, None), (500, 510)])
def test_unknown_or_outdated_columns_mark_the_line(source: Path, column: int | None, end: int | None) -> None:
    source.write_text("  y = x.detach()\n")
    assert drawn(finding(at(source, 1, column, end)))[2] == "  |   ^^^^^^^^^^^^^^ here"


@pytest.mark.parametrize("line", [2, 999])
def test_without_source_there_are_no_rows(source: Path, line: int) -> None:
    source.write_text("x = 1\n\n")
    (found,) = excerpts(finding(at(source, line, 1, 2)), width=80, glyphs=ASCII)
    assert found.rows == ()
    assert excerpts(finding(at(source.with_name("gone.py"), 1)), width=80, glyphs=ASCII)[0].rows == ()
    assert excerpts(finding(None), width=80, glyphs=ASCII) == ()


@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=200),
    span=st.tuples(st.integers(1, 220), st.integers(0, 60)),
    width=st.integers(30, 120),
    glyphs=st.sampled_from([ASCII, UNICODE]),
)
def test_any_line_stays_in_its_room_and_marks_within_it(
    text: str, span: tuple[int, int], width: int, glyphs: Glyphs
) -> None:
    column, length = span
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_lines, "source_line", lambda _, line: text if line == 1 else "")
        found = excerpts(finding(at(Path("x.py"), 1, column, column + length)), width=width, glyphs=glyphs)
    _check(found[0], width, has_code=bool(text.strip()))


def _check(found: Excerpt, width: int, *, has_code: bool) -> None:
    assert bool(found.rows) == has_code
    for row in found.rows:
        assert row is not None
        assert cell_len(row.text) <= width
        assert len(row.marks) == 1
        mark = row.marks[0]
        assert 0 <= mark.start < mark.end
        assert mark.start <= len(row.text)
