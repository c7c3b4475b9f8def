"""Where a graph that is gone is told: at what was made once, what a model keeps, or the backward that freed it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.diagnose.diagnostic import Diagnostic  # noqa: E402
from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

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
        found = explain_observation(observation_of(watch)).diagnostics[0]
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


HEAD = "import torch\nfrom torch import nn\nnet = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))\n"
TARGET = """def embed(x):
    return net(x).tanh().exp()
class Wrapped(nn.Module):
    def forward(self, x):
        return embed(x)
wrapped = Wrapped()
{before}
for step in range(3):
    {inside}
    (embed(torch.ones(2, 3)) - target).square().mean().backward()
    {after}
"""


@pytest.mark.parametrize(
    "make", ["embed(torch.rand(2, 3))", "wrapped(torch.rand(2, 3))", "torch.exp(net(torch.rand(2, 3)))"]
)
def test_what_a_helper_made_once_is_told_where_the_helper_was_called(explain: Explain, make: str) -> None:
    found = explain(HEAD + TARGET.format(before=f"target = {make}", inside="pass", after="pass"))
    assert found.location is not None
    assert found.location.line == 10
    assert found.label == "made once, and used in every pass"
    assert any("`.detach()`" in one.text for one in found.helps)


def test_what_a_helper_makes_in_every_turn_is_carried_over(explain: Explain) -> None:
    source = TARGET.format(before="target = 0.0", inside="pass", after="target = embed(torch.rand(2, 3)) + target")
    found = explain(HEAD + source)
    assert found.location is not None
    assert (found.location.line, found.label) == (14, "takes a value of the step before, with its graph")


IMAGE = """net.requires_grad_(False)
x = torch.rand(2, 3, requires_grad=True)
{before}
for step in range(4):
    {inside}
    loss.backward()
    {after}
"""


def test_a_tensor_that_learns_and_is_made_anew_from_itself_is_carried_over_a_frozen_model_too(explain: Explain) -> None:
    source = IMAGE.format(before="", inside="loss = net(x).square().mean()", after="x = x.clamp(0, 1)")
    found = explain(HEAD + source)
    assert found.location is not None
    assert (found.location.line, found.label) == (10, "takes a value of the step before, with its graph")
    (told,) = found.helps
    assert "torch.no_grad()" in told.text


@pytest.mark.parametrize("loss", ["(y - step).square().mean()", "y.square().mean()"])
def test_the_same_forward_of_a_frozen_model_is_differentiated_again(explain: Explain, loss: str) -> None:
    found = explain(HEAD + IMAGE.format(before="y = net(x)", inside=f"loss = {loss}", after="pass"))
    assert found.location is not None
    assert (found.location.line, found.label) == (9, "needs the graph again")
    assert "retain_graph=True" in found.helps[0].text


def test_that_all_of_it_runs_in_one_function_changes_nothing(explain: Explain) -> None:
    body = TARGET.format(before="target = wrapped(torch.rand(2, 3))", inside="pass", after="pass")
    found = explain(HEAD + "def main():\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "main()\n")
    assert found.location is not None
    assert (found.location.line, found.label) == (11, "made once, and used in every pass")
