"""Hooks of modules and tensors: found again, shown, removed, copied, replaced, raising."""

from __future__ import annotations

import copy
import functools
import inspect
import io
import pickle
from typing import Any

import torch
from torch import nn

from tests.integration.odd_snippets import snippet


def spy(module: Any, inputs: Any, output: Any) -> None:
    """See nothing."""


def first_spy(module: Any, inputs: Any) -> None:
    """See nothing before."""


class Caller:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module: Any, inputs: Any, output: Any) -> None:
        self.count += 1

    def method(self, module: Any, inputs: Any, output: Any) -> None:
        self.count += 10

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller)

    __hash__ = None  # type: ignore[assignment]


def run(net: nn.Module) -> Any:
    out = net(torch.ones(1, 2, requires_grad=True))
    out.sum().backward()
    return out.detach().sum().item()


@snippet
def two_hooks_are_found_in_their_order():
    net = nn.Linear(2, 2)
    other = lambda module, inputs, output: None  # noqa: E731
    net.register_forward_hook(spy)
    net.register_forward_hook(other)
    return [hook is expected for hook, expected in zip(net._forward_hooks.values(), (spy, other), strict=True)]


@snippet
def a_pre_hook_is_found_by_its_key():
    net = nn.Linear(2, 2)
    handle = net.register_forward_pre_hook(first_spy)
    return net._forward_pre_hooks[handle.id] is first_spy, net._forward_pre_hooks.get(handle.id) is first_spy


@snippet
def the_table_says_what_it_holds():
    net = nn.Linear(2, 2)
    handle = net.register_forward_hook(spy)
    table = net._forward_hooks
    return len(table), bool(table), handle.id in table, list(table) == [handle.id], isinstance(table, dict)


@snippet
def a_hook_is_popped_from_the_table():
    net = nn.Linear(2, 2)
    net.register_forward_hook(spy)
    _, hook = net._forward_hooks.popitem()
    return hook is spy, len(net._forward_hooks), run(net)


@snippet
def the_table_is_cleared():
    net = nn.Linear(2, 2)
    net.register_forward_hook(lambda module, inputs, output: output * 0)
    net._forward_hooks.clear()
    return run(net), len(net._forward_hooks)


@snippet
def a_hook_is_put_into_the_table_by_hand():
    net = nn.Linear(2, 2)
    net.register_forward_hook(spy)
    net._forward_hooks[10**9] = lambda module, inputs, output: output * 3
    return run(net)


@snippet
def a_table_is_replaced_by_another():
    net, other = nn.Linear(2, 2), nn.Linear(2, 2)
    net.register_forward_hook(lambda module, inputs, output: output * 3)
    other._forward_hooks = net._forward_hooks
    return run(other), other._forward_hooks == net._forward_hooks


@snippet
def hooks_say_their_signature_and_source():
    net = nn.Linear(2, 2)
    net.register_full_backward_hook(spy)
    (hook,) = net._backward_hooks.values()
    return str(inspect.signature(hook)), inspect.getsource(hook), hook.__qualname__, hook.__doc__


@snippet
def a_callable_object_counts():
    net, caller = nn.Linear(2, 2), Caller()
    net.register_forward_hook(caller)
    net.register_forward_hook(caller.method)
    run(net)
    return caller.count, [type(hook).__name__ for hook in net._forward_hooks.values()]


@snippet
def a_partial_is_a_hook():
    net, seen = nn.Linear(2, 2), []
    net.register_forward_hook(functools.partial(lambda kept, m, i, o: kept.append(tuple(o.shape)), seen))
    run(net)
    return seen, type(next(iter(net._forward_hooks.values()))).__name__


@snippet
def a_hook_replaces_the_output():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].register_forward_hook(lambda module, inputs, output: output.abs() + 1)
    return run(net), net[0].weight.grad.tolist()


@snippet
def a_pre_hook_replaces_the_input():
    net = nn.Linear(2, 2)
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    return run(net), net.weight.grad.tolist()


@snippet
def a_hook_with_keywords():
    net, seen = nn.MultiheadAttention(4, 2, batch_first=True), []
    net.register_forward_hook(lambda m, a, k, o: seen.append(sorted(k)), with_kwargs=True)
    x = torch.ones(1, 2, 4)
    net(x, x, value=x, need_weights=False)
    return seen


@snippet
def a_hook_goes_first():
    net, seen = nn.Linear(2, 2), []
    net.register_forward_hook(lambda *_: seen.append("first"))
    net.register_forward_hook(lambda *_: seen.append("second"), prepend=True)
    run(net)
    return seen


@snippet
def a_hook_removes_itself():
    net, seen = nn.Linear(2, 2), []

    def once(module: Any, inputs: Any, output: Any) -> None:
        seen.append(1)
        handle.remove()

    handle = net.register_forward_hook(once)
    run(net)
    run(net)
    return len(seen), len(net._forward_hooks)


@snippet
def a_handle_is_a_context():
    net = nn.Linear(2, 2)
    with net.register_forward_hook(lambda m, i, o: o * 2):
        doubled = run(net)
    return doubled == 2 * run(net)


@snippet
def a_hook_is_always_called():
    class Bad(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("as meant")

    net, seen = Bad(), []
    net.register_forward_hook(lambda m, i, o: seen.append(o), always_call=True)
    try:
        net(torch.ones(1))
    except ValueError as error:
        return str(error), seen


@snippet
def a_backward_hook_changes_the_gradient():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].register_full_backward_hook(lambda m, gi, go: tuple(g * 2 for g in gi))
    run(net)
    return net[0].weight.grad.tolist()


@snippet
def a_backward_pre_hook_changes_the_gradient():
    net = nn.Linear(2, 2)
    net.register_full_backward_pre_hook(lambda m, go: tuple(g * 3 for g in go))
    run(net)
    return net.weight.grad.tolist()


@snippet
def an_old_backward_hook_is_called():
    net, seen = nn.Linear(2, 2), []
    net.register_backward_hook(lambda m, gi, go: seen.append(len(go)))
    run(net)
    return seen


@snippet
def a_backward_hook_raises():
    net = nn.Linear(2, 2)

    def bad(module: Any, grad_input: Any, grad_output: Any) -> None:
        raise KeyError("mine")

    net.register_full_backward_hook(bad)
    return run(net)


@snippet
def a_model_with_hooks_is_copied():
    caller = Caller()
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].register_forward_hook(caller.method)
    other = copy.deepcopy(net)
    run(other)
    (hook,) = other[0]._forward_hooks.values()
    return caller.count, hook.__self__.count, type(other[0]._forward_hooks).__mro__[-2].__name__


@snippet
def a_model_with_hooks_is_saved():
    net = nn.Linear(2, 2)
    net.register_forward_hook(spy)
    net.register_forward_pre_hook(first_spy)
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    return type(loaded._forward_hooks).__name__, next(iter(loaded._forward_hooks.values())) is spy


@snippet
def a_handle_is_pickled():
    net = nn.Linear(2, 2)
    handle = net.register_forward_hook(spy)
    return len(pickle.dumps(handle)) > 0, sorted(vars(handle))


@snippet
def a_tensor_hook_is_found_and_shown():
    x = torch.ones(2, requires_grad=True)
    double = lambda g: g * 2  # noqa: E731
    handle = x.register_hook(double)
    return x._backward_hooks[handle.id] is double, [one is double for one in x._backward_hooks.values()]


@snippet
def a_tensor_hook_is_removed_twice():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    handle = y.register_hook(lambda g: g * 5)
    handle.remove()
    handle.remove()
    y.sum().backward()
    return x.grad.tolist(), len(y._backward_hooks)


@snippet
def several_tensor_hooks_run_in_their_order():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    return x.grad.tolist()


@snippet
def a_tensor_hook_on_one_of_several_results():
    x = torch.arange(4.0, requires_grad=True)
    first, second = x.split(2)
    second.register_hook(lambda g: g * 7)
    (first.sum() + second.sum()).backward()
    return x.grad.tolist()


@snippet
def a_tensor_hook_needs_a_gradient():
    return torch.ones(2).register_hook(lambda g: g)


@snippet
def a_tensor_hook_returns_rubbish():
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda g: "rubbish")
    x.sum().backward()


@snippet
def a_hook_on_a_node():
    x = torch.ones(2, requires_grad=True)
    y, seen = x.exp().sum(), []
    y.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), len(go))))
    y.grad_fn.register_prehook(lambda go: seen.append("before"))
    y.backward()
    return seen


@snippet
def a_hook_on_several_tensors():
    x = torch.ones(2, requires_grad=True)
    a, b, seen = x * 2, x * 3, []
    torch.autograd.graph.register_multi_grad_hook((a, b), lambda grads: seen.append(len(grads)))
    (a * b).sum().backward()
    return seen


@snippet
def a_hook_after_the_gradient_was_added():
    x = torch.ones(2, requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(4))
    x.sum().backward()
    return x.grad.tolist()


@snippet
def global_hooks_of_the_program():
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda m, i, o: seen.append(type(m).__name__))
    try:
        run(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    finally:
        handle.remove()
    return seen


@snippet
def hooks_of_weight_norm_are_found_and_taken_off():
    net = nn.utils.weight_norm(nn.Linear(2, 2))
    net.register_forward_pre_hook(first_spy)
    nn.utils.remove_weight_norm(net)
    return run(net), len(net._forward_pre_hooks), sorted(name for name, _ in net.named_parameters())
