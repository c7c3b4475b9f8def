"""GF405: which factor of a product is zero; a bias is added, and closes nothing."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

Explain = Callable[[str], Report]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    def run(source: str) -> Report:
        path = tmp_path / "program.py"
        path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(source))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


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
