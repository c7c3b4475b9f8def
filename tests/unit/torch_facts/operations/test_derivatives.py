"""What has a derivative, and where that is zero: every row against what autograd gives and the slope that is there."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from gradflow.torch_facts.operations.queries import has, has_no_derivative
from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.calling import CALLED, Call, call, calls_of, function_of, tensors_of

OF_NO_HISTORY = {"makes", "detaches", "rewraps", "leaves", "facts", "tells", "from-arrays", "replaces", "by-rejection"}
"""What gives no tensor, or one that is new: that nothing is recorded says nothing about a derivative."""
NONE_ASKED = {
    "asarray": "the sample gives it what has no history", "binomial": "the sample gives it what has no history",
    "requires_grad": "says whether there is one", "share_memory": "given a leaf", "Tensor": "is given a list",
}  # fmt: skip


def _asked(made: Call) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The results that have a history, and what they may be differentiated by."""
    given = [one for one in tensors_of(made.arguments) if one.requires_grad]
    return [one for one in made.results if one.requires_grad], given


def _slopes(made: Call) -> list[torch.Tensor]:
    """What a gradient becomes whose entries differ, for each that was given; nothing where there is no history."""
    results, given = _asked(made)
    results = [one for one in results if not any(one is other for other in given)]
    if not results or not given:
        return []
    seeds = [torch.arange(1, one.numel() + 1).to(one.dtype).reshape(one.shape) for one in results]
    found = torch.autograd.grad(results, given, seeds, allow_unused=True, retain_graph=True)
    return [one.abs() for one in found if one is not None]


WITH_RESULTS = [name for name in CALLED if OPERATIONS[name].words.isdisjoint(OF_NO_HISTORY) and name not in NONE_ASKED]


@pytest.mark.parametrize("name", WITH_RESULTS)
def test_what_records_nothing(name: str) -> None:
    """``grad_fn`` is ``None`` for every result of what has no derivative, and for none else."""
    made = [call(name, text) for text in calls_of(name)]
    is_recorded = any(one.requires_grad for each in made for one in each.results)
    assert is_recorded != has_no_derivative(name)


@pytest.mark.parametrize("name", WITH_RESULTS)
def test_what_gives_positions_besides(name: str) -> None:
    both = [
        each.results
        for each in (call(name, text) for text in calls_of(name))
        if any(one.requires_grad for one in each.results) and any(not one.is_floating_point() for one in each.results)
    ]
    assert bool([one for one in both if not any(each.is_complex() for each in one)]) == has(name, "also-indices") or (
        name in BY_OPTION
    )


BY_OPTION = {"max_pool2d": "only when it is told `return_indices=True`", "native_dropout": "gives the mask as well"}


@pytest.mark.parametrize(
    "name",
    [name for name in WITH_RESULTS if not has(name, "no-formula", "draws-whole") and not has_no_derivative(name)],
)
def test_what_is_flat_everywhere(name: str) -> None:
    """Autograd gives zero, and so do finite differences where the result is no matter of chance."""
    slopes = [_slopes(call(name, text)) for text in calls_of(name)]
    given = [one for each in slopes for one in each]
    assert given or has(name, "itself")
    assert (bool(given) and not any(bool(one.any()) for one in given)) == has(name, "flat")


@pytest.mark.parametrize("name", [name for name in WITH_RESULTS if has(name, "no-formula")])
def test_what_torch_has_no_formula_for(name: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        _slopes(call(name, calls_of(name)[0]))


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "flat") and not has(name, "draws")])
def test_a_staircase_has_no_slope(name: str) -> None:
    text, step = calls_of(name)[0], 1e-6

    def moved(tensors: list[torch.Tensor]) -> None:
        tensors[0].detach().add_(step)

    one, other = call(name, text).result.detach(), call(name, text, change=moved).result.detach()
    assert torch.equal(one, other)


UNARY = [
    name
    for name in CALLED
    if has(name, "pointwise") and calls_of(name)[0] == "f(x)" and not has(name, "sums", "product", "divides")
]
PROBES = [sign * size for size in (1e-2, 0.3, 1.0, 5.0, 10.0, 40.0, 2e3, 1e4) for sign in (-1, 1)]


def _probed(name: str) -> list[tuple[float, float, float]]:
    """Place, value and slope at some places; without those where it is not defined."""
    found = []
    for place in PROBES:
        x = torch.tensor(place, dtype=torch.float64, requires_grad=True)
        made = function_of(name)(x, *(_MORE.get(name, ())))  # type: ignore[operator]
        slope = torch.autograd.grad(made, x)[0] if made.requires_grad else torch.tensor(math.nan)
        if bool(made.isfinite()) and bool(slope.isfinite()):
            found.append((place, float(made.detach()), float(slope)))
    return found


_MORE = {"threshold": (0.0, 0.0), "clamp": (0.0, 1.0), "clamp_min": (0.0,), "clamp_max": (0.0,), "hardtanh": (0.0, 1.0)}
SHAPED = sorted({*UNARY, *(name for name in CALLED if has(name, "rectifies", "clips"))} - {"nan_to_num"})


@pytest.mark.parametrize("name", [name for name in SHAPED if not has(name, "flat")])
def test_where_it_is_flat(name: str) -> None:
    """``saturates``: no slope at more than one place. ``rectifies``, ``clips``: and zero at all places on a side."""
    probed = _probed(name)
    flat = [(place, value) for place, value, slope in probed if slope == 0]
    assert (len(flat) > 1) == has(name, "saturates")
    is_zero = [any(value == 0 for place, value in flat if 3 <= place * sign <= 10) for sign in (-1, 1)]
    near = any(value == 0 for place, value in flat if abs(place) <= 0.3)
    assert (any(is_zero) or (near and len(flat) > 1)) == has(name, "rectifies", "clips")
    if has(name, "rectifies"):
        assert name not in _MORE or name == "threshold"
        assert sorted(is_zero) == [False, True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("softmax", "f(torch.tensor([0.0, 1e3], dtype=D, requires_grad=True), 0)"),
        ("log_softmax", "f(torch.tensor([1e3, 0.0], dtype=D, requires_grad=True), 0)"),
        ("prelu", "f(x - 2, torch.zeros(1, dtype=D))"),
        ("softmin", "f(torch.tensor([0.0, 1e3], dtype=D, requires_grad=True), 0)"),
        ("cross_entropy", "f(torch.tensor([[1e3, 0.0]], dtype=D, requires_grad=True), torch.tensor([0]))"),
        ("glu", "f(torch.tensor([1.0, -1e3], dtype=D, requires_grad=True), 0)"),
        ("logaddexp", "f(torch.tensor(-1e3, dtype=D, requires_grad=True), torch.tensor(1e3, dtype=D))"),
        ("maximum", "f(x, torch.full((3, 4), 9, dtype=D))"),
        ("minimum", "f(x, torch.full((3, 4), -9, dtype=D))"),
        ("fmax", "f(x, torch.full((3, 4), 9, dtype=D))"),
        ("fmin", "f(x, torch.full((3, 4), -9, dtype=D))"),
        ("hinge_embedding_loss", "f(x + 9, torch.full((3, 4), -1, dtype=D))"),
        ("nan_to_num", "f(torch.full((3,), float('nan'), requires_grad=True))"),
        ("grid_sample", "f(c2, torch.full((2, 4, 4, 2), 9.0, dtype=D), align_corners=False)"),
        ("hardshrink", "f(x * 0.1)"),
        ("softshrink", "f(x * 0.1)"),
    ],
)
def test_where_others_are_flat(name: str, text: str) -> None:
    """Of the first entry that comes out."""
    assert has(name, "saturates")
    made = call(name, text)
    (slope,) = torch.autograd.grad(made.results[0].flatten()[0], made.first)
    assert not slope.any()


def test_each_word_for_flat_parts_was_tried() -> None:
    tried = {*SHAPED, *(mark[0] for mark in test_where_others_are_flat.pytestmark[0].args[1])}
    assert {name for name in OPERATIONS if has(name, "saturates", "rectifies", "clips")} <= tried


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "normalises")])
def test_what_normalises(name: str) -> None:
    """The same result once all values are moved by one, or once they are doubled."""

    def changed(by: float, factor: float) -> torch.Tensor:
        def change(tensors: list[torch.Tensor]) -> None:
            tensors[0].detach().mul_(factor).add_(by)

        return call(name, calls_of(name)[0], change=change).results[0].detach()

    plain = changed(0, 1)
    assert any(torch.allclose(plain, other, atol=1e-6) for other in (changed(1, 1), changed(0, 2)))


@pytest.mark.parametrize("name", ["relu", "tanh", "local_response_norm", "sum", "cumsum"])
def test_what_does_not(name: str) -> None:
    assert not has(name, "normalises")


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "multiplies")])
def test_a_factor_of_zero_takes_the_gradient(name: str) -> None:
    if has(name, "drops"):
        x = torch.rand(2, 3, 4, 4, requires_grad=True)
        made = function_of(name)(x[0] if name == "dropout1d" else x, 1.0, True)  # type: ignore[operator]
        made = made[0] if isinstance(made, tuple) else made
        assert not torch.autograd.grad(made.sum(), x)[0].any()
        return
    if name in ("prod", "cumprod"):
        x = torch.tensor([0.0, 0.0, 2.0], requires_grad=True)
        made = function_of(name)(x) if name == "prod" else function_of(name)(x, 0)[-1]  # type: ignore[operator]
        assert not torch.autograd.grad(made, x)[0].any()
        return
    taken = False
    for text in calls_of(name):
        plain = call(name, text)
        floats = [n for n, one in enumerate(tensors_of(plain.arguments)) if one.is_floating_point()]
        for zeroed in floats:
            made = call(name, text, change=lambda given, zeroed=zeroed: given[zeroed].detach().zero_())
            given = tensors_of(made.arguments)
            others = [given[n] for n in floats if n != zeroed and given[n].requires_grad]
            for other in others:
                (slope,) = torch.autograd.grad(
                    made.results[0].sum(), other, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                taken |= not slope.any() and made.results[0].requires_grad
    assert taken


@pytest.mark.parametrize("name", [name for name in CALLED if OPERATIONS[name].adds_at >= 0])
def test_what_is_only_added(name: str) -> None:
    """Moved, it moves the result by the same, whatever the rest is."""
    text, position = calls_of(name)[0], OPERATIONS[name].adds_at
    argument = call(name, text).arguments[position]
    tensors = tensors_of(call(name, text).arguments)
    number = next(n for n, one in enumerate(tensors) if one.shape == argument.shape and one.equal(argument))

    def result(*, other: bool, moves: bool) -> torch.Tensor:
        def change(given: list[torch.Tensor]) -> None:
            for n, one in enumerate(given):
                one.detach().mul_(1.5 if other and n != number else 1.0).add_(0.25 if moves and n == number else 0.0)

        return call(name, text, change=change).results[0].detach()

    one, two = (result(other=o, moves=True) - result(other=o, moves=False) for o in (False, True))
    assert one.any()
    torch.testing.assert_close(one, two)


def test_sums_products_and_quotients() -> None:
    x, y = torch.rand(2, 3, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64) + 1
    for name in CALLED:
        function = function_of(name) if has(name, "sums", "product", "divides", "negates") else None
        if has(name, "sums"):
            assert torch.allclose(function(x + 1, y) - function(x, y), torch.ones_like(x))  # type: ignore[misc]
            assert torch.allclose((function(x, y + 1) - function(x, y)).abs(), torch.ones_like(x))  # type: ignore[misc]
        elif has(name, "product"):
            assert torch.allclose(function(x, y), x * y)  # type: ignore[misc]
        elif has(name, "divides"):
            assert torch.allclose(function(x, 2 * y), function(x, y) / 2)  # type: ignore[misc]
        elif has(name, "negates"):
            assert torch.equal(function(x), 0 - x)  # type: ignore[misc]


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "matrix-product")])
def test_products_of_matrices_are_linear_in_each(name: str) -> None:
    text, first = calls_of(name)[0], 1 if OPERATIONS[name].adds_at == 0 else 0

    def result(one: float, other: float) -> torch.Tensor:
        def change(given: list[torch.Tensor]) -> None:
            for n, tensor in enumerate(given):
                is_bias = (n == 0 and first == 1) or (name == "bilinear" and n == 3)
                tensor.detach().mul_(0.0 if is_bias else one if n == first else other if n == first + 1 else 1.0)

        return call(name, text, change=change).results[0].detach()

    assert torch.allclose(result(3, 1), 3 * result(1, 1))
    assert torch.allclose(result(1, 3), 3 * result(1, 1))


def _is_entry_by_entry(name: str) -> bool:
    """Whether moving one entry of the first argument moves no other entry of the result."""
    text = next(each for each in calls_of(name) if not each.startswith("m("))

    def moved(given: list[torch.Tensor]) -> None:
        floats = [one for one in given if one.is_floating_point() and one.numel() > 1]
        floats[0].detach().flatten()[:1].add_(0.01) if floats else given[0].flatten()[:1].add_(1)

    one, other = (call(name, text, change=change).results[0].detach() for change in (None, moved))
    if one.shape != other.shape:
        return False
    first = call(name, text).first
    differs = (one != other).flatten()
    return first is not None and one.shape == first.shape and not bool(differs[1:].any())


POINTWISE = [name for name in CALLED if has(name, "pointwise")]


@pytest.mark.parametrize("name", POINTWISE)
def test_what_works_entry_by_entry(name: str) -> None:
    assert _is_entry_by_entry(name)


@pytest.mark.parametrize("name", ["softmax", "cumsum", "sum", "matmul", "layer_norm", "flip", "glu", "sort"])
def test_what_does_not_work_entry_by_entry(name: str) -> None:
    assert not has(name, "pointwise")
    assert not _is_entry_by_entry(name)


def _tagged(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    overloads = packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else ()
    return any(torch.Tag.pointwise in getattr(packet, each).tags for each in overloads)


OTHER_WORDS = {"same", "replaces", "draws", "makes", "compares", "judges", "whole", "drops", "writes-nothing", "itself"}


@pytest.mark.parametrize("name", CALLED)
def test_what_torch_tags_as_pointwise_is_so_here(name: str) -> None:
    if _tagged(name):
        assert has(name, "pointwise", *OTHER_WORDS) or name in TAGGED_BY_TORCH


TAGGED_BY_TORCH = {
    "max": "of two tensors, which is `maximum`",
    "min": "of two tensors, which is `minimum`",
    "equal": "and yet gives one truth about all",
}


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "reduces")])
def test_what_reduces(name: str) -> None:
    """Told nothing else, it gives one number; and of no entries at all just where ``of-nothing`` says so."""
    made = call(name, calls_of(name)[0])
    assert all(one.dim() == 0 for one in made.results)
    function = function_of(name)
    empty = torch.empty((0, 0) if name == "linalg_matrix_norm" else 0, dtype=torch.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = function(empty, *made.arguments[1:])
        is_defined = all(bool(one.isfinite().all()) for one in tensors_of(value))
    except (RuntimeError, IndexError):
        is_defined = False
    assert is_defined == has(name, "of-nothing")


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "extreme")])
def test_what_is_extreme(name: str) -> None:
    """Of entries that are far apart, one at either end."""
    entries = torch.tensor([-1e4, 0.0, 2e4], dtype=torch.float64)
    function = function_of(name)
    made = function(entries, 0) if name == "logsumexp" else function(entries)
    assert all(float(one) in (-1e4, 2e4) for one in tensors_of(made if isinstance(made, torch.Tensor) else tuple(made)))


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "scales", "divides")])
def test_what_makes_a_gradient_smaller(name: str) -> None:
    def smaller(given: list[torch.Tensor]) -> None:
        given[0].detach().mul_(1e-3)
        if has(name, "divides"):
            given[1].detach().add_(9)

    made = call(name, calls_of(name)[-1 if name != "pow" else 0], change=smaller)
    result = made.results[0].flatten()[0]
    slope = torch.autograd.grad(result, next(one for one in tensors_of(made.arguments) if one.requires_grad))[0]
    assert 0 < float(slope.abs().amax()) < 0.5
