"""The one rule for exit statuses."""

from __future__ import annotations

import pytest

from gradflow.exit_status import exit_status


@pytest.mark.parametrize(
    ("verdicts", "severities", "plain", "strict"),
    [
        (["connected"], [], 0, 0),
        ([], [], 0, 0),
        (["connected"], ["info"], 0, 0),
        (["connected"], ["info", "warning"], 0, 1),
        (["connected"], ["error"], 1, 1),
        (["connected", "zero"], [], 1, 1),
        (["error"], ["info"], 1, 1),
    ],
)
def test_an_error_or_another_verdict_is_a_failure(
    verdicts: list[str], severities: list[str], plain: int, strict: int
) -> None:
    assert exit_status(verdicts, severities) == plain  # type: ignore[arg-type]
    assert exit_status(verdicts, severities, strict=True) == strict  # type: ignore[arg-type]
