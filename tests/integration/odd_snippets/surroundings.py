"""What a program does with Python around torch: pickling, threads, odd modules, patches of its own, clocks."""

from __future__ import annotations

import contextlib
import pickle
import random
import sys
import threading
import time
import traceback
import types
import warnings
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.integration.odd_snippets import snippet


def train() -> float:
    net = nn.Linear(2, 2)
    net(torch.ones(1, 2)).sum().backward()
    return float(net.weight.grad.sum())


def _by_name(name: str) -> Any:
    found: Any = torch
    for part in name.split("."):
        found = getattr(found, part)
    return found


@snippet
def functions_of_torch_are_pickled():
    names = ["from_numpy", "frombuffer", "from_dlpack", "autograd.grad", "autograd.backward", "compile", "jit.script"]
    names += ["optim.SGD", "utils.swap_tensors", "nn.functional.relu", "Tensor.backward", "nn.Linear"]
    return [pickle.loads(pickle.dumps(_by_name(name))) is _by_name(name) for name in names]


@snippet
def functions_say_their_names():
    names = [
        "autograd.grad",
        "Tensor.backward",
        "nn.Module.register_forward_hook",
        "compile",
        "optim.Optimizer.__init__",
    ]
    return [(_by_name(name).__name__, _by_name(name).__qualname__, bool(_by_name(name).__doc__)) for name in names[:4]]


@snippet
def backward_is_wrapped_by_the_program():
    calls, original = [], torch.Tensor.backward

    def logged(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("backward")
        return original(self, *args, **kwargs)

    with mock.patch.object(torch.Tensor, "backward", logged):
        train()
    return calls, torch.Tensor.backward is original


@snippet
def dropout_is_wrapped_by_the_program():
    calls, original = [], nn.functional.dropout

    def logged(*args: Any, **kwargs: Any) -> Any:
        calls.append("dropout")
        return original(*args, **kwargs)

    with mock.patch.object(nn.functional, "dropout", logged):
        nn.Dropout(0.5)(torch.ones(2))
        nn.functional.dropout(torch.ones(2), p=0.1)
    return calls


@snippet
def grad_is_wrapped_by_the_program():
    calls, original = [], torch.autograd.grad

    def logged(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(args))
        return original(*args, **kwargs)

    x = torch.ones(2, requires_grad=True)
    with mock.patch.object(torch.autograd, "grad", logged):
        found = torch.autograd.grad((x * 2).sum(), x)[0].tolist()
    return found, calls


@snippet
def a_module_that_raises_when_it_is_looked_at():
    class Missing(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise ImportError("please install an extra")

        def __dir__(self) -> Any:
            raise ImportError("please install an extra")

    with mock.patch.dict(sys.modules, {"an_optional_extra": Missing("an_optional_extra"), "nothing": None}):
        return train()


@snippet
def an_object_that_stands_for_a_module():
    class Lazy:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("not yet")

    with mock.patch.dict(sys.modules, {"a_lazy_object": Lazy()}):
        return train()


@snippet
def a_clock_of_the_program():
    ticks = iter(range(100))
    with mock.patch("time.perf_counter", ticks.__next__), mock.patch("time.time", ticks.__next__):
        train()
        return time.perf_counter(), time.time()


@snippet
def random_numbers_of_python():
    random.seed(7)
    train()
    return random.random(), torch.rand(1).item()


@snippet
def batches_from_other_processes():
    return [batch[0].tolist() for batch in DataLoader(TensorDataset(torch.arange(4.0)), batch_size=2, num_workers=1)]


@snippet
def a_forward_in_another_thread():
    net, out = nn.Linear(2, 2), []
    thread = threading.Thread(target=lambda: out.append(net(torch.ones(1, 2))))
    thread.start()
    thread.join()
    out[0].sum().backward()
    return net.weight.grad.tolist()


@snippet
def training_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(type(train()).__name__))
    thread.start()
    thread.join()
    return found


@snippet
def several_replicas():
    net = nn.Linear(2, 2)
    sum(nn.parallel.parallel_apply([net, net], [torch.ones(1, 2)] * 2)).sum().backward()
    return net.weight.grad.tolist()


@snippet
def an_exception_shows_the_programs_frames():
    def bad(*_: Any) -> None:
        raise KeyError("mine")

    def names(run: Any) -> Any:
        try:
            run()
        except Exception as error:  # noqa: BLE001
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)], error.__context__

    x, net = torch.ones(2, 2, requires_grad=True), nn.Linear(2, 2)
    found = [names(lambda: torch.ones(2, 3) @ torch.ones(2, 3)), names(lambda: torch.ones(2, dtype="rubbish"))]
    found.append(names(lambda: setattr(torch.ones(2), "requires_grad", "rubbish")))
    found.append(names(lambda: nn.Module.register_forward_hook(net)))
    found.append(names(lambda: torch.optim.SGD([])))
    found.append(names(lambda: torch.autograd.grad(x, x, rubbish=1)))
    net.register_forward_hook(bad)
    found.append(names(lambda: net(x)))
    return found


@snippet
def an_exception_of_a_layer_keeps_its_chain():
    class Raising(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            try:
                {}["first"]
            except KeyError as error:
                raise ValueError("second") from error

    try:
        Raising()(torch.ones(1))
    except ValueError as error:
        return str(error), repr(error.__cause__)


@snippet
def a_warning_is_given_once():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(2):
            torch.ones(2, requires_grad=True).sum().grad  # noqa: B018
    return [one.category.__name__ for one in seen]


@snippet
def the_program_is_traced():
    calls = []

    def tracer(frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_name == "inner":
            calls.append(frame.f_code.co_filename == __file__)

    def inner() -> torch.Tensor:
        return torch.ones(2) * 2

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        inner()
    finally:
        sys.settrace(before)
    return calls.count(True)


@snippet
def a_deep_recursion():
    def add(n: int) -> torch.Tensor:
        return torch.ones(1) if n == 0 else add(n - 1) + 1

    return add(200).item()


@snippet
def an_endless_recursion_is_caught():
    def down(x: torch.Tensor) -> torch.Tensor:
        return down(x + 1)

    with contextlib.suppress(RecursionError):
        down(torch.ones(1))
    return train()


@snippet
def a_generator_that_is_left_open():
    def batches() -> Any:
        with torch.no_grad():
            yield torch.ones(1)

    made = batches()
    next(made)
    inside = torch.is_grad_enabled()
    made.close()
    return inside, torch.is_grad_enabled()
