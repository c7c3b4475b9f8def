"""Gradients that are missing in a program, each beside a program that differs in little and is as it should be."""

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
        path.write_text("import torch\nfrom torch import nn\ntorch.manual_seed(0)\n" + textwrap.dedent(source))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


def said(report: Report) -> list[tuple[str, str]]:
    return [(diagnostic.name, diagnostic.severity) for diagnostic in report.diagnostics]


SKIP = """
    x = torch.randn(3, requires_grad=True)
    y = x.tanh()
    score = ({}).sum()
    score.backward()
    print(x.grad)
"""


@pytest.mark.parametrize(
    "joined", ["y.exp() + y.detach()", "torch.cat([y.exp(), y.data])", "y.exp() + y.detach().view(3)"]
)
def test_a_skip_connection_that_is_cut_is_certainly_missing(explain: Explain, joined: str) -> None:
    report = explain(SKIP.format(joined))
    assert (report.verdict, said(report)) == ("wrong", [("partial-detach", "warning")])


@pytest.mark.parametrize(
    "joined",
    [
        "y + (y.round() - y).detach()",
        "y.exp() - y.detach().amax()",
        "(y.exp() - y.detach()).pow(2)",
        "y.exp() * y.sigmoid().detach()",
        "y.exp() * (y.detach() > 0)",
    ],
    ids=["straight-through", "maximum", "target", "weight", "mask"],
)
def test_what_is_stopped_on_purpose_is_not_told(explain: Explain, joined: str) -> None:
    report = explain(SKIP.format(joined))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_number_on_one_of_the_ways_is_told_and_not_judged(explain: Explain) -> None:
    report = explain(SKIP.format("y.exp() / y.norm().item()"))
    assert (report.verdict, said(report)) == ("connected", [("partial-detach", "info")])


def test_parameters_are_trained_by_all_sorts_of_estimates(explain: Explain) -> None:
    report = explain("""
        net = nn.Linear(3, 3)
        y = net(torch.randn(2, 3))
        (y.exp() + y.detach()).sum().backward()
        print(net.weight.grad)
    """)
    assert (report.verdict, said(report)) == ("connected", [])


FREEZE = """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    for layer in {frozen}:
        layer.requires_grad_(False)
    net(torch.randn(3, 2)).sum().backward()
    for layer in {read}:
        print(layer.weight.grad, layer.bias.grad)
"""


def test_looking_at_all_that_was_frozen_is_a_check(explain: Explain) -> None:
    report = explain(FREEZE.format(frozen="net[:2]", read="net"))
    assert (report.verdict, said(report)) == ("connected", [("not-trainable", "info")])


def test_looking_at_some_of_what_was_frozen_is_a_wish(explain: Explain) -> None:
    report = explain(FREEZE.format(frozen="net[:2]", read="net[1:]"))
    assert (report.verdict, said(report)) == ("broken", [("not-trainable", "warning")])


OPTIMIZER = """
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*body.parameters(), *{more}], 0.1)
    for _ in range(2):
        with torch.no_grad():
            features = body(torch.randn(3, 2))
            {update}
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_an_optimizer_without_any_gradient_is_an_error(explain: Explain) -> None:
    report = explain(OPTIMIZER.format(more="[]", update="pass", loss="head(features).sum()"))
    assert (report.verdict, said(report)) == ("broken", [("no-grad", "error")])


def test_some_parameters_without_one_are_told(explain: Explain) -> None:
    report = explain(OPTIMIZER.format(more="head.parameters()", update="pass", loss="head(features).sum()"))
    assert (report.verdict, said(report)) == ("connected", [("no-grad", "warning")])
    assert report.exit_status(strict=True) == 1


def test_what_the_program_moves_itself_is_not_told(explain: Explain) -> None:
    update = "[p.mul_(0.9) for p in body.parameters()]"
    report = explain(OPTIMIZER.format(more="head.parameters()", update=update, loss="head(features).sum()"))
    assert (report.verdict, said(report)) == ("connected", [])


def test_an_optimizer_of_what_the_score_does_not_use_is_told(explain: Explain) -> None:
    report = explain(OPTIMIZER.format(more="[]", update="pass", loss="head(torch.randn(3, 2)).sum()"))
    assert (report.verdict, said(report)) == ("connected", [("no-gradient-at-step", "warning")])
    assert report.seen[0] == "0 of 2 parameters in `SGD` got a gradient in 2 steps"


def test_what_is_frozen_at_each_step_is_not_told(explain: Explain) -> None:
    freeze = "[p.requires_grad_(False) for p in body.parameters()]"
    report = explain(OPTIMIZER.format(more="head.parameters()", update=freeze, loss="head(features).sum()"))
    assert (report.verdict, said(report)) == ("connected", [])
    assert report.seen == ("both parameters in `SGD` that require grad got a gradient in 2 of 2 steps",)


def test_moving_the_model_between_its_optimizer_and_the_first_step_moves_no_parameter(explain: Explain) -> None:
    loop = OPTIMIZER.replace("    for _", "    body.to('cpu')\n    for _")
    report = explain(loop.format(more="head.parameters()", update="pass", loss="head(features).sum()"))
    assert (report.verdict, said(report)) == ("connected", [("no-grad", "warning")])


def test_gradients_that_are_cleared_before_the_step_are_told(explain: Explain) -> None:
    report = explain("""
        layer = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)
        for _ in range(2):
            layer(torch.randn(3, 2)).sum().backward()
            optimizer.zero_grad()
            optimizer.step()
    """)
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("zeroed-before-step", "warning")
    assert found.location is not None
    assert found.location.line == 9


def test_the_gradients_of_a_closure_are_those_that_it_leaves(explain: Explain) -> None:
    report = explain("""
        layer = nn.Linear(2, 1)
        optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=2)
        def closure():
            optimizer.zero_grad()
            loss = layer(torch.ones(3, 2)).square().sum()
            loss.backward()
            return loss
        optimizer.step(closure)
    """)
    assert (report.verdict, said(report)) == ("connected", [])
    assert report.seen == ("both parameters in `LBFGS` got a gradient in 1 of 1 step",)


@pytest.mark.filterwarnings("ignore")
def test_a_guard_that_only_ever_sees_computed_tensors_is_told(explain: Explain) -> None:
    report = explain("""
        x = torch.randn(3, requires_grad=True).double()
        x.sum().backward()
        if x.grad is None:
            print("none")
    """)
    assert (report.verdict, said(report)) == ("connected", [("non-leaf-grad", "warning")])


@pytest.mark.filterwarnings("ignore")
def test_a_guard_that_also_sees_leaves_has_its_use(explain: Explain) -> None:
    report = explain("""
        x = torch.randn(3, requires_grad=True)
        y = x.double()
        y.sum().backward()
        for t in (x, y):
            if t.grad is not None:
                t.grad.zero_()
    """)
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_join_that_only_the_order_suggests_says_so(explain: Explain) -> None:
    report = explain("""
        import numpy as np
        kept = {}
        net = nn.Linear(3, 1)
        kept.__setitem__("out", net(torch.randn(2, 3)).detach().numpy())
        loss = torch.tensor(np.float32(kept["out"].sum() ** 2), requires_grad=True)
        loss.backward()
        print(net.weight.grad)
    """)
    assert (report.verdict, said(report)) == ("broken", [("numpy-roundtrip", "error")])
    assert any("joined by order of execution, not proven" in note for note in report.diagnostics[0].notes)


def test_a_number_that_is_printed_is_not_taken_for_one_that_came_back(explain: Explain) -> None:
    report = explain("""
        net, unused = nn.Linear(3, 1), nn.Parameter(torch.rand(1))
        print(unused.item())
        target = torch.tensor([[0.25]])
        (net(torch.randn(1, 3)) - target).pow(2).sum().backward()
        print(unused.grad)
    """)
    assert report.verdict == "unused"


def test_parameters_given_as_a_generator_are_seen(explain: Explain) -> None:
    report = explain("""
        a, b = nn.Linear(2, 2), nn.Linear(2, 1)
        score = b(a(torch.randn(3, 2)).detach()).sum()
        print(torch.autograd.grad(score, a.parameters(), allow_unused=True))
    """)
    assert (report.verdict, said(report)) == ("broken", [("detach", "error")])


def test_allow_unused_for_a_list_expects_some_to_get_nothing(explain: Explain) -> None:
    report = explain("""
        a, b = nn.Linear(2, 2), nn.Linear(2, 1)
        score = a(torch.randn(3, 2)).sum()
        print(torch.autograd.grad(score, [*a.parameters(), *b.parameters()], allow_unused=True))
    """)
    assert (report.verdict, said(report)) == ("connected", [])


@pytest.mark.parametrize("read", ["image[i:i + 2]", "image[int(i):]", "image.narrow(0, int(i), 2)"])
def test_what_is_read_at_an_index_depends_on_it(explain: Explain, read: str) -> None:
    report = explain(f"""
        place, scale = nn.Linear(2, 1), nn.Parameter(torch.ones(1))
        image = torch.rand(8)
        i = (place(torch.randn(2)).sigmoid() * 5).long()[0]
        (scale * {read}).sum().backward()
        print(place.weight.grad)
    """)
    assert report.verdict == "broken"
    assert said(report)[0] == ("nondiff-op", "error")


@pytest.mark.parametrize(
    ("order", "name", "help_text"),
    [
        ("y = use(w); score(y); off()", "detach", "remove `.detach()`"),
        ("y = keep(w); off(); score(y)", "not-trainable", "switch it off after the backward"),
        ("off(); y = keep(w); score(y)", "not-trainable", "else call `.requires_grad_()` before the forward"),
    ],
    ids=["after the backward", "between forward and backward", "before the forward"],
)
def test_a_flag_counts_as_it_was_at_the_time(explain: Explain, order: str, name: str, help_text: str) -> None:
    report = explain(
        f"""
        w, v = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        off = lambda: w.requires_grad_(False)
        keep = lambda w: w * 2
        use = lambda w: keep(w).detach()
        score = lambda y: (y * v).sum().backward()
        {order}
        print(w.grad)
        """
    )
    (found,) = report.diagnostics
    assert found.name == name
    assert help_text in found.helps[0].text


@pytest.mark.parametrize("unused", [3, 45])
def test_a_loop_that_looks_at_many_is_gone_through_by_what_is_wrong(explain: Explain, unused: int) -> None:
    report = explain(
        f"""
        layers = [nn.Linear(1, 1, bias=False) for _ in range({unused} + 2)]
        x, total = torch.ones(1, 1), torch.zeros(1, 1, requires_grad=True) * 1
        for number, layer in enumerate(layers):
            out = layer(x)
            if number >= {unused}:
                total = total + out.detach()
        total.sum().backward()
        for layer in layers:
            print(layer.weight.grad)
        """
    )
    assert {one.name for one in report.diagnostics} == {"output-discarded", "detach"}
    assert any("more gradients met" in sentence for sentence in report.undetermined) == (unused > 40)
