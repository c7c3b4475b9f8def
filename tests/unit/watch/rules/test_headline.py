"""What is said at the top of a report about a program: no fault, or what was seen; never that all is connected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.render.words import headline
from gradflow.report import Report

Explain = Callable[[str], Report]

TRAINED = """
used, other = nn.Linear(2, 1), nn.Linear(2, 1)
optimizer = torch.optim.SGD({held}.parameters(), 0.1)
for _ in range(2):
    optimizer.zero_grad()
    used(torch.rand(3, 2)).sum().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("used", "no fault found: both parameters in `SGD` got a gradient in 2 of 2 steps"),
        ("other", "seen: 0 of 2 parameters in `SGD` got a gradient in 2 steps"),
    ],
)
def test_a_program_is_not_connected_as_a_whole(explain: Explain, held: str, said: str) -> None:
    report = explain(TRAINED.format(held=held))
    assert headline(report) == said
