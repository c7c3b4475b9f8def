"""Every way in which the analysis can find a path cut has words."""

from __future__ import annotations

import pytest

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.recording import REGION_CAUSES

CAUSES = {
    *REGION_CAUSES.values(),
    "detach",
    "hook-detach",
    "numpy-roundtrip",
    "tensor-rewrap",
    "nondiff-op",
    "custom-function",
    "requires-grad-off",
}


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_a_cause_has_a_label_a_reason_and_a_way_out(cause):
    text = text_for(cause, "Some.apply")
    assert text.label
    assert text.note
    assert text.helps
    assert code_of(cause).startswith("GF")


@pytest.mark.parametrize(
    ("operation", "is_said"), [("sigmoid", False), ("conv2d", False), ("bincount", True), ("my_kernel", True)]
)
def test_no_derivative_is_only_said_of_what_has_none(operation: str, is_said: bool) -> None:
    text = text_for("nondiff-op", operation)
    assert ("has a derivative" in text.note) is not is_said
    assert (text.label == "the result has no derivative") is is_said
