"""Random small networks with a cut planted somewhere: gradflow names the planted line, and is silent without the cut.

Many more, as one command: `python tests/property/run.py --networks 2000`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

import gradflow
from tests.property.oracle import judge, judge_healthy
from tests.property.plants import Role, kinds_of_case, make_case

_CHOICES = st.randoms(use_true_random=False)

PROFILE = hypothesis.settings(
    max_examples=75,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
"""The same networks in every run, each as long as it takes; four tests make 300 of them."""


def names_of(role: Role) -> st.SearchStrategy[str]:
    return st.sampled_from([name for other, name in kinds_of_case() if other == role])


@pytest.mark.parametrize("role", ["whole", "partial", "side"])
def test_planted_cut_is_found_at_its_line_and_only_there(role: Role) -> None:
    @PROFILE
    @hypothesis.given(name=names_of(role), chooser=_CHOICES)
    def check(name: str, chooser) -> None:
        case = make_case(chooser, role, name)
        hypothesis.note(case.network.broken)
        finding = judge(case)
        assert finding.outcome in ("right", "unfit"), (case.verdict, case.causes, case.network.blamed_lines, finding)
        hypothesis.note(case.network.healthy)
        twin = judge_healthy(case)
        assert twin.outcome in ("right", "unfit"), twin
        hypothesis.assume("unfit" not in (finding.outcome, twin.outcome))

    check()


def test_what_only_looks_like_a_cut_is_not_reported() -> None:
    @PROFILE
    @hypothesis.given(name=names_of("near miss"), chooser=_CHOICES)
    def check(name: str, chooser) -> None:
        case = make_case(chooser, "near miss", name)
        hypothesis.note(case.network.broken)
        finding = judge(case)
        assert finding.outcome in ("right", "unfit"), finding
        hypothesis.assume(finding.outcome != "unfit")

    check()


class MeetsItself(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.target, self.both = torch.nn.Linear(4, 4), torch.nn.Bilinear(4, 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.target(x) * 0.0
        return self.both(x, x)


@pytest.mark.xfail(strict=True, reason="the product is blamed, not the line at which what it multiplies became zero")
def test_a_zero_that_meets_itself_is_told_where_it_was_made() -> None:
    report = gradflow.check(MeetsItself(), "target", inputs=torch.ones(2, 4), target=0)
    assert report.verdict == "zero"
    location = report.diagnostics[0].location
    assert location is not None
    assert location.line == MeetsItself.forward.__code__.co_firstlineno + 1
