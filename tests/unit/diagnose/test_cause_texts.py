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
