"""Closely or lightly, a backward pass is seen alike; and the graph is left as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from gradflow.record.program import backward_notes  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.recording.program.events import Backward  # noqa: E402
from gradflow.recording.program.recording import ProgramRecording  # noqa: E402


def watched(function) -> ProgramRecording:  # type: ignore[no-untyped-def]
    watch = Watch()
    with watch.watching():
        function()
    return watch.seen()


def dead_relu() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    with torch.no_grad():
        first.bias.fill_(-100.0)
    second(torch.relu(first(torch.rand(2, 3)))).square().sum().backward()


def zero_gate() -> None:
    torch.manual_seed(0)
    layer, gate = nn.Linear(3, 3), torch.zeros(3, requires_grad=True)
    (gate * layer(torch.rand(2, 3)).tanh()).exp().sum().backward()


def nan_at_sqrt() -> None:
    layer = nn.Linear(3, 3)
    layer(torch.zeros(1, 3)).sub(layer.bias).square().sum().sqrt().backward()


@pytest.mark.parametrize("program", [dead_relu, zero_gate, nan_at_sqrt])
def test_the_light_notes_tell_what_the_close_ones_tell(program, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    close = watched(program).backwards[0]
    monkeypatch.setattr(backward_notes, "CLOSELY", 0)
    light = watched(program).backwards[0]
    assert sorted(light.arrived.values()) == sorted(close.arrived.values())
    assert _ends(light) == _ends(close)
    assert _birth(light) == _birth(close)
    assert _ends(light) or _birth(light)


def _ends(backward: Backward) -> list[tuple[str, float | None]]:
    return [(flow.name, flow.facts.factor) for flow in backward.flows if flow.is_end and flow.incoming_finite]


def _birth(backward: Backward) -> str:
    return next((flow.name for flow in backward.flows if flow.incoming_finite and not flow.outgoing_finite), "")


def test_what_a_loop_loses_in_every_turn_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backward_notes, "CLOSELY", 1)

    def program() -> None:
        layer = nn.Linear(3, 3)
        for _ in range(6):
            layer(torch.rand(2, 3)).round().sum().backward()

    backwards = watched(program).backwards
    assert all(backward.flows for backward in backwards)
    assert all(backward.flows is backwards[0].flows for backward in backwards[1:])


def test_nothing_is_recorded_of_the_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backward_notes, "CLOSELY", 1)

    def program(turns: int) -> None:
        layer = nn.Linear(3, 3)
        for _ in range(turns):
            layer(torch.rand(2, 3)).sum().backward(create_graph=False)

    counts = [len(watched(lambda turns=turns: program(turns)).recording) for turns in (1, 2, 3)]
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_no_graph_is_kept_alive() -> None:
    class Marker:
        pass

    reference = None

    def program() -> None:
        nonlocal reference
        loss = nn.Linear(3, 3)(torch.rand(2, 3)).square().sum()
        marker = Marker()
        loss.grad_fn.metadata["marker"] = marker
        reference = weakref.ref(marker)
        loss.backward()

    watch = Watch()
    with watch.watching():
        program()
        gc.collect()
        assert reference is not None
        assert reference() is None


@pytest.mark.parametrize("closely", [0, 100])
def test_checkpoints_unpack_as_if_nobody_had_looked(closely: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backward_notes, "CLOSELY", closely)
    runs = []

    def program() -> None:
        layer = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        layer.register_forward_pre_hook(lambda *_: runs.append(1))
        for scale in (1.0, 0.0):
            out = checkpoint(layer, torch.rand(2, 3), use_reentrant=False)
            (out.sqrt() * scale).sum().backward()

    program()
    plain = len(runs)
    watched(program)
    assert len(runs) == 2 * plain


def chain() -> None:
    first, second = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    y = first
    for _ in range(10):
        y = y * 2
    (y * second).sum().backward()


def test_of_a_graph_too_deep_no_node_is_touched_and_its_leaves_tell_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    near = watched(chain).backwards[0]
    monkeypatch.setattr(backward_notes, "node_limit", lambda: 9)
    monkeypatch.setattr(backward_notes, "walk_from", lambda *_, **__: pytest.fail("touched"))
    far = watched(chain).backwards[0]
    assert far.arrived == near.arrived
    assert sorted(largest for largest, _ in far.arrived.values()) == [0.0, 1024.0]
    assert far.flows == ()
    assert "more than 9 nodes deep" in far.unseen


def test_a_wide_graph_is_looked_into_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        leaves = [torch.zeros(3, requires_grad=True) for _ in range(30)]
        torch.stack([leaf * 2 for leaf in leaves]).sum().sqrt().backward()

    monkeypatch.setattr(backward_notes, "node_limit", lambda: 9)
    backward = watched(program).backwards[0]
    assert len(backward.arrived) == 30
    assert backward.flows
    assert not backward.unseen


def test_a_graph_that_nobody_saw_being_made_is_walked_as_far_as_the_stack_bears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leaf = torch.ones(3, requires_grad=True)
    made_before = leaf
    for _ in range(20):
        made_before = made_before * 2
    monkeypatch.setattr(backward_notes, "node_limit", lambda: 9)
    backward = watched(lambda: made_before.sum().backward()).backwards[0]
    assert "more than 9 nodes" in backward.unseen
    assert "deep" not in backward.unseen.partition(",")[0]


def test_what_is_asked_for_is_found_in_a_deep_graph_and_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backward_notes, "node_limit", lambda: 9)

    def program() -> None:
        used, beside = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        y = used
        for _ in range(10):
            y = y * 2
        torch.autograd.grad(y.sum(), [used, beside], materialize_grads=True, allow_unused=True)

    backward = watched(program).backwards[0]
    assert backward.in_graph == {backward.inputs[0]}
    assert [one.arrived for one in backward.results] == [True, False]
