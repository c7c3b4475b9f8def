"""A gradient that the program asserts to be absent is as it wants it; one that it only looks at may be missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

CUT = """
import unittest
case = unittest.TestCase()
x, y = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
(x.detach() * y).sum().backward()
"""


@pytest.mark.parametrize(
    "check",
    [
        "assert x.grad is None",
        "assert x.grad is None and y.grad is not None",
        "assert not (x.grad is not None)",
        "assert all(one.grad is None for one in [x])",
        "assert not any([one.grad is not None for one in [x]])",
        "case.assertIsNone(x.grad)",
        "case.assertIsNone(x.grad, 'stop-gradient must hold')",
        "case.assertIs(x.grad, None)",
        "case.assertTrue(x.grad is None)",
        "case.assertFalse(any(one.grad is not None for one in [x]))",
    ],
)
def test_a_gradient_that_is_asserted_to_be_absent_is_meant(explain: Explain, check: str) -> None:
    report = explain(CUT + check + "\n")
    assert (report.verdict, report.diagnostics) == ("connected", ())


@pytest.mark.parametrize(
    "look",
    [
        "print(x.grad)",
        "print(x.grad is None)",
        "missing = [one.grad is None for one in [x, y]]",
        "assert x.grad is None or y.grad.sum() > 100, x.grad.norm()",
        "assert str(x.grad)",
        "case.assertIsNotNone(str(x.grad))",
    ],
)
def test_a_gradient_that_is_looked_at_is_missed(explain: Explain, look: str) -> None:
    if " or " in look:
        look = look.replace("is None or", "is not None or")
    report = explain(f"{CUT}try:\n    {look}\nexcept (AssertionError, AttributeError):\n    pass\n")
    assert report.diagnostics[0].name == "detach"


COMPUTED = """
import warnings
warnings.simplefilter("ignore")
y = torch.rand(3, requires_grad=True)
z = y * 2
z.sum().backward()
"""


def test_asserting_that_a_computed_tensor_keeps_none_is_meant(explain: Explain) -> None:
    assert explain(f"{COMPUTED}assert z.grad is None\n").diagnostics == ()


def test_branching_on_what_a_computed_tensor_keeps_is_told(explain: Explain) -> None:
    found = explain(f"{COMPUTED}if z.grad is not None:\n    print(z.grad)\n").diagnostics
    assert [one.name for one in found] == ["non-leaf-grad"]


OFF = """
import unittest
case = unittest.TestCase()
x = torch.full((3,), -1.0, requires_grad=True)
x.relu().sum().backward()
"""


@pytest.mark.parametrize(
    "check",
    [
        "assert torch.equal(x.grad, torch.zeros(3))",
        "assert (x.grad == 0).all()",
        "assert torch.all(x.grad == 0.0) and x.requires_grad",
        "assert x.grad.abs().sum() == 0",
        "assert x.grad.norm().item() == 0.0",
        "assert torch.count_nonzero(x.grad) == 0",
        "torch.testing.assert_close(x.grad, torch.zeros(3))",
        "case.assertTrue(torch.all(x.grad == 0))",
        "case.assertEqual(x.grad.abs().sum().item(), 0)",
    ],
)
def test_a_gradient_that_is_asserted_to_be_zero_is_meant(explain: Explain, check: str) -> None:
    assert explain(OFF + check + "\n").diagnostics == ()


@pytest.mark.parametrize(
    "check",
    [
        "print((x.grad == 0).all())",
        "assert torch.isfinite(x.grad).all()",
        "assert x.grad.isnan().sum() == 0",
        "assert x.grad.shape == x.shape and x.grad.sum() >= 0",
        "assert (x.grad != 0).any()",
        "assert torch.allclose(x.grad, torch.ones(3))",
        "case.assertGreater(x.grad.abs().sum().item(), 0)",
        "case.assertFalse(torch.all(x.grad == 0))",
        "dead = torch.equal(x.grad, torch.zeros(3))",
    ],
)
def test_a_gradient_that_happens_to_be_zero_is_told(explain: Explain, check: str) -> None:
    report = explain(f"{OFF}try:\n    {check}\nexcept AssertionError:\n    pass\n")
    assert report.verdict == "zero"
