"""Contracts: torch still says what gradflow knows its refusals by. A release that says it otherwise fails here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradflow.torch_facts.messages import of_backward, of_python, refusals, surroundings
from gradflow.torch_facts.messages.message import Message


class TooFew(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient


class TooMany(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient[:1].expand(3)


def leaf() -> torch.Tensor:
    return torch.ones(2, requires_grad=True)


def computed() -> torch.Tensor:
    return leaf() * 2


def inferred() -> torch.Tensor:
    with torch.inference_mode():
        return torch.ones(2)


def twice() -> None:
    score = leaf().square().sum()
    score.backward()
    score.backward()


def saved_after_it_was_freed() -> Any:
    squares = leaf().square()
    squares.sum().backward()
    assert squares.grad_fn is not None
    return squares.grad_fn._saved_self  # type: ignore[attr-defined]


def written_before_backward() -> None:
    made = leaf().exp()
    made.add_(1)
    made.sum().backward()


def saved_after_it_was_written() -> Any:
    made = leaf().exp()
    node = made.grad_fn
    made.add_(1)
    return node._saved_result  # type: ignore[union-attr]


def part_of_a_split() -> None:
    computed().split(1)[0].add_(1)


def hooked_output() -> None:
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda *_: None)
    nn.ReLU(inplace=True)(layer(torch.ones(1, 2)))


def reentrant() -> None:
    x = leaf()
    torch.autograd.grad(checkpoint(torch.exp, x, use_reentrant=True).sum(), x)


def stopped_by_anomaly_mode() -> None:
    with (
        pytest.warns(UserWarning, match=r"Anomaly Detection has been enabled|Error detected in SqrtBackward0"),
        torch.autograd.detect_anomaly(check_nan=True),
    ):
        ((leaf() - 1).sqrt() * 0).sum().backward()


def without_a_formula() -> None:
    torch.igamma(leaf(), leaf()).sum().backward()


BACKWARD: list[tuple[Message, Callable[[], object]]] = [
    (of_backward.NO_HISTORY, lambda: torch.ones(2).sum().backward()),
    (of_backward.ASKED_OF_A_PLAIN_TENSOR, lambda: torch.autograd.grad(computed().sum(), torch.ones(2))),
    (of_backward.NOT_IN_THE_GRAPH, lambda: torch.autograd.grad(computed().sum(), leaf())),
    (of_backward.GRAPH_FREED, twice),
    (of_backward.GRAPH_FREED, saved_after_it_was_freed),
    (of_backward.CHANGED_IN_PLACE, written_before_backward),
    (of_backward.CHANGED_IN_PLACE, saved_after_it_was_written),
    (of_backward.NO_SCALAR, lambda: computed().backward()),
    (of_backward.NOT_IMPLEMENTED, without_a_formula),
    (of_backward.ANOMALY, stopped_by_anomaly_mode),
    (of_backward.CHECKPOINT_INCOMPATIBLE, reentrant),
]
REFUSED: list[tuple[Message, Callable[[], object]]] = [
    (refusals.LEAF_WRITTEN_TO, lambda: leaf().add_(1)),
    (refusals.LEAF_WRITTEN_TO, lambda: leaf()[0].add_(1)),
    (refusals.VIEW_OF_LEAF_WRITTEN_TO, lambda: leaf()[0].add_(1)),
    (refusals.VIEW_WRITTEN_TO, part_of_a_split),
    (refusals.VIEW_WRITTEN_TO, hooked_output),
    (refusals.HOOKED_OUTPUT_WRITTEN_TO, hooked_output),
    (refusals.FLAG_OF_A_COMPUTED_TENSOR, lambda: setattr(computed(), "requires_grad", True)),
    (refusals.FLAG_OF_A_COMPUTED_TENSOR, lambda: computed().requires_grad_(requires_grad=False)),
    (refusals.FLAG_SWITCHED_OFF, lambda: computed().requires_grad_(requires_grad=False)),
    (refusals.WHOLE_NUMBERS, lambda: torch.ones(2, dtype=torch.long).requires_grad_()),
    (refusals.WHOLE_NUMBERS, lambda: torch.ones(2, dtype=torch.long, requires_grad=True)),
    (refusals.WHOLE_NUMBERS, lambda: setattr(torch.ones(2, dtype=torch.long), "requires_grad", True)),
    (refusals.WHOLE_NUMBERS, lambda: nn.Parameter(torch.ones(2, dtype=torch.long))),
    (refusals.NUMPY_OF_HISTORY, lambda: computed().numpy()),
    (refusals.INFERENCE_TENSOR_SAVED, lambda: inferred() * leaf()),
    (refusals.INFERENCE_TENSOR_WRITTEN_TO, lambda: inferred().add_(1)),
    (refusals.INFERENCE_TENSOR_FLAGGED, lambda: inferred().requires_grad_()),
    (refusals.HOOK_WITHOUT_HISTORY, lambda: torch.ones(2).register_hook(print)),
    (refusals.RETAIN_WITHOUT_HISTORY, lambda: torch.ones(2).retain_grad()),
    (refusals.NON_LEAF_OPTIMIZED, lambda: torch.optim.SGD([computed()], lr=1.0)),
    (of_python.NO_BACKWARD, lambda: getattr(1.0, "backward")),  # noqa: B009
    (of_python.IS_NONE, lambda: getattr(leaf().grad, "norm")),  # noqa: B009
]


def said_by(refused: Callable[[], object]) -> str:
    with pytest.raises((RuntimeError, ValueError, AttributeError)) as caught:
        refused()
    return str(caught.value)


@pytest.mark.parametrize(("message", "refused"), [*BACKWARD, *REFUSED])
def test_torch_says_so(message: Message, refused: Callable[[], object]) -> None:
    said = said_by(refused)
    assert message.is_in(said), said


def test_no_other_message_of_torch_is_taken_for_one() -> None:
    unlike = {
        of_backward.NO_HISTORY,
        of_backward.NOT_IN_THE_GRAPH,
        of_backward.GRAPH_FREED,
        of_backward.CHANGED_IN_PLACE,
    }
    for message, refused in BACKWARD:
        assert [one for one in unlike if one.is_in(said_by(refused))] == [message] * (message in unlike)
    assert not refusals.VIEW_OF_LEAF_WRITTEN_TO.is_in(said_by(lambda: leaf().add_(1)))
    assert not refusals.HOOKED_OUTPUT_WRITTEN_TO.is_in(said_by(part_of_a_split))
    assert not refusals.FLAG_SWITCHED_OFF.is_in(said_by(lambda: setattr(computed(), "requires_grad", True)))


@pytest.mark.parametrize(
    ("refused", "name"),
    [
        (lambda: TooFew.apply(leaf(), leaf()).sum().backward(), "TooFew"),
        (lambda: TooMany.apply(leaf()).sum().backward(), "TooMany"),
        (twice, None),
    ],
)
def test_the_function_that_returned_is_read_from_the_message(refused: Callable[[], object], name: str | None) -> None:
    assert of_backward.function_that_returned(said_by(refused)) == name


def test_which_of_several_tensors_is_meant_is_read_from_the_message() -> None:
    x = leaf()
    assert of_backward.at_index(said_by(lambda: torch.autograd.grad(x.sum(), [x, leaf()]))) in (1, None)
    assert of_backward.at_index(said_by(twice)) is None


def test_every_kind_of_checkpoint_says_what_it_is() -> None:
    draws = iter([True, False])

    def other_the_second_time(x: torch.Tensor) -> torch.Tensor:
        return x.exp().sin() if next(draws) else x.sin()

    def not_the_same() -> None:
        checkpoint(other_the_second_time, leaf(), use_reentrant=False).sum().backward()

    assert of_backward.speaks_of_checkpoints(said_by(reentrant))
    assert of_backward.speaks_of_checkpoints(said_by(not_the_same))
    assert not of_backward.speaks_of_checkpoints(said_by(twice))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: nn.Linear(2, 2)(torch.ones(1, 2, dtype=torch.float64)),
        lambda: nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2, dtype=torch.float64)),
        lambda: nn.LSTM(2, 2)(torch.ones(1, 1, 2, dtype=torch.float64)),
        lambda: torch.ones(2) @ torch.ones(2, dtype=torch.float64),
        lambda: nn.Linear(2, 2)(torch.ones(1, 2, device="meta")),
    ],
)
def test_other_types_and_other_devices_are_told(refused: Callable[[], object]) -> None:
    assert surroundings.is_of_types_or_devices(said_by(refused))
    assert not surroundings.is_of_types_or_devices(said_by(lambda: nn.Linear(2, 2)(torch.ones(1, 3))))


def test_no_room_is_told() -> None:
    assert surroundings.is_out_of_memory(said_by(lambda: torch.empty(2**60, dtype=torch.uint8)))
    assert not surroundings.is_out_of_memory(said_by(twice))


@pytest.mark.skipif(not torch.distributed.is_available(), reason="built without")
def test_an_unfinished_reduction_is_told() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(Half())

        def two_steps() -> None:
            for _ in range(2):
                model(torch.ones(1, 2)).sum().backward()

        assert surroundings.REDUCTION_UNFINISHED.is_in(said_by(two_steps))
    finally:
        torch.distributed.destroy_process_group()
