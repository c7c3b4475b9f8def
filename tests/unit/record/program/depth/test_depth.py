"""How deep a graph is, told from the record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.depth.history import UNKNOWN, History  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402


def history_of(program: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[History, list[int]]:
    watch = Watch()
    with watch.watching():
        made = program()
    return History(watch.recorder), [watch.recorder.known_value(tensor) for tensor in made]


def chained(start: torch.Tensor, turns: int) -> torch.Tensor:
    for _ in range(turns):
        start = start * 2
    return start


def nodes_in_a_row(tensor: torch.Tensor) -> int:
    """Autograd's own count, without the node of the leaf."""
    count, node = 0, tensor.grad_fn
    while node is not None and not node.name().endswith("AccumulateGrad"):
        count, node = count + 1, node.next_functions[0][0]
    return count


@pytest.mark.parametrize("turns", [1, 7])
def test_a_chain_is_as_deep_as_autograd_says(turns: int) -> None:
    leaf = torch.ones(2, requires_grad=True)

    def program() -> tuple[torch.Tensor, ...]:
        plain = chained(leaf, turns)
        written = chained(leaf, turns).exp_()
        rows = chained(leaf, turns).clone()
        rows[0].mul_(2)
        return plain, written, torch.nn.functional.cross_entropy(rows, torch.tensor(1))

    history, values = history_of(program)
    made = program()
    depths = [history.depth_of([value]) for value in values]
    assert depths[:2] == [nodes_in_a_row(tensor) for tensor in made[:2]] == [turns, turns + 1]
    assert depths[2] >= turns + 3


def test_what_is_cut_off_begins_anew() -> None:
    leaf = torch.ones(2, requires_grad=True)

    def program() -> tuple[torch.Tensor, ...]:
        state = leaf
        for _ in range(5):
            state = chained(state.detach().requires_grad_(), 3)
        with torch.no_grad():
            unrecorded = chained(leaf, 9)
        return state, chained(unrecorded * leaf, 1)

    history, values = history_of(program)
    assert [history.depth_of([value]) for value in values] == [3, 2]


def test_breadth_is_no_depth() -> None:
    leaves = [torch.ones(2, requires_grad=True) for _ in range(20)]
    history, values = history_of(lambda: (torch.stack([chained(leaf, 2) for leaf in leaves]).sum(),))
    assert history.depth_of(values) == 4
    assert len(history.leaves_among(history.behind(values))) == 20


def test_what_nobody_saw_being_made_may_be_of_any_depth() -> None:
    before = chained(torch.ones(2, requires_grad=True), 2)
    history, values = history_of(lambda: (chained(before, 1), chained(torch.ones(2, requires_grad=True), 1)))
    assert history.depth_of(values[:1]) >= UNKNOWN
    assert history.depth_of(values[1:]) == 1


def test_gradients_of_gradients_may_be_of_any_depth() -> None:
    def program() -> tuple[torch.Tensor, ...]:
        leaf = torch.ones(2, requires_grad=True)
        (gradient,) = torch.autograd.grad((leaf**3).sum(), leaf, create_graph=True)
        return (gradient * 2,)

    history, values = history_of(program)
    assert history.depth_of(values) >= UNKNOWN
