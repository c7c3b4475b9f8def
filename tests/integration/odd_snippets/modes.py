"""Modes and transforms of the program, tracing, compiling, exporting."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tests.integration.odd_snippets import snippet


class Functions(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def train(net: nn.Module | None = None) -> Any:
    net = net or nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = torch.ones(4, 2, requires_grad=True)
    x.register_hook(lambda g: g * 2)
    net(x).sum().backward()
    return x.grad.sum().item()


@snippet
def functions_are_logged():
    with Functions() as log:
        found = train()
    return found, log.seen


@snippet
def operators_are_logged():
    with Operators() as log:
        found = train()
    return found, log.seen


@snippet
def operators_are_logged_with_an_optimizer_and_reads():
    net = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    with Operators() as log:
        net(torch.ones(1, 2)).sum().backward()
        total = net.weight.grad.sum()
        torch.autograd.grad(net(torch.ones(1, 2)).sum(), net.weight)
        optimizer.step()
    return total.item(), log.seen


@snippet
def a_mode_that_changes_what_is_computed():
    class Halves(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            return out / 2 if func is torch.Tensor.exp else out

    with Halves():
        return torch.zeros(2).exp().tolist()


@snippet
def a_mode_that_refuses():
    class No(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise PermissionError(getattr(func, "__name__", ""))

    with No():
        torch.ones(2)


@snippet
def a_device_by_default():
    with torch.device("meta"):
        net = nn.Linear(2, 2)
    return str(net.weight.device), str(torch.ones(2).device)


@snippet
def floating_point_operations_are_counted():
    net = nn.Linear(3, 2)
    with FlopCounterMode(display=False) as flops:
        net(torch.ones(4, 3)).sum().backward()
    return flops.get_total_flops()


@snippet
def fake_tensors():
    with FakeTensorMode():
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        out = net(torch.rand(4, 3))
        out.register_hook(lambda g: g * 2)
        out.sum().backward()
        optimizer.step()
        return tuple(net.weight.grad.shape), type(net.weight.grad).__name__


@snippet
def fake_tensors_have_no_numbers():
    with FakeTensorMode():
        torch.ones(2).sum().item()


def targets(mode: str) -> list[str]:
    def slope(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        w = w.detach().requires_grad_()
        return torch.autograd.grad((x @ w).sin().sum(), w)[0]

    graph = make_fx(slope, tracing_mode=mode)(torch.rand(2, 3), torch.rand(3, 2)).graph
    return [str(node.target) for node in graph.nodes]


@snippet
def a_gradient_is_traced():
    return targets("real")


@snippet
def a_gradient_is_traced_with_fake_tensors():
    return targets("fake")


@snippet
def a_gradient_is_traced_with_symbols():
    return targets("symbolic"), train()


@snippet
def a_model_is_traced_by_fx():
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))
    return [str(node.target) for node in traced.graph.nodes], train(traced)


@snippet
def a_model_is_exported():
    batch = torch.export.Dim("batch")
    program = torch.export.export(nn.Linear(2, 1), (torch.rand(3, 2),), dynamic_shapes=({0: batch},))
    return [node.name for node in program.graph.nodes], train(program.module())


@snippet
def a_model_is_compiled():
    compiled = torch.compile(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), backend="eager", dynamic=True)
    return [train(compiled), tuple(compiled(torch.ones(7, 2)).shape)]


@snippet
def a_function_is_compiled():
    @torch.compile(backend="aot_eager")
    def loss(x: torch.Tensor) -> torch.Tensor:
        return (x**3).sum()

    x = torch.ones(2, requires_grad=True)
    loss(x).backward()
    return x.grad.tolist()


@snippet
def a_model_is_scripted():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    return train(torch.jit.script(net)), train(torch.jit.trace(net, torch.ones(1, 2)))


@snippet
def an_encoder_is_scripted():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    return torch.jit.script(layer)(torch.ones(1, 2, 4)).sum().item()


@snippet
def a_gradient_is_scripted():
    scope = {"torch": torch}
    x = torch.ones(3, requires_grad=True)
    return torch.jit.script(slope_of_a_square)(x).tolist(), sorted(scope)


def slope_of_a_square(x: torch.Tensor) -> torch.Tensor:
    found = torch.autograd.grad([(x * x).sum()], [x])[0]
    if found is None:
        return x
    return found


@snippet
def vectorised_over_examples():
    w = torch.ones(3, requires_grad=True)
    torch.func.vmap(lambda x: (x * w).sum())(torch.ones(2, 3)).sum().backward()
    return w.grad.tolist()


@snippet
def gradients_for_each_example():
    net = nn.Linear(2, 1)
    parameters = dict(net.named_parameters())

    def loss(values: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(net, values, (x,)).sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, torch.rand(3, 2))
    return {name: value.tolist() for name, value in found.items()}


@snippet
def a_jacobian_by_functorch():
    jacobian = torch.func.jacrev(torch.func.jacfwd(lambda x: x**3))(torch.ones(2))
    value, pull = torch.func.vjp(torch.sin, torch.zeros(2))
    return jacobian.tolist(), value.tolist(), pull(torch.ones(2))[0].tolist()


@snippet
def automatic_precision():
    net = nn.Linear(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = net(torch.ones(1, 2)).sum()
    loss.backward()
    return str(loss.dtype), str(net.weight.grad.dtype)


@snippet
def an_operator_of_the_program():
    with torch.library._scoped_library("odd_snippets", "FRAGMENT") as library:
        twice = torch.library.custom_op(
            "odd_snippets::twice", lambda x: x * 2, mutates_args=(), schema="(Tensor x) -> Tensor"
        )
        twice.register_autograd(lambda ctx, grad: grad * 2)
        x = torch.ones(2, requires_grad=True)
        twice(x).sum().backward()
        return x.grad.tolist(), library.ns


@snippet
def gradients_are_off_in_many_ways():
    @torch.no_grad()
    def quiet(x: torch.Tensor) -> bool:
        return (x * 2).requires_grad

    x = torch.ones(2, requires_grad=True)
    with torch.set_grad_enabled(False), torch.enable_grad():
        inside = (x * 2).requires_grad
    with torch.inference_mode():
        inference = (x * 2).is_inference()
    return quiet(x), inside, inference, (x * 2).requires_grad


@snippet
def the_profiler():
    with torch.profiler.profile() as profile:
        train()
    return any(event.key == "aten::addmm" for event in profile.key_averages())
