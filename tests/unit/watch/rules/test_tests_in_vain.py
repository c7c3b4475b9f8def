"""``if x.grad is None: continue`` where it always is: said, and beside it what a healthy program asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report
from gradflow.watch.explaining import summary

Explain = Callable[..., Report]
Said = Callable[[Report], list[tuple[str, int | None, str]]]

ATTRIBUTION = """
net = nn.Linear(3, 2)
total = 0
for i in range(4):
    x = torch.rand(1, 3).requires_grad_()
    net({given}).sum().backward()
    {test}
"""
TESTS = [
    "if x.grad is None: continue",
    "if x.grad is not None: total = total + x.grad",
    "total += 0 if x.grad is None else 1",
]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("given", ["x.data", "x.detach()", "torch.tensor(x.tolist())"])
def test_what_is_asked_for_and_never_there(explain: Explain, given: str, test: str) -> None:
    report = explain(ATTRIBUTION.format(given=given, test=test))
    assert not summary(report).startswith("gradflow: no fault")
    assert {one.severity for one in report.diagnostics} <= {"info"}
    place = f"program.py:9:{test.index('x.grad') + 5}"
    assert report.seen[-1].endswith(
        f"{place} the program asked 4 times whether a gradient is there, and there was none"
    )


def test_its_cause_is_a_remark(explain: Explain, said: Said) -> None:
    report = explain(ATTRIBUTION.format(given="x.data", test=TESTS[0]))
    assert (report.verdict, said(report)) == ("connected", [("detach", 8, "info")])


@pytest.mark.parametrize("test", TESTS)
def test_what_is_there(explain: Explain, test: str) -> None:
    report = explain(ATTRIBUTION.format(given="x", test=test))
    assert not report.diagnostics
    assert not any("asked" in text for text in report.seen)


TRAINED = """
body, unused, frozen = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False)
optimizer = torch.optim.SGD(body.parameters(), lr=0.1)
for _ in range(3):
    {before}
    body(frozen.weight + 1).square().mean().backward()
    {after}
    optimizer.step()
"""
EVERY = "[*body.parameters(), *unused.parameters(), *frozen.parameters()]"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("optimizer.zero_grad()", f"norm = sum(p.grad.norm() for p in {EVERY} if p.grad is not None)"),
        (f"for p in {EVERY}:\n        if p.grad is not None: p.grad = None", "pass"),
        ("optimizer.zero_grad()", "assert all(p.grad is None for p in unused.parameters())"),
        (
            "for p in frozen.parameters():\n        if p.grad is not None: p.grad.zero_()\n    optimizer.zero_grad()",
            "pass",
        ),
    ],
)
def test_a_healthy_program_that_asks(explain: Explain, before: str, after: str) -> None:
    report = explain(TRAINED.format(before=before, after=after))
    assert not any("asked" in text for text in report.seen)
    assert {one.severity for one in report.diagnostics} <= {"info"}


def test_an_unused_part_that_is_asked_alone_is_said_and_no_fault(explain: Explain) -> None:
    after = "for p in unused.parameters():\n        if p.grad is not None: print(p.grad)"
    report = explain(TRAINED.format(before="optimizer.zero_grad()", after=after))
    assert {one.severity for one in report.diagnostics} <= {"info"}
    assert report.seen[-1].endswith("the program asked 6 times whether a gradient is there, and there was none")
