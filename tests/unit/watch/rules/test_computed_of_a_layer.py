"""GF205: what is computed of a layer's output is not called by that layer's name, and told once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

PROGRAM = """
    conv, head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)
    features = {features}
    head(features.mean((2, 3)))[0, 1].backward()
    print(features.grad)
    print(1, features.grad)
"""


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize(
    ("features", "name"),
    [("conv(torch.ones(1, 1, 6, 6)).relu()", "features"), ("conv(torch.ones(1, 1, 6, 6))[:, :, 1:]", "features")],
)
def test_named_as_the_program_names_it(explain: Explain, features: str, name: str) -> None:
    report = explain(PROGRAM.format(features=features))
    assert [one.name for one in report.diagnostics] == ["non-leaf-grad"]
    assert report.diagnostics[0].message.startswith(f"`.grad` is read of `{name}`, ")
