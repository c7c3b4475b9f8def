"""What is said at the top of a report about a program: no fault, or what was seen; never that all is connected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.render.json_reader import report_from_json
from gradflow.render.json_report import report_to_json
from gradflow.render.words import headline
from gradflow.render.words import summary as words_of_the_end
from gradflow.report import Report
from gradflow.watch.explaining import summary

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
        (
            "other",
            (
                "seen: 0 of 2 parameters in `SGD` got a gradient in 2 steps; gradients also came to `weight` and 1 "
                "more, which no optimizer that was seen holds"
            ),
        ),
    ],
)
def test_a_program_is_not_connected_as_a_whole(explain: Explain, held: str, said: str) -> None:
    report = explain(TRAINED.format(held=held))
    assert headline(report) == said


@pytest.mark.parametrize(("held", "lacking"), [("used", 0), ("other", 2), ("nn.ModuleList([used, other])", 2)])
def test_the_last_line_says_what_the_verdict_is_not_about(explain: Explain, held: str, lacking: int) -> None:
    """Nobody asked for the gradients of what an optimizer only holds: ``connected`` is not said of them."""
    report = explain(TRAINED.format(held=held))
    count = 4 if "," in held else 2
    but = (
        f", but {lacking} of {count} parameters that an optimizer holds got no gradient (1 warning)" if lacking else ""
    )
    assert words_of_the_end(report) == f"connected{but}"
    assert words_of_the_end(report_from_json(report_to_json(report))) == words_of_the_end(report)


FROZEN = """
    optimizer = torch.optim.SGD([torch.ones(2)], 0.1)
    nn.Linear(2, 1)(torch.ones(2)).sum().backward()
    optimizer.step()
"""
LOOKED_AT = """
    net, frozen = nn.Linear(2, 1), nn.Linear(2, 1).requires_grad_(False)
    net(frozen.weight).sum().backward()
    {read}
"""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("    x = (", "gradflow: no gradient was asked for (no torch operation, ended by SyntaxError)"),
        ("    raise SystemExit('no data')", "gradflow: no gradient was asked for (no torch operation)"),
        ("    print(torch.ones(2).sum())", "gradflow: no gradient was asked for (2 operations)"),
        (
            FROZEN,
            "gradflow: `SGD` stepped, and none of its parameters requires grad (",
        ),
        (LOOKED_AT.format(read="raise ValueError"), "gradflow: 1 backward pass brought gradients to 2 leaves ("),
        (LOOKED_AT.format(read="pass"), "gradflow: no fault found: 1 backward pass brought gradients to 2 leaves ("),
        (
            LOOKED_AT.format(read="print(net.weight.grad)"),
            "gradflow: no fault found: the program looked at one gradient, and it was there (",
        ),
    ],
)
def test_where_nothing_came_no_clean_bill_is_given(explain: Explain, source: str, line: str) -> None:
    report = explain(source)
    assert summary(report).startswith(line)
    assert report.is_clear == line.startswith("gradflow: no fault found")
    again = report_from_json(report_to_json(report))
    assert headline(again) == headline(report)


def test_a_frozen_part_that_is_looked_at_is_no_fault_and_no_clean_bill(explain: Explain) -> None:
    report = explain(LOOKED_AT.format(read="print(frozen.weight.grad)"))
    assert [one.severity for one in report.diagnostics] == ["info"]
    assert headline(report) == "seen: the program looked at one gradient, and it was not there"


def test_what_is_asked_for_and_does_not_come_is_no_clean_bill(explain: Explain) -> None:
    """That it may be `None` is declared; no gradient was brought anywhere all the same."""
    report = explain("""
    used, other = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    print(torch.autograd.grad((used * 2).sum(), [other], allow_unused=True)[0])
    """)
    assert headline(report) == "seen: 1 call of `torch.autograd.grad`"


HOOKED = """
    layer = nn.Linear(3, 2)
    {before}
    out = layer(torch.ones(2, 3))
    {after}
    out.sum().backward()
"""
REGISTER = "layer.register_forward_hook(lambda *_: None)"


def test_a_hook_that_came_too_late_is_among_what_was_seen(explain: Explain) -> None:
    assert "program.py:7:1 never ran" in headline(explain(HOOKED.format(before="pass", after=REGISTER)))
    assert "hook" not in headline(explain(HOOKED.format(before=REGISTER, after="pass")))
