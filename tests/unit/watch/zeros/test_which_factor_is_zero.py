"""GF405: which factor of a product is zero; a bias is added, and closes nothing."""

from __future__ import annotations

from collections.abc import Callable

from gradflow.report import Report

Explain = Callable[[str], Report]


SOURCE = """
layer, x = nn.Linear(3, 1), torch.{data}(2, 3, requires_grad=True)
{start}
layer(x).square().sum().backward()
print({read}.grad)
"""


def test_a_bias_is_no_factor(explain: Explain) -> None:
    (found,) = explain(SOURCE.format(data="zeros", start="", read="layer.weight")).diagnostics
    assert (found.name, "bias" in found.label) == ("zero-multiplier", False)


def test_a_weight_that_is_zero_is_one(explain: Explain) -> None:
    (found,) = explain(SOURCE.format(data="ones", start="nn.init.zeros_(layer.weight)", read="x")).diagnostics
    assert "`layer.weight`, which is zero so far" in found.label
