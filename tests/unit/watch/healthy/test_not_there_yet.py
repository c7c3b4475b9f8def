"""A backward has nothing to do with a leaf that was made, or told to require grad, after it; one before it, it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]


def said(report: Report) -> list[tuple[str, str]]:
    return [(diagnostic.name, diagnostic.severity) for diagnostic in report.diagnostics]


UNRELATED = """
    a = torch.tensor(3.0, requires_grad=True)
    (a * a).backward()
"""


@pytest.mark.parametrize(
    "later",
    [
        "v = torch.ones(2, requires_grad=True)",
        "v = torch.ones(2).requires_grad_()",
        "v = nn.Parameter(torch.ones(2))",
        "v = torch.ones(2, requires_grad=True); v.data.mul_(3.0)",
        "v = torch.ones(2, requires_grad=True); w = v * 2",
        "v = a.detach().requires_grad_()",
        "v = nn.Linear(2, 1).weight",
    ],
)
@pytest.mark.parametrize("then", ["", "(v * 2).sum().backward()"])
def test_a_leaf_made_after_a_backward_is_not_missed_in_it(explain: Explain, later: str, then: str) -> None:
    report = explain(UNRELATED + f"    {later}\n    print(v.grad)\n    {then}\n")
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_leaf_that_required_no_grad_then_is_not_missed_either(explain: Explain) -> None:
    report = explain("    v = torch.ones(2)" + UNRELATED + "    v.requires_grad_()\n    print(v.grad)\n")
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_leaf_whose_own_backward_is_still_to_come_is_not_missed(explain: Explain) -> None:
    source = (
        "    v = torch.ones(2, requires_grad=True)" + UNRELATED + "    print(v.grad)\n    (v * 2).sum().backward()\n"
    )
    report = explain(source)
    assert (report.verdict, said(report)) == ("connected", [])


def test_what_was_seen_does_not_count_it(explain: Explain) -> None:
    report = explain(UNRELATED + "    v = torch.ones(2, requires_grad=True)\n    print(v.grad, a.grad)\n")
    assert report.seen == ("the program looked at one gradient, and it was there",)


def test_a_leaf_that_was_there_and_is_used_in_nothing_is_missed(explain: Explain) -> None:
    report = explain("    v = torch.ones(2, requires_grad=True)" + UNRELATED + "    print(v.grad)\n")
    assert (report.verdict, said(report)) == ("unused", [("output-discarded", "error")])
    (told,) = report.diagnostics
    assert told.notes[:1] == ("a tensor that takes no part in the score has no gradient",)
    assert [one.text for one in told.helps] == ["compute the score from it"]


def test_a_leaf_that_was_used_before_and_gets_a_gradient_later_is_missed(explain: Explain) -> None:
    report = explain("""
    a, v = torch.tensor(3.0, requires_grad=True), torch.ones(2, requires_grad=True)
    loss = (a * a) + (v * 2).sum().detach()
    loss.backward()
    print(v.grad)
    (v * 2).sum().backward()
    """)
    assert (report.verdict, said(report)) == ("broken", [("detach", "error")])


def test_a_flag_set_after_the_backward_that_used_the_tensor_is_too_late(explain: Explain) -> None:
    report = explain("""
    x, a = torch.ones(2), torch.tensor(3.0, requires_grad=True)
    (x * a).sum().backward()
    x.requires_grad_()
    print(x.grad)
    """)
    assert said(report) == [("requires-grad-too-late", "error")]


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_computed_tensor_keeps_no_gradient_whenever_it_was_made(explain: Explain) -> None:
    report = explain("""
    a = torch.ones(3, requires_grad=True)
    (a * a).sum().backward()
    print(a[0].grad)
    """)
    assert said(report) == [("non-leaf-grad", "error")]
