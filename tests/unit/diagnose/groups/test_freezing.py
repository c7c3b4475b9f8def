"""Freezing is advised for what does not learn, and for nothing else."""

from __future__ import annotations

import pytest

from gradflow.diagnose.groups.freezing import if_not_meant, in_code

ALL = ("b.0.lin.weight", "b.0.lin.bias", "b.1.lin.weight", "b.1.lin.bias", "b.2.lin.weight", "o.weight", "o.bias")


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (ALL[:2], "say so: `model.b[0].requires_grad_(False)`"),
        (ALL[:5], "say so: `model.b.requires_grad_(False)`"),
        (ALL[:4], "say so: call `requires_grad_(False)` on `model.b[0]` and `model.b[1]`"),
        (ALL[5:6], "say so: `model.o.weight.requires_grad_(False)`"),
        ((*ALL[:2], "o.bias"), "say so: call `requires_grad_(False)` on `model.b[0]` and `model.o.bias`"),
    ],
)
def test_the_outermost_modules_that_hold_no_others_are_named(names, written: str) -> None:
    (found,) = if_not_meant(names, ALL)
    assert written in found.text


def test_many_are_counted() -> None:
    names = [f"experts.{number}.weight" for number in range(0, 12, 2)]
    (found,) = if_not_meant(names, [f"experts.{number}.weight" for number in range(12)])
    assert "`model.experts[0]`, `model.experts[2]`, `model.experts[4]` and 3 more" in found.text


def test_numbers_are_written_as_places() -> None:
    assert in_code("0.conv") == "model[0].conv"
    assert in_code("layers.3.attn") == "model.layers[3].attn"
