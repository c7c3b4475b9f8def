"""Contracts: the nodes of autograd do what the lists of them say, and keep what is read of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gradflow.torch_facts import nodes
from gradflow.torch_facts.domains import leaves_its_domain
from gradflow.torch_facts.node_kind import kind_of

_Made = tuple[torch.Tensor, ...]


def drawn(*shape: int) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) * 0.5 + 0.2).requires_grad_()


def matrices(count: int, *batch: int) -> _Made:
    return tuple(drawn(*batch, 3, 3) + number for number in range(count))


CALLS: dict[str, tuple[Callable[..., Any], _Made]] = {
    "Mul": (torch.mul, matrices(2)),
    "Div": (torch.div, matrices(2)),
    "Mm": (torch.mm, matrices(2)),
    "Bmm": (torch.bmm, matrices(2, 2)),
    "Addmm": (torch.addmm, matrices(3)),
    "Baddbmm": (torch.baddbmm, matrices(3, 2)),
    "Mv": (torch.mv, (drawn(3, 3), drawn(3))),
    "Dot": (torch.dot, (drawn(3), drawn(3) + 1)),
    "Convolution": (functional.conv2d, (drawn(1, 1, 3, 3), drawn(1, 1, 1, 1), drawn(1))),
    "NativeLayerNorm": (lambda x, w: functional.layer_norm(x, (3,), w), (drawn(2, 3), drawn(3))),
    "NativeBatchNorm": (lambda x, w: functional.batch_norm(x, None, None, w, training=True), (drawn(4, 3), drawn(3))),
    "NativeGroupNorm": (lambda x, w: functional.group_norm(x, 1, w), (drawn(2, 3), drawn(3))),
    "Add": (torch.add, matrices(2)),
    "Sub": (torch.sub, matrices(2)),
    "Rsub": (torch.rsub, matrices(2)),
    "Expand": (lambda x: x.expand(4, 3, 3), matrices(1)),
    "Repeat": (lambda x: x.repeat(2, 1, 1), matrices(1)),
    "Neg": (torch.neg, matrices(1)),
    "Mean": (torch.mean, matrices(1)),
    "Sum": (torch.sum, matrices(1)),
    "Pow": (lambda x: x.pow(3), matrices(1)),
    "Exp": (torch.exp, matrices(1)),
    "Log": (torch.log, matrices(1)),
    "Sqrt": (torch.sqrt, matrices(1)),
    "Rsqrt": (torch.rsqrt, matrices(1)),
    "Reciprocal": (torch.reciprocal, matrices(1)),
    "Sigmoid": (torch.sigmoid, matrices(1)),
    "Tanh": (torch.tanh, matrices(1)),
    "ToCopy": (lambda x: x.double(), matrices(1)),
    "Abs": (torch.abs, matrices(1)),
    "Gelu": (functional.gelu, matrices(1)),
    "Silu": (functional.silu, matrices(1)),
    "MseLoss": (lambda x, y: functional.mse_loss(x, y.detach()), matrices(2)),
    "SmoothL1Loss": (lambda x, y: functional.smooth_l1_loss(x, y.detach()), matrices(2)),
    "BinaryCrossEntropy": (lambda x: functional.binary_cross_entropy(x, torch.ones(3, 3)), matrices(1)),
    "BinaryCrossEntropyWithLogits": (
        lambda x: functional.binary_cross_entropy_with_logits(x, torch.ones(3, 3)),
        matrices(1),
    ),
    "T": (torch.t, matrices(1)),
    "View": (lambda x: x.view(9), matrices(1)),
    "UnsafeView": (lambda x: torch.ops.aten._unsafe_view(x, [9]), matrices(1)),
    "ReshapeAlias": (lambda x: torch.ops.aten._reshape_alias(x, [9], [1]), matrices(1)),
    "Transpose": (lambda x: x.transpose(0, 1), matrices(1)),
    "Permute": (lambda x: x.permute(1, 0), matrices(1)),
    "Unsqueeze": (lambda x: x.unsqueeze(0), matrices(1)),
    "Alias": (torch.ops.aten.alias, matrices(1)),
    "Std": (lambda x: x.std(1), matrices(1)),
    "Var": (lambda x: x.var(1), matrices(1)),
    "StdMean": (lambda x: torch.std_mean(x, 1)[0], matrices(1)),
    "VarMean": (lambda x: torch.var_mean(x, 1)[0], matrices(1)),
}
ONLY_ELSEWHERE = {"CudnnBatchNorm"}


def made(kind: str, *changed: torch.Tensor) -> tuple[torch.Tensor, _Made]:
    call, given = CALLS[kind]
    result = call(*(changed or given))
    assert kind_of(result.grad_fn) == kind
    return result, changed or given


def sent_back(result: torch.Tensor, given: _Made, edge: int, incoming: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(result, given[edge], incoming.to(result), retain_graph=True)
    return gradient


def of(listed: dict[str, Any]) -> list[tuple[str, int]]:
    return [(kind, edge) for kind, edges in listed.items() if kind not in ONLY_ELSEWHERE for edge in edges]


@pytest.mark.parametrize(("kind", "edge"), of(nodes.FACTORS))
def test_what_the_gradient_is_multiplied_with_is_kept(kind: str, edge: int) -> None:
    result, given = made(kind)
    factor = getattr(result.grad_fn, f"_saved_{nodes.FACTORS[kind][edge]}")
    others = [value for number, value in enumerate(given) if number != edge]
    assert any(torch.equal(factor, value) for value in others)
    assert sent_back(result, given, edge, torch.ones(result.shape)).any() or "Norm" in kind


@pytest.mark.parametrize(("kind", "edge"), of(nodes.OPERANDS))
def test_an_operand_of_zeros_lets_nothing_through(kind: str, edge: int) -> None:
    result, given = made(kind)
    first = 1 if kind == "Addmm" else 0
    factor = first + nodes.OPERANDS[kind][edge]
    zeros = (
        torch.zeros_like(value).requires_grad_() if number == factor else value for number, value in enumerate(given)
    )
    dead, changed = made(kind, *zeros)
    assert sent_back(result, given, edge, torch.ones(result.shape)).any()
    assert not sent_back(dead, changed, edge, torch.ones(dead.shape)).any()


@pytest.mark.parametrize(("kind", "edge"), of(nodes.ADDED))
def test_what_is_only_added_gets_the_sum_of_what_comes(kind: str, edge: int) -> None:
    result, given = made(kind)
    gradient = sent_back(result, given, edge, torch.ones(result.shape))
    assert gradient.sum().abs() == result.numel()


@pytest.mark.parametrize("kind", sorted(nodes.ENTRY_BY_ENTRY))
def test_entries_are_scaled_one_by_one(kind: str) -> None:
    result, given = made(kind)
    touched = torch.zeros_like(given[0])
    for index in range(result.numel()):
        one = torch.zeros(result.numel()).index_fill_(0, torch.tensor([index]), 1.0).reshape(result.shape)
        touched += sent_back(result, given, 0, one).ne(0)
    assert touched.max() == 1


@pytest.mark.parametrize("kind", sorted(nodes.REARRANGING))
def test_entries_are_handed_on_as_they_are(kind: str) -> None:
    result, given = made(kind)
    incoming = torch.arange(float(result.numel())).reshape(result.shape)
    gradient = sent_back(result, given, 0, incoming)
    assert gradient.flatten().sort().values.equal(incoming.flatten())


@pytest.mark.parametrize("kind", sorted(nodes.SPREADS))
def test_a_spread_keeps_its_values_and_along_what_it_is(kind: str) -> None:
    result, given = made(kind)
    node: Any = result.grad_fn
    assert torch.equal(node._saved_self, given[0])
    assert [nodes.signed(one) for one in node._saved_dim] == [1]


def test_rectifiers_are_flat_on_a_side() -> None:
    x = (drawn(3) - 5).detach().requires_grad_()
    found = {functional.relu(x).grad_fn.name(), functional.threshold(x, 0.0, 0.0).grad_fn.name()}  # type: ignore[union-attr]
    assert found == nodes.RECTIFIERS
    assert not torch.autograd.grad(functional.threshold(x, 0.0, 0.0).sum(), x)[0].any()


def test_what_single_nodes_keep() -> None:
    x = drawn(2, 3)
    softmax: Any = x.softmax(-1).grad_fn
    assert nodes.is_softmax(kind_of(softmax))
    assert nodes.is_softmax(kind_of(x.log_softmax(-1).grad_fn))
    assert softmax._saved_result.shape == (2, 3)
    assert nodes.signed(softmax._saved_dim) in (-1, 1)
    loss: Any = functional.nll_loss(x, torch.tensor([0, -100])).grad_fn
    assert nodes.is_loss_over_classes(kind_of(loss))
    assert loss._saved_target.tolist() == [0, -100]
    assert nodes.signed(loss._saved_ignore_index) == -100
    embedded: Any = functional.embedding(torch.tensor([1]), x, padding_idx=1).grad_fn
    assert nodes.is_embedding(kind_of(embedded))
    assert (embedded._saved_indices.tolist(), nodes.signed(embedded._saved_padding_idx)) == ([1], 1)
    grid = torch.zeros(1, 2, 2, 2)
    sampled: Any = functional.grid_sample(drawn(1, 1, 3, 3), grid, mode="nearest", align_corners=False).grad_fn
    assert nodes.is_grid_sampler(kind_of(sampled))
    assert sampled._saved_interpolation_mode == nodes.NEAREST


def test_ends_and_stand_ins_are_told_by_their_names() -> None:
    x = drawn(3)
    assert nodes.is_accumulation(x.exp().grad_fn.next_functions[0][0])  # type: ignore[union-attr]
    assert not nodes.is_accumulation(x.exp().grad_fn)
    without: Any = torch.igamma(x, x).grad_fn
    assert not nodes.has_no_formula(without)
    again: Any = checkpoint(torch.exp, x, use_reentrant=True)
    assert again.grad_fn.name() == nodes.REENTRANT_CHECKPOINT


def pow_of(exponent: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x.pow(exponent)


@pytest.mark.parametrize(
    ("call", "inside", "outside"),
    [
        *((call, 0.5, 0.0) for call in (torch.log, torch.log2, torch.log10)),
        (torch.log1p, 0.5, -1.0),
        *((call, 0.5, 1.5) for call in (torch.acos, torch.asin)),
        (torch.acosh, 1.5, 0.5),
        (torch.atanh, 0.5, 1.0),
        (pow_of(-1.5), 0.5, 0.0),
        (pow_of(0.5), 0.5, -0.5),
    ],
)
def test_outside_of_its_domain_an_operation_is_not_finite(
    call: Callable[[torch.Tensor], torch.Tensor], inside: float, outside: float
) -> None:
    for value, is_outside in ((inside, False), (outside, True)):
        x = torch.tensor([value], requires_grad=True)
        result = call(x)
        assert leaves_its_domain(result.grad_fn, {"self": x}) is is_outside
        assert bool(result.isfinite().all()) is not is_outside


def test_what_a_node_keeps_is_read_by_the_names_of_its_arguments() -> None:
    x, y = drawn(3), drawn(3) + 1
    node = (x * y).grad_fn
    assert set(nodes.saved_names(node)) == set(nodes.saved_tensors(node)) == {"self", "other"}
    assert nodes.saved(node, "self") is x
    assert torch.equal(nodes.packed(node, "other").data, y)
    assert nodes.saved(node, "nothing", 5) == 5
    assert nodes.shape_of_result(node) == (3,)
    (x * y).sum().backward()
    used = (x * y).sum()
    freed = used.grad_fn.next_functions[0][0]
    used.backward()
    with pytest.raises(RuntimeError):
        nodes.saved(freed, "self")


def test_only_the_node_of_a_custom_function_has_the_class_of_its_forward() -> None:
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient

    assert nodes.forward_class(Same.apply(drawn(2)).grad_fn) is Same
    assert nodes.forward_class((drawn(2) * 2).grad_fn) is None
