"""A backward that raises is told, whatever raised; one that was interrupted or tried again is no fault."""

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
    """Run a program and explain it."""

    def run(source: str) -> Report:
        path = tmp_path / "program.py"
        path.write_text("import torch\nfrom torch import nn\nw = torch.rand(4, requires_grad=True)\n" + source)
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


def first(report: Report) -> tuple[str, str, str, int | None]:
    found = report.diagnostics[0]
    return report.verdict, found.name, found.severity, found.location.line if found.location else None


def test_an_operation_without_a_derivative_is_the_place(explain: Explain) -> None:
    report = explain("z = torch.special.zeta(w + 1.5, torch.tensor(2.0))\nz.exp().sum().backward()\n")
    assert first(report) == ("error", "backward-raised", "error", 4)


def test_the_operation_that_was_due_is_named_and_not_one_that_ran_before(explain: Explain) -> None:
    source = "a = torch.special.zeta(w + 1.5, torch.tensor(2.0))\nb = w.exp().tanh()\n(a.sin() * b).sum().backward()\n"
    assert first(explain(source)) == ("error", "backward-raised", "error", 4)


def test_a_tensor_hook_that_raises_is_the_place(explain: Explain) -> None:
    source = """
        def check(grad):
            raise ValueError("too large")
        h = w * 2
        h.register_hook(check)
        h.sum().backward()
    """
    assert first(explain(textwrap.dedent(source))) == ("error", "backward-raised", "error", 6)


def test_a_function_whose_backward_raises_is_named(explain: Explain) -> None:
    source = """
        class Half(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x / 2

            @staticmethod
            def backward(ctx, grad):
                raise NotImplementedError

        Half.apply(w).sum().backward()
    """
    assert first(explain(textwrap.dedent(source))) == ("error", "custom-function", "error", 12)


CAUGHT = """
def check(grad):
    if turn == 0:
        raise ValueError("too large")
h = w * 2
h.register_hook(check)
for turn in range({turns}):
    try:
        h.sum().backward(retain_graph=True)
    except ValueError:
        pass
"""


def test_one_that_the_program_caught_is_a_warning(explain: Explain) -> None:
    assert first(explain(CAUGHT.format(turns=1)))[:3] == ("error", "backward-raised", "warning")


def test_one_that_was_tried_again_with_success_is_a_remark(explain: Explain) -> None:
    assert first(explain(CAUGHT.format(turns=2)))[:3] == ("connected", "backward-raised", "info")


def test_an_interruption_is_no_error_of_backward(explain: Explain) -> None:
    report = explain("def stop(grad):\n    raise KeyboardInterrupt\nw.register_hook(stop)\nw.sum().backward()\n")
    assert "backward-raised" not in [one.name for one in report.diagnostics]


AGAIN = """l = (w * 2).sum()
o = torch.optim.SGD([w], 0.1)
l.backward()
{before}
try:
    l.backward()
except RuntimeError:
    pass
{after}
"""


@pytest.mark.parametrize(("before", "after", "severity"), [("o.step()", "", "info"), ("", "o.step()", "warning")])
def test_a_second_one_that_is_caught_has_lost_nothing_unless_a_step_follows(
    explain: Explain, before: str, after: str, severity: str
) -> None:
    verdict, name, found = first(explain(AGAIN.format(before=before, after=after)))[:3]
    assert (name, found) == ("graph-freed", severity)
    assert verdict == ("connected" if severity == "info" else "error")


def test_what_raised_is_not_told_of_a_gradient_that_came(explain: Explain) -> None:
    report = explain(
        "try:\n    (w * 2).backward()\nexcept RuntimeError:\n    pass\nw.sum().backward()\nprint(w.grad)\n"
    )
    assert (report.verdict, report.diagnostics[0].name) == ("error", "backward-raised")
    assert "`w`" not in str(report).splitlines()[0]


def test_what_raised_is_told_of_the_gradient_that_was_asked_for(explain: Explain) -> None:
    report = explain("v = w * 2\nwith torch.no_grad():\n    s = v.sum()\ntorch.autograd.grad(s, v)\n")
    assert "`v`" in str(report).splitlines()[0]
