"""Backward passes of unusual kinds, custom Functions, checkpoints, optimizers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from tests.integration.odd_snippets import snippet


class Double(torch.autograd.Function):
    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad * 2


def leaf(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers or (1.0, 2.0), requires_grad=True)


@snippet
def many_gradients_at_once():
    x = leaf(0.1, 0.2, 0.3)
    (rows,) = torch.autograd.grad(x.sin() * 2, x, torch.eye(3), is_grads_batched=True)
    return rows.tolist()


@snippet
def gradients_of_several_scores():
    x = leaf()
    return [g.tolist() for g in torch.autograd.grad([x.sum(), (x * 3).sum()], [x])]


@snippet
def gradients_as_a_dictionary_of_edges():
    x = leaf()
    edge = torch.autograd.graph.get_gradient_edge(x)
    return torch.autograd.grad((x * 5).sum(), edge)[0].tolist()


@snippet
def backward_from_an_edge():
    x = leaf()
    y = (x * 5).sum()
    torch.autograd.backward(torch.autograd.graph.get_gradient_edge(y))
    return x.grad.tolist()


@snippet
def backward_towards_some_leaves_only():
    x, w = leaf(), leaf()
    (x * w).sum().backward(inputs=iter([x]))
    return x.grad.tolist(), w.grad


@snippet
def backward_twice():
    y = (leaf() ** 2).sum()
    y.backward()
    y.backward()


@snippet
def backward_of_a_vector():
    (leaf() ** 2).backward()


@snippet
def backward_with_a_gradient_of_the_wrong_shape():
    (leaf() ** 2).backward(torch.ones(3))


@snippet
def a_gradient_of_a_gradient():
    x = leaf()
    (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    first.sum().backward()
    return x.grad.tolist()


@snippet
def a_hessian():
    return torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.ones(2)).tolist()


@snippet
def a_jacobian():
    return torch.autograd.functional.jacobian(lambda x: x**2, torch.ones(2), vectorize=True).tolist()


@snippet
def gradcheck():
    x = torch.ones(2, dtype=torch.double, requires_grad=True)
    return torch.autograd.gradcheck(lambda t: (t**2).sum(), x), torch.autograd.gradgradcheck(torch.exp, x)


@snippet
def forward_mode():
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(2), torch.ones(2))
        return forward_ad.unpack_dual(dual.exp()).tangent.tolist()


@snippet
def a_function_of_the_program():
    x = leaf()
    Double.apply(x).sum().backward()
    return x.grad.tolist(), Double.apply.__name__, Double.apply.__self__ is Double


@snippet
def a_function_that_raises():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            raise ZeroDivisionError("mine")

    Bad.apply(leaf()).sum().backward()


@snippet
def a_function_under_functorch():
    return torch.func.grad(lambda x: Double.apply(x).sum())(torch.ones(2)).tolist()


@snippet
def a_function_with_keywords_and_lists():
    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, scale: float, *parts: torch.Tensor) -> torch.Tensor:
            ctx.scale, ctx.count = scale, len(parts)
            return sum(parts) * scale

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return (None, *[grad * ctx.scale] * ctx.count)

    x, y = leaf(), leaf()
    Sum.apply(3.0, x, y).sum().backward()
    return x.grad.tolist(), y.grad.tolist()


@snippet
def an_inference_tensor_in_a_graph():
    with torch.inference_mode():
        frozen = torch.ones(2)
    try:
        (leaf() * frozen).sum().backward()
    except RuntimeError as error:
        return str(error)[:40]


@snippet
def an_inference_leaf_is_asked_for():
    layer = nn.Linear(2, 2)
    with torch.inference_mode():
        x = torch.ones(1, 2).requires_grad_()
        torch.autograd.grad(layer(x).sum(), x)


@snippet
def a_checkpoint_of_each_kind():
    net, x = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), torch.ones(3, 2, requires_grad=True)
    for reentrant in (True, False):
        checkpoint(net, x, use_reentrant=reentrant).sum().backward()
    checkpoint_sequential(net, 2, x, use_reentrant=False).sum().backward()
    return x.grad.tolist(), net[0].weight.grad.tolist()


@snippet
def activations_that_are_kept_elsewhere():
    packed = []

    def pack(t: torch.Tensor) -> int:
        packed.append(t)
        return len(packed) - 1

    x = leaf()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda i: packed[i] * 2):
        (x * x.exp()).sum().backward()
    with torch.autograd.graph.save_on_cpu():
        y = (x.sin() * x).sum()
    y.backward()
    return len(packed), x.grad.tolist()


@snippet
def anomaly_detection():
    x = leaf(-1.0)
    with torch.autograd.detect_anomaly():
        x.sqrt().sum().backward()


@snippet
def multithreading_is_off():
    x = leaf()
    with torch.autograd.set_multithreading_enabled(False):
        (x * 2).sum().backward()
    return x.grad.tolist()


@snippet
def a_version_that_has_moved():
    x = leaf()
    y = x.exp()
    y.add_(1)
    y.sum().backward()


@snippet
def a_mutation_of_a_leaf():
    x = leaf()
    x.add_(1)


@snippet
def a_line_search_with_a_closure():
    net = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (net(torch.ones(1, 2)) - 3).pow(2).sum()
        loss.backward()
        return loss

    return optimizer.step(closure).item(), net.weight.tolist()


@snippet
def an_optimizer_of_the_program():
    class Mine(torch.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {"rate": 0.5})

        def step(self, closure: Any = None) -> str:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad, alpha=-group["rate"])
            return "done"

    net = nn.Linear(2, 1)
    optimizer = Mine([{"params": [net.weight]}, {"params": net.bias, "rate": 0.0}])
    net(torch.ones(1, 2)).sum().backward()
    return optimizer.step(), net.weight.tolist()


@snippet
def an_optimizer_of_nothing():
    torch.optim.SGD([], 0.1)


@snippet
def an_optimizer_hook():
    net, seen = nn.Linear(2, 1), []
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return seen


@snippet
def gradients_are_scaled():
    net = nn.Linear(2, 1)
    optimizer, scaler = torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu")
    scaler.scale(net(torch.ones(1, 2)).sum()).backward()
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return round(float(norm), 4), net.weight.tolist()


@snippet
def numbers_of_python():
    x = leaf()
    return float(x.sum().detach()), math.sqrt(x[1]), int(x[0]), bool(x[0] > 0), f"{x[0]:.2f}", round(x[1].item())


@snippet
def an_optimizer_with_a_property_for_its_groups():
    class Shy(torch.optim.SGD):
        def __getattribute__(self, name: str) -> Any:
            if name == "param_groups":
                asked.append(name)
            return super().__getattribute__(name)

    asked: list[str] = []
    net = nn.Linear(2, 1)
    optimizer = Shy(net.parameters(), 0.1)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return len(asked), net.weight.tolist()
