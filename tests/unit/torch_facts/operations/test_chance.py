"""What draws random numbers: every row against the generator that moves, and against torch's own tag."""

from __future__ import annotations

import pytest
import torch

from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.calling import CALLED, call, calls_of, tensors_of

MASKS = ("attention", "dropout", "rnn", "lstm", "gru", "rrelu", "sdp", "mps", "softmax")
"""Operations that use a draw, and give something else than it."""


def _moves_the_generator(name: str) -> bool:
    for text in calls_of(name):
        call(name, text, seed=3)
        moved = torch.get_rng_state()
        torch.manual_seed(3)
        if not torch.equal(moved, torch.get_rng_state()):
            return True
    return False


@pytest.mark.parametrize("name", [name for name in CALLED if name != "manual_seed"])
def test_what_makes_use_of_a_draw(name: str) -> None:
    assert _moves_the_generator(name) == has(name, "draws", "chance")


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "draws")])
def test_what_is_drawn(name: str) -> None:
    """Other numbers with another seed, and whole ones where the table says so."""
    text = calls_of(name)[0]
    drawn = [call(name, text, seed=seed).results[0].detach().double() for seed in range(12)]
    assert any(not torch.equal(drawn[0], other) for other in drawn)
    assert all(torch.equal(one, one.round()) for one in drawn) == has(name, "draws-whole")


@pytest.mark.parametrize("name", sorted(name for name in CALLED if hasattr(torch.ops.aten, name)))
def test_what_torch_tags_as_seeded_is_so_here(name: str) -> None:
    packet = getattr(torch.ops.aten, name)
    if not isinstance(packet, torch._ops.OpOverloadPacket):
        assert name.startswith("__")
        return
    tags = {tag for each in packet.overloads() for tag in getattr(packet, each).tags}
    assert (torch.Tag.nondeterministic_seeded in tags) <= has(name, "draws", "chance")


def test_a_dirichlet_draws_in_a_function_of_its_own() -> None:
    torch.manual_seed(0)
    made = torch.distributions.Dirichlet(torch.ones(3, requires_grad=True)).rsample()
    assert type(made.grad_fn).__name__ == "_DirichletBackward"
    assert has("_Dirichlet.apply", "draws", "by-rejection")


def test_what_draws_by_rejection_jumps() -> None:
    """Along its own argument a draw at one seed does not move as its gradient says."""
    for name in ("_standard_gamma", "_sample_dirichlet"):
        assert has(name, "by-rejection")
        one, other = (call(name, "f(x)", change=lambda given, by=by: given[0].detach().add_(by)) for by in (0.0, 0.3))
        assert not torch.equal(one.result, other.result)
    assert {one.name for one in OPERATIONS.values() if "by-rejection" in one.words} == {
        "_standard_gamma", "_sample_dirichlet", "_Dirichlet.apply",
    }  # fmt: skip


def test_near_misses() -> None:
    assert not has("dropout", "draws")
    assert has("dropout", "drops")
    assert not has("zeros_like", "draws")
    assert tensors_of(call("rand", "f(4)").result)


def test_the_operations_that_draw_are_those_that_torch_tags() -> None:
    tag = torch.Tag.nondeterministic_seeded
    names = {
        schema.name.removeprefix("aten::") for schema in torch._C._jit_get_all_schemas() if "aten::" in schema.name
    }
    tagged = set()
    for name in names:
        packet = getattr(torch.ops.aten, name, None)
        if packet is not None and any(tag in getattr(packet, each).tags for each in packet.overloads()):
            tagged.add(name.removesuffix("_").removesuffix("_functional"))
    drawing = {name for name in tagged if not any(mask in name for mask in MASKS)}
    known = {one.name for one in OPERATIONS.values() if "draws" in one.words}
    assert drawing - known <= {"_cudnn_init_dropout_state", "_fill_mem_eff_dropout_mask"}
    assert known - tagged == {"_Dirichlet.apply"}
