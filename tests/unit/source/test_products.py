"""What the source does with two values that have left torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.source.program.walk import product_in_program

G, A = "layer.weight.grad", "activation.numpy()"


def product_line(folder: Path, *lines: str) -> int | None:
    """The line of the product of the first places where `G` and `A` stand."""
    path = folder / "program.py"
    path.write_text("\n".join(lines) + "\n")
    found = product_in_program([str(path)], _place(path, lines, G), _place(path, lines, A))
    return found.line if found is not None else None


def _place(path: Path, lines: tuple[str, ...], text: str) -> SourceSpan:
    number, line = next((n, line) for n, line in enumerate(lines, 1) if text in line)
    column = line.index(text) + 1
    return SourceSpan(path=str(path), line=number, column=column, end_line=number, end_column=column + len(text))


def test_names_are_followed_to_the_product(tmp_path: Path) -> None:
    lines = (f"g = {G}.numpy()", f"a = {A}", "w = g.mean(axis=(1, 2))", "scaled = a * 2", "cam = (w * scaled).sum()")
    assert product_line(tmp_path, *lines) == 5


def test_both_may_stand_in_the_product_itself(tmp_path: Path) -> None:
    assert product_line(tmp_path, f"cam = {G}.numpy() * {A}") == 1


@pytest.mark.parametrize("product", ["np.einsum('ij,ij', g, a)", "np.tensordot(a, g)", "g @ a", "g.dot(a)"])
def test_other_ways_to_multiply(tmp_path: Path, product: str) -> None:
    assert product_line(tmp_path, f"g = {G}.numpy()", f"a = {A}", f"cam = {product}") == 3


def test_a_loop_that_multiplies_in_place(tmp_path: Path) -> None:
    lines = (f"g = {G}.numpy()", f"a = {A}", "for i in range(3):", "    a[i] *= g[i]")
    assert product_line(tmp_path, *lines) == 4


def test_inside_a_function(tmp_path: Path) -> None:
    lines = ("def cam(layer):", f"    g = {G}.numpy()", f"    a = {A}", "    return g * a", "g = a = 1")
    assert product_line(tmp_path, *lines) == 4


@pytest.mark.parametrize(
    "lines",
    [
        (f"g = {G}.numpy()", f"a = {A}", "print(g.mean() + a.mean())"),
        (f"g = {G}.numpy()", f"a = {A}", "g = correct()", "cam = g * a"),
        (f"g = {G}.numpy()", f"a = {A}", "both = g + a", "cam = both * both"),
        (f"g = {G}.numpy()", f"a = {A}", "table = {'g': g, 'a': a * 2}", "h = g * 2"),
        ("def one(layer):", f"    g = {G}.numpy()", "def two(a):", f"    a = {A}", "    return g * a"),
    ],
    ids=["only added", "assigned anew", "already one value", "each alone", "another function"],
)
def test_near_misses(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert product_line(tmp_path, *lines) is None


def test_source_that_cannot_be_read() -> None:
    nowhere = SourceSpan(path="<string>", line=1, column=1, end_line=1, end_column=2)
    assert product_in_program([], nowhere, nowhere) is None
