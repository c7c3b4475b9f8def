"""Several scores that are differentiated at once get the answer that their sum gets."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402


def explained(tmp_path: Path, source: str) -> tuple[Report, Path]:
    path = tmp_path / "program.py"
    path.write_text("import torch\ntorch.manual_seed(0)\n" + textwrap.dedent(source))
    watch = Watch()
    run_program(watch, str(path), (), is_module=False)
    return explain_observation(observation_of(watch)), path


ASKED = {
    "grad_of_a_list": "(grad,) = torch.autograd.grad([y[0], y[1]], x)",
    "grad_of_a_tuple": "(grad,) = torch.autograd.grad((y[0], y[1]), x)",
    "grad_of_the_outputs_of_one_node": "(grad,) = torch.autograd.grad(y.unbind(), x, [torch.ones(())] * 2)",
    "backward": "torch.autograd.backward([y[0], y[1]]); grad = x.grad",
    "the_sum": "(grad,) = torch.autograd.grad(y[0] + y[1], x)",
    "late_in_a_loop": "for _ in range(12): (grad,) = torch.autograd.grad(list(y), x, retain_graph=True)",
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("start", [-2.0, 2.0])
def test_a_flat_activation_before_all_scores_is_named(tmp_path: Path, asked: str, start: float) -> None:
    report, path = explained(
        tmp_path,
        f"""
        x = torch.full((2, 4), {start}, requires_grad=True)
        y = torch.relu(x).sum(1)
        {ASKED[asked]}
        print(grad.abs().max().item())
        """,
    )
    found = [(one.name, one.location and one.location.line) for one in report.diagnostics]
    line = 1 + next(i for i, text in enumerate(path.read_text().splitlines()) if "relu" in text)
    assert found == ([("saturation", line)] if start < 0 else [])


def test_one_flat_score_of_two_hides_nothing(tmp_path: Path) -> None:
    report, _ = explained(
        tmp_path,
        """
        x = torch.full((3,), -2.0, requires_grad=True)
        (grad,) = torch.autograd.grad([torch.relu(x).sum(), x.exp().sum()], x)
        print(grad)
        """,
    )
    assert report.verdict == "connected"
    assert not report.diagnostics


@pytest.mark.parametrize("order", ["[first, second]", "[second, first]"])
def test_a_cut_before_one_score_is_found_wherever_that_stands(tmp_path: Path, order: str) -> None:
    report, _ = explained(
        tmp_path,
        f"""
        x, w = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        first, second = (w * w).sum(), (x.detach() * w).sum()
        torch.autograd.grad({order}, x)
        """,
    )
    assert [one.name for one in report.diagnostics if one.severity == "error"] == ["detach"]
