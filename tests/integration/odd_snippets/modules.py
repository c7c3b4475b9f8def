"""Modules with methods of their own, lazy ones, and what they return."""

from __future__ import annotations

import collections
import collections.abc
import copy
import dataclasses
import gc
import weakref
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

from tests.integration.odd_snippets import snippet


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.second(self.first(x).tanh())


def slope(net: nn.Module, *inputs: Any) -> Any:
    out = net(*(inputs or (torch.ones(1, 2),)))
    out.sum().backward()
    return [None if p.grad is None else p.grad.sum().item() for p in nn.Module.parameters(net)]


@snippet
def a_lazy_layer():
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1))
    out = slope(net)
    return out, type(net[0]).__name__, type(net[0].weight).__name__


@snippet
def a_lazy_layer_with_hooks_and_optimizer():
    net = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    seen = []
    net[3].register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    net(torch.rand(2, 1, 8, 8))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    slope(net, torch.rand(2, 1, 8, 8))
    optimizer.step()
    return seen, len(list(net.parameters())), net[3].weight.sum().item()


@snippet
def a_lazy_layer_that_never_runs():
    net = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(2))
    net[0](torch.ones(1, 2)).sum().backward()
    return repr(net), net[0].weight.grad.tolist()


@snippet
def named_parameters_of_the_old_kind():
    class Old(Two):
        def named_parameters(self, prefix: str = "", recurse: bool = True) -> Any:
            yield from super().named_parameters(prefix, recurse)

    return slope(Old())


@snippet
def named_parameters_that_raise():
    class Bad(Two):
        def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("mine")

        def named_modules(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("mine")

        def modules(self) -> Any:
            raise RuntimeError("mine")

    return slope(Bad())


@snippet
def named_parameters_that_count():
    class Counting(Two):
        asked = 0

        def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            return super().named_parameters(*args, **kwargs)

        def children(self) -> Any:
            self.asked += 100
            return super().children()

    net = Counting()
    return slope(net), net.asked


@snippet
def attributes_that_are_made_when_asked_for():
    class Making(Two):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("made_"):
                return name
            if name not in ("first", "second"):
                raise RuntimeError(f"nobody asks for {name}")
            return super().__getattr__(name)

    net = Making()
    return net(torch.ones(1, 2)).detach().tolist(), net.made_up


@snippet
def a_module_without_init():
    class Bare(nn.Module):
        def __init__(self) -> None:
            pass

    return Bare()(1)


@snippet
def modules_that_are_all_equal():
    class Same(Two):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

        def __len__(self) -> int:
            return 0

        def __bool__(self) -> bool:
            raise RuntimeError("neither")

    return slope(Same())


@snippet
def a_module_that_holds_itself_in_a_list():
    net = Two()
    net.around = [net]
    return slope(net)


@snippet
def a_module_with_slots_of_its_own_call():
    class Called(Two):
        def __call__(self, *args: Any) -> Any:
            return super().__call__(*args) * 2

    return slope(Called())


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclasses.dataclass
class Result:
    values: torch.Tensor
    extra: Any = None

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Reading(collections.UserDict[str, Any]):
    reads = 0

    def __getitem__(self, key: str) -> Any:
        self.reads += 1
        return super().__getitem__(key)


def returning(make: Any) -> nn.Module:
    class Net(Two):
        def forward(self, x: torch.Tensor) -> Any:
            return make(super().forward(x))

    return Net()


@snippet
def a_named_tuple_is_returned():
    out = returning(lambda y: Pair(y, y * 2))(torch.ones(1, 2))
    out.right.sum().backward()
    return type(out).__name__, out.left.detach().tolist()


@snippet
def a_dataclass_is_returned():
    out = returning(Result)(torch.ones(1, 2))
    out.values.sum().backward()
    return type(out).__name__


@snippet
def a_mapping_that_counts_is_returned():
    out = returning(lambda y: Reading(y=y))(torch.ones(1, 2))
    out["y"].sum().backward()
    return out.reads


@snippet
def nothing_is_returned():
    class Keeping(Two):
        def forward(self, x: torch.Tensor) -> None:
            self.kept = super().forward(x)

    net = Keeping()
    out = net(torch.ones(1, 2))
    net.kept.sum().backward()
    return out, net.first.weight.grad.sum().item()


@snippet
def a_generator_is_returned():
    net = returning(lambda y: (row for row in y))
    return [row.sum().item() for row in net(torch.ones(2, 2))]


@snippet
def a_module_is_freed_at_once():
    net = Two()
    slope(net)
    reference = weakref.ref(net)
    del net
    gc.collect()
    return reference() is None


@snippet
def spectral_norm():
    return slope(parametrizations.spectral_norm(nn.Linear(2, 2)))


@snippet
def pruning():
    net = nn.Linear(2, 2)
    prune.l1_unstructured(net, "weight", 1)
    out = slope(net)
    prune.remove(net, "weight")
    return out, len(net._forward_pre_hooks), net.weight.detach().tolist()


@snippet
def per_sample_gradients():
    net = nn.Linear(2, 3)
    call_for_per_sample_grads(net)(torch.ones(4, 2)).sum().backward()
    return net.weight.grad_sample.tolist()


@snippet
def the_fast_path_of_an_encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    padding = torch.arange(5) >= torch.tensor([[3], [2]])
    with torch.no_grad():
        return encoder(torch.randn(2, 5, 8), src_key_padding_mask=padding).tolist()


@snippet
def the_fast_path_of_attention_over_nested_words():
    attention = nn.MultiheadAttention(6, 2, batch_first=True).eval()
    words = torch.nested.nested_tensor([torch.randn(3, 6), torch.randn(5, 6)])
    with torch.no_grad():
        out, _ = attention(words, words, words, need_weights=False)
    return [one.tolist() for one in out.unbind()]


@snippet
def the_fast_path_that_fails():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad():
        try:
            layer(torch.randn(2, 5, 7))
        except (AssertionError, RuntimeError) as error:
            text = type(error).__name__
    out = nn.Linear(2, 2)(torch.ones(1, 2))
    out.sum().backward()
    return text, out.requires_grad


@snippet
def a_copy_of_a_trained_model():
    net = Two()
    slope(net)
    other = copy.deepcopy(net)
    return [(p.equal(q), p is q) for p, q in zip(other.parameters(), net.parameters(), strict=True)]


@snippet
def a_module_is_put_in_the_place_of_another():
    net = Two()
    net.second = nn.Identity()
    del net.second
    net.second = nn.Linear(3, 2, bias=False)
    net.register_parameter("none", None)
    return slope(net)


@snippet
def an_attribute_of_the_wrong_kind():
    net = Two()
    net.second = "rubbish"


@snippet
def a_mapping_of_the_program_hangs_on_a_module():
    class Raising(collections.abc.Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError("not yet")

        def __iter__(self) -> Any:
            raise RuntimeError("not yet")

        def __len__(self) -> int:
            raise RuntimeError("not yet")

    net = Two()
    net.later, net.counted = Raising(), Reading(table=torch.ones(1, requires_grad=True))
    return slope(net), net.counted.reads


@snippet
def an_attention_of_the_program():
    class Mine(nn.MultiheadAttention):
        def forward(self, x: torch.Tensor) -> Any:
            return self.out_proj(x) * 2

    with torch.no_grad():
        return Mine(4, 2).eval()(torch.ones(1, 4)).tolist()


@snippet
def a_custom_function_beside_an_object_that_raises():
    class Lazy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("not yet")

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    lazy = Lazy()

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return lazy(x)

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            return lazy(grad)

    x = torch.ones(2, requires_grad=True)
    Twice.apply(x).sum().backward()
    return x.grad.tolist()
