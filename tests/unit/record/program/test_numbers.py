"""Numbers that come back are recognised when nobody would have written them by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.numbers import Numbers  # noqa: E402

TELLING = 0.7315926


def test_a_number_is_recognised_as_an_entry_and_as_an_argument() -> None:
    numbers = Numbers()
    numbers.leave(3, TELLING)
    numbers.enter(8, torch.tensor([1.0, TELLING], dtype=torch.float64))
    numbers.use(9, (2.0, TELLING))
    assert numbers.returned == {8: (3,), 9: (3,)}


def test_each_entry_may_have_left_at_another_place() -> None:
    numbers = Numbers()
    for row in range(3):
        numbers.leave(row, [TELLING + row])
    numbers.enter(7, torch.tensor([TELLING, TELLING + 2], dtype=torch.float64))
    assert numbers.returned == {7: (0, 2)}


def test_what_leaves_as_float32_comes_back_as_float32() -> None:
    numbers = Numbers()
    tensor = torch.tensor([TELLING])
    numbers.leave(0, tensor.numpy())
    numbers.enter(1, torch.tensor(tensor.tolist()))
    assert numbers.returned == {1: (0,)}


@pytest.mark.parametrize("number", [0.0, 1.0, 0.5, 1.5, 0.001, 0.1, float("nan"), float("inf"), -3.25])
def test_a_number_that_anybody_writes_tells_nothing(number: float) -> None:
    numbers = Numbers()
    numbers.leave(0, number)
    numbers.use(1, (number,))
    assert numbers.returned == {}


def test_a_tensor_that_nobody_made_comes_back_where_it_is_first_read() -> None:
    numbers = Numbers()
    numbers.leave(3, TELLING)
    for value in (20, 21, 22):
        numbers.meet(value, torch.tensor([TELLING], dtype=torch.float64))
    # 21 is read by nothing, and 22 is a gradient, which autograd has made
    assert numbers.all_returned(lambda: {20: [8, 9], 22: [10]}, {22}) == {8: (3,)}


def test_tensors_without_numbers_are_left_alone() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    numbers = Numbers()
    numbers.leave(0, TELLING)
    numbers.enter(1, torch.ones(3, device="meta"))
    with FakeTensorMode():
        numbers.enter(2, torch.full((3,), TELLING))
        numbers.enter(3, torch.nn.Parameter(torch.ones(3)))
    assert numbers.returned == {}
