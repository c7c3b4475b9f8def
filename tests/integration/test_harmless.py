"""`gradflow.check` leaves the model, the caller and torch as it found them."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.errors import ModelRaisedError

LAYER = "block.0"


class Block(nn.Module):
    """Batch norm, dropout, in-place operations, a frozen part, plain attributes; every run leaves traces."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.frozen = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).eval().requires_grad_(False)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.register_buffer("average", torch.zeros(4))
        self.history: list[Tensor] = []
        self.noise = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        self.noise = random.random() + float(np.random.rand())  # noqa: NPY002 - the global generator is meant
        skip = self.block(x)
        features = self.frozen(skip)
        features += skip
        pooled = self.dropout(features).mean((2, 3))
        self.average = 0.9 * self.average + 0.1 * pooled.mean(0).detach()
        self.pooled = pooled
        self.history.append(pooled)
        with torch.no_grad():
            self.head.weight.clamp_(-0.4, 0.4)
        out: Tensor = self.head(pooled) + self.noise
        return out


class Raises(Block):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(1)
        raise ValueError("midway")


class Broken(Block):
    def forward(self, x: Tensor) -> Tensor:
        features = self.block(x).detach()
        return self.head(self.dropout(features).mean((2, 3)))


class ThroughNumpy(Block):
    def forward(self, x: Tensor) -> Tensor:
        features = torch.from_numpy(self.block(x).detach().float().numpy() * 2)
        self.calls.add_(1)
        return self.head(self.dropout(features).mean((2, 3)))


class BackwardRaises(Block):
    def forward(self, x: Tensor) -> Tensor:
        features = self.block(x).exp()
        saved = features.square().mean((2, 3))
        features.zero_()
        return self.head(saved)


MODELS = [Block, Raises, Broken, ThroughNumpy, BackwardRaises]


def state_of(model: nn.Module, *inputs: Tensor) -> list[object]:
    """Modes, hooks, attributes, values, versions and gradients of a model, and torch's own state."""
    seen: list[object] = []
    for name, module in model.named_modules():
        seen.append((name, id(module), type(module)))
        for key, value in module.__dict__.items():
            if isinstance(value, dict):
                seen.append((key, id(value), [(inner, id(entry)) for inner, entry in value.items()]))
            elif isinstance(value, list):
                seen.append((key, id(value), [id(entry) for entry in value]))
            else:
                seen.append((key, value if isinstance(value, (bool, int, float, str)) else id(value)))
    for tensor in (*model.parameters(), *model.buffers(), *inputs):
        grad = None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist(), tensor.grad._version)
        hooks = dict(tensor._backward_hooks or {})
        seen.append(
            (id(tensor), tensor.data_ptr(), tensor.tolist(), tensor._version, tensor.requires_grad, grad, hooks)
        )
    seen += [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002
    seen += [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()]
    seen += [torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_autocast_cache_enabled()]
    seen += [torch.get_default_device(), torch.is_anomaly_enabled(), torch.are_deterministic_algorithms_enabled()]
    seen += [torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack(), torch.get_num_threads()]
    seen.append(torch._C._autograd._top_saved_tensors_default_hooks(False))
    seen += [dict(hooks) for name, hooks in vars(nn.modules.module).items() if name.endswith("_hooks") and hooks]
    # what the recorder patches for the time of a run
    functions: list[Any] = [torch.from_numpy, torch.frombuffer, torch.autograd.Function.apply, torch.Tensor.backward]
    functions += [torch.inference_mode.__enter__, torch.inference_mode.__exit__, torch.autograd.backward]
    seen += [getattr(function, "__func__", function) for function in functions]
    seen.append(gc.isenabled())
    return seen


def check_whatever_happens(model: nn.Module, x: Tensor, **options: Any) -> None:
    if isinstance(model, Raises):
        with pytest.raises(ModelRaisedError, match="midway"):
            gradflow.check(model, LAYER, inputs=x, target=1, **options)
    else:
        gradflow.check(model, LAYER, inputs=x, target=1, **options)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("cam", [False, True], ids=["", "cam"])
@pytest.mark.parametrize("kind", MODELS)
def test_everything_is_as_found(kind: type[Block], training: bool, cam: bool) -> None:
    model, x = kind().train(training), torch.randn(2, 3, 8, 8)
    model.frozen.eval()
    before = state_of(model, x)
    check_whatever_happens(model, x, cam=cam)
    assert state_of(model, x) == before


@pytest.mark.parametrize(
    "context",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.device("cpu"),
        lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
        torch.autograd.graph.save_on_cpu,
        nullcontext,
    ],
    ids=["no_grad", "inference_mode", "autocast", "device", "anomaly", "save_on_cpu", "none"],
)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_inside_a_callers_context(kind: type[Block], context: Callable[[], AbstractContextManager[object]]) -> None:
    model, x = kind(), torch.randn(2, 3, 8, 8)
    with context():
        before = state_of(model, x)
        check_whatever_happens(model, x)
        assert state_of(model, x) == before


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_users_hooks_and_gradients(kind: type[Block]) -> None:
    model, x = kind(), torch.randn(2, 3, 8, 8, requires_grad=True)
    called = []
    model.block.register_forward_hook(lambda *_: called.append("forward"))
    model.block[0].register_forward_pre_hook(lambda *_: called.append("pre"))
    model.block[0].weight.register_hook(lambda grad: called.append("tensor"))
    model.head.register_full_backward_hook(lambda *_: called.append("backward"))
    if kind in {Block, Broken, ThroughNumpy}:
        model(x).square().sum().backward()
        assert model.head.weight.grad is not None
    before = state_of(model, x)
    called.clear()
    check_whatever_happens(model, x)
    assert state_of(model, x) == before
    assert "forward" in called, "the user's own hooks are part of the model"


def train(model: nn.Module, *, checked: bool) -> dict[str, Tensor]:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
    for step in range(5):
        x, labels = torch.randn(4, 3, 8, 8), torch.randint(5, (4,))
        loss = nn.functional.cross_entropy(model(x), labels)
        if checked and step == 1:  # while the caller holds a graph
            gradflow.check(model, LAYER, inputs=x, target=2)
        loss.backward()
        if checked and step == 2:  # while the caller holds gradients
            gradflow.check(model, LAYER, inputs=x, cam=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        if checked and step == 3:
            with torch.no_grad():
                gradflow.check(model, "head", inputs=x)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("kind", [Block, Broken, ThroughNumpy])
def test_training_goes_on_as_if_nothing_had_happened(kind: type[Block]) -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(kind())
    without, with_checks = train(models[0], checked=False), train(models[1], checked=True)
    assert without.keys() == with_checks.keys()
    assert all(torch.equal(without[name], with_checks[name]) for name in without)


def live_tensors() -> int:
    gc.collect()
    return sum(1 for found in gc.get_objects() if issubclass(type(found), Tensor))


@pytest.mark.parametrize("kind", [Block, Broken, ThroughNumpy, BackwardRaises])
def test_reports_hold_no_tensors(kind: type[Block]) -> None:
    model, x = kind(), torch.randn(2, 3, 8, 8)
    activations: list[weakref.ref[Tensor]] = []
    model.block[0].register_forward_hook(lambda _m, _a, output: activations.append(weakref.ref(output)))
    reports = [gradflow.check(model, LAYER, inputs=x, target=1)]
    count = live_tensors()
    reports += [gradflow.check(model, LAYER, inputs=x, target=1) for _ in range(10)]
    for report in reports:
        assert report.graph.number_of_nodes()
    assert live_tensors() == count
    assert activations
    assert all(reference() is None for reference in activations)


def test_activations_are_freed_as_autograd_frees_them() -> None:
    """A layer without anything to save is not kept alive by being watched."""
    alive: list[int] = []
    outputs: list[weakref.ref[Tensor]] = []

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            for _ in range(20):
                x = x + 1  # saves nothing
                outputs.append(weakref.ref(x))
                alive.append(sum(reference() is not None for reference in outputs))
            return x

    gradflow.check(Chain(), "first", inputs=torch.randn(1, 4), target=0)
    assert max(alive) <= 2
