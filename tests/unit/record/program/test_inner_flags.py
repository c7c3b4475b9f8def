"""A flag that is switched inside a custom Function, where operations are not recorded, is noted all the same."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.watching import Watch  # noqa: E402

METHOD, SETTER = (lambda leaf: leaf.requires_grad_(False)), (lambda leaf: setattr(leaf, "requires_grad", False))


def switches_inside(inside):
    """The switches that are noted where ``inside`` is called within a Function with a leaf that was read before."""

    class Inner(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            inside(leaf)
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    watch = Watch()
    with watch.watching():
        leaf = torch.ones(3, requires_grad=True)
        before = leaf * 3
        Inner.apply(torch.ones(3, requires_grad=True)).sum().backward()
        del before
        after = leaf * 2
        assert not after.requires_grad or leaf.requires_grad
    return watch, [(change.was, change.on) for change in watch.log.flags]


@pytest.mark.parametrize("inside", [METHOD, SETTER], ids=["method", "setter"])
def test_a_switch_inside_a_function_is_noted(inside):
    watch, switches = switches_inside(inside)
    assert switches == [(True, False)]
    assert not watch.log.switched_unseen


def test_what_a_function_makes_for_itself_is_none_of_the_programs_leaves():
    def inside(leaf):
        torch.ones(3).requires_grad_(True)

    watch, switches = switches_inside(inside)
    assert switches == []
    assert not watch.log.switched_unseen


def test_a_flag_that_stays_is_no_switch():
    watch, switches = switches_inside(lambda leaf: leaf.requires_grad_(True))
    assert switches == []
    assert not watch.log.switched_unseen
