"""Where the entries of the first argument go, and whose values count: every row against what torch hands on."""

from __future__ import annotations

import pytest
import torch

from gradflow.torch_facts.operations.queries import positions_read
from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.calling import CALLED, Call, call, calls_of, tensors_of

WORDS = ("same", "reshapes", "permutes", "moves", "repeats", "selects", "picks", "splits", "places")

BESIDES = {"drops", "draws", "facts", "leaves", "makes", "from-arrays", "tells"}
"""What gives no tensor, or one whose entries are a matter of chance or of no value: there is nothing to compare."""

UNLIKE = {
    "interpolate": "takes the nearest entry by default, and mixes them in its other modes",
    "upsample": "the same",
    "upsample_nearest": "hands each entry on several times, into a larger map",
    "max_unpool1d": "puts the entries between zeros, into a larger map",
    "max_unpool2d": "the same",
    "max_unpool3d": "the same",
    "fold": "its patches need not lie side by side, as they do here",
    "grid_sample": "looks between the entries, or at one as here",
    "nan_to_num": "changes nothing but NaN and infinities",
    "maximum": "the entries of two, by their values",
    "minimum": "the same",
    "fmax": "the same",
    "fmin": "the same",
    "cummax": "the largest so far, and so several times the same",
    "cummin": "the same",
    "embedding": "its first argument are positions; it hands on rows of the second",
    "unique": "sorts the entries as well, and records nothing of it",
    "binary_cross_entropy": "takes probabilities alone",
    "imag": "the parts of complex entries",
    "cfloat": "gives complex entries",
    "cdouble": "the same",
    "chalf": "the same",
    "new_tensor": "of its second argument",
    "Tensor": "is given a list",
    "_make_subclass": "its first argument is a class",
    "fmod": "changes nothing that is smaller than the divisor",
    "remainder": "the same",
    "frac": "changes nothing below one",
    "hardtanh": "changes nothing between its bounds",
    "histogramdd": "counts, into which entries come as edges",
}


def _signed(tensors: list[torch.Tensor]) -> None:
    """Every other entry below zero: else ``abs`` and ``relu`` would hand on what they are given."""
    _times(tensors, lambda tensor: 1 - 2 * (torch.arange(tensor.numel(), dtype=tensor.dtype).reshape(tensor.shape) % 2))


def _times(tensors: list[torch.Tensor], factor: object) -> None:
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel() > 1 and tensor._base is None:
            with torch.no_grad():
                tensor.detach().mul_(factor(tensor))  # type: ignore[operator]


def _turned(tensors: list[torch.Tensor]) -> None:
    _signed(tensors)
    _times(tensors, lambda _: -1)


def _numbers(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [one.detach() for one in tensors if one.is_floating_point() or one.is_complex()]


def _is_in(entries: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Which entries are among others, but for what a dtype of less precision rounds away."""
    close = 1e-2 if {entries.dtype, others.dtype} & {torch.half, torch.bfloat16} else 1e-6
    return (entries.flatten().double()[:, None] - others.flatten().double()[None]).abs().amin(1) < close


def found_in(name: str, text: str) -> set[str]:
    """What one call does with the entries of the first tensor that it is given."""
    made = call(name, text, change=_signed)
    given, results = _numbers(tensors_of(made.arguments)), _numbers(made.results)
    if not given or given[0].is_complex() or any(one.is_complex() for one in results):
        return set()
    found = {_of_one(name, text, given[0], result, place) for place, result in enumerate(results)} - {""}
    return found | ({"splits"} if len(results) > 1 and found == {"selects"} else set())


def _of_one(name: str, text: str, first: torch.Tensor, result: torch.Tensor, place: int) -> str:
    if not result.numel() or not first.numel():
        return ""
    is_of_first, goes_on = bool(_is_in(result, first).all()), bool(_is_in(first, result).all())
    close = 1e-2 if result.dtype in (torch.half, torch.bfloat16) else 1e-6
    in_order = result.numel() == first.numel() and torch.allclose(
        result.flatten().double(), first.flatten().double(), rtol=close, atol=close
    )
    if in_order:
        return "same" if result.shape == first.shape else "reshapes"
    if is_of_first and goes_on and result.numel() == first.numel():
        is_turned = first.dim() == 2 and result.shape == first.T.shape and torch.equal(result, first.T)
        return "permutes" if is_turned else "moves"
    if is_of_first and goes_on:
        return "repeats"
    if is_of_first:
        return "picks" if _depends_on_values(name, text, place) else "selects"
    return "places" if goes_on and result.numel() > first.numel() else ""


def _depends_on_values(name: str, text: str, place: int) -> bool:
    """Whether other entries are handed on once all have the other sign."""
    one, other = (_numbers(call(name, text, change=change).results)[place] for change in (_signed, _turned))
    return one.shape != other.shape or not torch.allclose(one, -other)


@pytest.mark.parametrize(
    "name", [name for name in CALLED if name not in UNLIKE and OPERATIONS[name].words.isdisjoint(BESIDES)]
)
def test_where_the_entries_go(name: str) -> None:
    words = OPERATIONS[name].words & set(WORDS)
    found = set[str]().union(*(found_in(name, text) for text in calls_of(name)))
    assert words <= found
    # a call may change nothing by chance of what it is told: `reshape` to the same shape
    assert found <= words | ({"same"} if "reshapes" in words else set())


CONSTANTS = (0.0, 0.5)
"""What the samples put in the place of others."""


@pytest.mark.parametrize("name", [name for name in CALLED if "replaces" in OPERATIONS[name].words])
def test_what_is_replaced(name: str) -> None:
    """Each entry is one that was given, at its place, or another that was given; and one of the first is gone."""
    kept = list[torch.Tensor]()
    made = call(name, calls_of(name)[0], change=lambda given: kept.extend(one.clone() for one in _numbers(given)))
    result = made.result if isinstance(made.result, torch.Tensor) else made.arguments[0]
    assert result.shape == kept[0].shape
    others = torch.cat([*(one.flatten() for one in kept[1:]), torch.tensor(CONSTANTS, dtype=torch.float64)])
    is_left = result.detach() == kept[0]
    assert not is_left.all()
    assert bool(_is_in(result.detach()[~is_left], others).all())


def _moved(position: int) -> object:
    def move(tensors: list[torch.Tensor]) -> None:
        if position < len(tensors) and tensors[position].is_floating_point():
            with torch.no_grad():
                tensors[position].detach().add_(0.01)

    return move


def _reads(name: str, text: str, position: int) -> bool:
    """Whether the result moves with the argument at a position."""
    plain = call(name, text)
    tensors = tensors_of(plain.arguments)
    argument = plain.arguments[position]
    if not isinstance(argument, torch.Tensor) or not argument.is_floating_point():
        return False
    number = next(n for n, one in enumerate(tensors) if one is argument)
    other = call(name, text, change=_moved(number))  # type: ignore[arg-type]

    def comparable(made: Call) -> object:
        return [one.detach().tolist() for one in made.results] or repr(made.result)

    return comparable(plain) != comparable(other)


@pytest.mark.parametrize(
    "name", [name for name in CALLED if positions_read(name) is not None and "blank" not in OPERATIONS[name].words]
)
def test_only_the_values_of_some_arguments_count(name: str) -> None:
    reads = positions_read(name)
    assert reads is not None
    for text in calls_of(name):
        for position in range(len(call(name, text).arguments)):
            if position not in reads:
                assert not _reads(name, text, position)


def test_the_measure_tells_them_apart() -> None:
    assert _reads("add", "f(x, y)", 1)
    assert not _reads("expand_as", "f(x[:1], y)", 1)
    assert found_in("topk", "f(x, 1)") == {"picks"}
    assert found_in("select", "f(x, 0, 1)") == {"selects"}
    assert found_in("exp", "f(x)") == set()
