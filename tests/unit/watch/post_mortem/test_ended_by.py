"""A watched program ends by an exception that the record does not explain: what is left of it does."""

from __future__ import annotations

import gc
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.ended_by import EndedBy  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

Explain = Callable[[str], Report]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    def run(source: str) -> Report:
        path = tmp_path / "program.py"
        path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(source))
        watch, ended_by = Watch(), EndedBy()
        run_program(watch, str(path), (), is_module=False, look_at=ended_by.look)
        observation = observation_of(watch)
        return ended_by.refine(explain_observation(observation), observation)

    return run


LOOP = """
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    loss = net(torch.ones(2, 3)).square().mean()
    value = {value}
    optimizer.zero_grad()
    {backward}
    optimizer.step()
"""


@pytest.mark.parametrize("value", ["loss.item()", "float(loss.detach())", "loss.tolist()"])
def test_a_number_is_asked_for_its_backward(explain: Explain, value: str) -> None:
    report = explain(LOOP.format(value=value, backward="value.backward()"))
    assert [(one.severity, one.location and one.location.line) for one in report.diagnostics] == [("error", 8)]
    assert report.verdict == "broken"
    assert not report.is_clear


@pytest.mark.parametrize("end", ["", "\nraise ValueError('float object has no attribute backward')\n", "\n1 / 0\n"])
def test_another_exception_is_not_explained(explain: Explain, end: str) -> None:
    report = explain(LOOP.format(value="loss.item()", backward="loss.backward()") + end)
    assert not report.diagnostics
    assert report.is_clear == (not end)


def test_nothing_of_the_exception_is_kept() -> None:
    class EndingError(RuntimeError):
        pass

    error, ended_by = EndingError("element 0 of tensors does not require grad and does not have a grad_fn"), EndedBy()
    ended_by.look(error)
    gone = weakref.ref(error)
    del error
    gc.collect()
    assert gone() is None


def test_a_backward_that_raised_has_let_go_of_what_it_had_passed(explain: Explain) -> None:
    """The node of a write by mask refuses to tell its indices then; that is no failure of gradflow's."""
    report = explain("""
    gate, other = torch.ones(3, 4, requires_grad=True), torch.ones(3, 4, requires_grad=True)
    opened = gate.sigmoid()
    product = opened * other
    opened[torch.tensor([True, False, True])] = 0.0
    (product + opened).sum().backward()
    """)
    assert [(one.name, one.location and one.location.line) for one in report.diagnostics] == [
        ("inplace-modification", 7)
    ]
    assert not report.undetermined


def test_what_the_record_has_only_the_message_of_is_asked_of_what_is_left(explain: Explain) -> None:
    """A hook on what was computed while recording is off: the frames show the line, the record alone does not."""
    report = explain("""
    layer, kept = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda module, given, out: out.register_hook(kept.append))
    with torch.no_grad():
        out = layer(torch.ones(2, 3))
    """)
    assert [(one.name, one.location and one.location.line) for one in report.diagnostics] == [("no-grad", 6)]


@pytest.mark.parametrize(
    ("flag", "name"), [("True", "non-leaf-grad"), ("False", "requires-grad-off")], ids=["on", "off"]
)
def test_a_flag_that_is_refused_is_told_for_what_it_was_to_be(explain: Explain, flag: str, name: str) -> None:
    report = explain(f"""
    out = nn.Linear(3, 2)(torch.ones(2, 3))
    out.requires_grad = {flag}
    """)
    (told,) = report.diagnostics
    assert (told.name, told.location and told.location.line) == (name, 5)
    assert ("retain_grad" in str(told.helps)) == (flag == "True")
