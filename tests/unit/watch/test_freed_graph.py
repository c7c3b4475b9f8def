"""Where a graph that is gone is told: at what was made once, what a model keeps, or the backward that freed it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.diagnose.diagnostic import Diagnostic  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observers.running import run_program  # noqa: E402
from gradflow.watch.observers.watching import Watch  # noqa: E402

Explain = Callable[[str], Diagnostic]

MODEL = """import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.mix = nn.Parameter(torch.ones(4, 3)), nn.Linear(3, 3)
        self.kept = {first}
    def forward(self, x):
        out = self.mix(x) * self.kept
        {keep}
        return out
net = Net()
for step in range(3):
    net(torch.ones(2, 3)).square().sum().backward()
"""


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """The first finding about a program that ends with the error."""

    def run(source: str) -> Diagnostic:
        path = tmp_path / "program.py"
        path.write_text(source)
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert run_program(watch, str(path), (), is_module=False) == 1
        found = explain_observation(watch.observation()).diagnostics[0]
        assert found.name == "graph-freed"
        assert found.location is not None
        return found

    return run


def test_what_is_made_once_is_the_place(explain: Explain) -> None:
    found = explain(MODEL.format(first="self.table[torch.tensor([0, 1])]", keep="pass"))
    assert found.location is not None
    assert found.location.line == 7
    assert "anew" in found.helps[0].text


def test_what_a_model_keeps_for_the_next_step_is_the_place(explain: Explain) -> None:
    found = explain(MODEL.format(first="1.0", keep="self.kept = (self.kept * self.table[torch.tensor([0, 1])]).exp()"))
    assert found.location is not None
    assert found.location.line == 10
    assert "detach" in found.helps[0].text


def test_a_loss_computed_outside_of_a_closure_is_not_to_be_retained(explain: Explain) -> None:
    found = explain(
        "import torch\nnet = torch.nn.Linear(2, 1)\noptimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)\n"
        "loss = net(torch.ones(3, 2)).square().sum()\ndef closure():\n    optimizer.zero_grad()\n    loss.backward()\n"
        "    return loss\noptimizer.step(closure)\n"
    )
    assert [one.text for one in found.helps] == [
        "compute the loss inside the closure, so that each call has a graph of its own"
    ]
