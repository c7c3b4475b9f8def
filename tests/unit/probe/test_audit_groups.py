"""How parameters without a gradient are sorted."""

from __future__ import annotations

import pytest

from gradflow.probe.audit_groups import outermost_idle, state_of
from gradflow.recording.gradients import Measured


@pytest.mark.parametrize(
    ("module", "ran", "expected"),
    [
        ("aux.conv", {"", "body"}, "aux"),
        ("body.aux.conv", {"", "body"}, "body.aux"),
        ("heads.1", {"", "heads.0"}, "heads.1"),  # a ModuleList itself never runs
        ("heads.1.fc", {""}, "heads"),
        ("body", {"", "body"}, None),
        ("", {""}, None),
    ],
)
def test_the_outermost_module_that_never_ran(module: str, ran: set[str], expected: str | None) -> None:
    assert outermost_idle(module, ran) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (Measured(arrived=False), "none"),
        (Measured(arrived=True, entry_count=4, zero_count=4), "zero"),
        (Measured(arrived=True, entry_count=4, zero_count=3), "gradient"),
        (Measured(arrived=True, entry_count=4, zero_count=3, nan_count=1), "not finite"),
        (Measured(arrived=True, entry_count=0), "gradient"),
    ],
)
def test_state(measured: Measured, expected: str) -> None:
    assert state_of([measured]) == expected
