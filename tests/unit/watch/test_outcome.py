"""What happens to a program's report when gradflow itself fails."""

from __future__ import annotations

from gradflow.watch.explaining import summary
from gradflow.watch.observation import Observation
from gradflow.watch.outcome import outcome


def test_a_mistake_of_gradflow_is_told_and_not_raised() -> None:
    def observe() -> Observation:
        raise KeyError("lost")

    report = outcome(observe, program="train.py")
    assert report.verdict == "error"
    assert report.diagnostics == ()
    said = summary(report)
    assert "gradflow itself failed: KeyError: 'lost' (test_outcome.py:" in said
    assert "please report it" in said
