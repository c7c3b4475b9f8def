"""`preserved`: whatever a run does to a model or to torch is undone."""

from __future__ import annotations

import contextlib
import gc
import random
import weakref
from array import array
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gradflow.record.state import preserved, tensors
from gradflow.record.state.tensors import Memory


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.frozen = nn.BatchNorm1d(3).eval()
        self.register_buffer("mask", torch.ones(3), persistent=False)
        self.plain = torch.tensor([1.0, float("nan"), -0.0])
        self.log: list[Tensor] = []
        self.options = {"alpha": 1, "nested": [1, 2]}
        self.array = np.arange(3.0)
        self.generator = torch.Generator().manual_seed(3)
        self.held: Any = None
        self.hidden = [nn.Linear(2, 2)]  # not registered: `modules()` does not know it

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.linear(x)) * self.mask
        return out


@pytest.fixture
def model() -> Small:
    torch.manual_seed(0)
    return Small()


def write_data(tensor: Tensor, value: Tensor) -> None:
    tensor.data = value


class Slots:
    __slots__ = ("count", "found", "later")

    def __init__(self) -> None:
        self.count, self.found = 0, [1]


class OwnDict(dict[str, int]):
    __getattr__ = dict.__getitem__

    def __setitem__(self, key: str, value: int) -> None:
        raise AssertionError("what is put back is put back as a dict")


class OwnOrder(OrderedDict[str, int]):
    pass


class OwnList(list[int]):
    def __iter__(self) -> Iterator[int]:
        raise AssertionError("what is looked at is looked at as a list")


class OwnSet(set[int]):
    pass


class Connects:
    """Does something whenever it is asked for an attribute."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"not connected: {name}")


def counter() -> Callable[[], None]:
    count = 0
    log: list[int] = []

    def count_on() -> None:
        nonlocal count
        count += 1
        log.append(count)

    return count_on


def step(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
        group["lr"] *= 0.5
    optimizer.step()


HELD: dict[str, tuple[Callable[[], Any], Callable[[Any], object], Callable[[Any], object]]] = {
    "slots": (Slots, lambda held: setattr(held, "count", 5), lambda held: held.count),
    "a slot that was empty": (Slots, lambda held: setattr(held, "later", 5), lambda held: hasattr(held, "later")),
    "a list in slots": (Slots, lambda held: held.found.append(2), lambda held: list(held.found)),
    "a dict of its own": (lambda: OwnDict(a=1), lambda held: held.update(b=2), sorted),
    "an order of its own": (
        lambda: OwnOrder(a=1, b=2),
        lambda held: held.move_to_end("a"),
        lambda held: list(held.items()),
    ),
    "a list of its own": (lambda: OwnList([1]), lambda held: held.append(2), len),
    "a set of its own": (lambda: OwnSet({1}), lambda held: held.add(2), sorted),
    "bytes": (lambda: bytearray(b"ab"), lambda held: held.extend(b"c"), bytes),
    "an array of numbers": (lambda: array("d", [1.0]), lambda held: held.append(2.0), lambda held: held.tolist()),
    "a dict of the standard library": (lambda: UserDict(a=1), lambda held: held.update(b=2), dict),
    "an optimizer": (
        lambda: torch.optim.Adam([nn.Parameter(torch.ones(2, requires_grad=True))]),
        step,
        lambda held: (held.param_groups[0]["lr"], str(dict(held.state)), held.param_groups[0]["params"][0].tolist()),
    ),
    "a schedule": (
        lambda: torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1), 1),
        lambda held: (held.optimizer.step(), held.step()),
        lambda held: (held.last_epoch, held.get_last_lr(), held.optimizer.param_groups[0]["lr"]),
    ),
    "a weak dictionary": (
        weakref.WeakKeyDictionary,
        lambda held: held.setdefault(Slots, 1),
        lambda held: list(held.items()),
    ),
    "a weak set": (weakref.WeakSet, lambda held: held.add(Slots), list),
    "a source of random bits": (
        lambda: np.random.PCG64(3),
        lambda held: held.random_raw(),
        lambda held: str(held.state),
    ),
    "a closure": (
        counter,
        lambda held: held(),
        lambda held: [str(cell.cell_contents) for cell in held.__closure__],
    ),
}


@pytest.mark.parametrize("kind", HELD)
def test_what_a_model_holds_is_as_found(model: Small, kind: str) -> None:
    make, change, look = HELD[kind]
    model.held = make()
    before = look(model.held)
    with preserved(model) as keeper:
        change(model.held)
        assert look(model.held) != before
        keeper.rewind()
        assert look(model.held) == before
        change(model.held)
    assert look(model.held) == before


def test_an_object_is_not_asked_for_what_it_holds(model: Small) -> None:
    connects = Connects()
    model.options.update(client=connects, config=OwnDict(width=4))
    with preserved(model):
        object.__getattribute__(connects, "__dict__")["asked"] = 1
    assert object.__getattribute__(connects, "__dict__") == {"asked": 0}


def test_what_a_running_function_shares_with_the_model_is_that_functions(model: Small) -> None:
    seen: list[int] = []
    model.held = lambda: seen.append(1)
    with preserved(model):
        model.held()
    assert seen == [1]


def test_a_thread_that_uses_what_the_model_holds_goes_on(model: Small) -> None:
    with ThreadPoolExecutor(1) as pool:
        model.held = pool
        with preserved(model):
            pool.submit(int).result()
        assert pool.submit(int, 3).result() == 3


CHANGES: dict[str, Callable[[Small], object]] = {
    "training flags": lambda m: m.eval(),
    "training flag of an unregistered module": lambda m: m.hidden[0].eval(),
    "running statistics": lambda m: [m(torch.randn(4, 3)) for _ in range(3)],
    "non-persistent buffer in place": lambda m: m.mask.zero_(),
    "non-persistent buffer replaced": lambda m: setattr(m, "mask", torch.zeros(3)),
    "new buffer": lambda m: m.register_buffer("extra", torch.ones(1)),
    "plain tensor in place": lambda m: m.plain.copy_(torch.tensor([1.0, 2.0, 0.0])),
    "plain tensor replaced": lambda m: setattr(m, "plain", torch.zeros(1)),
    "plain tensor deleted": lambda m: delattr(m, "plain"),
    "new attribute": lambda m: setattr(m, "aux", torch.ones(1)),
    "list appended": lambda m: m.log.append(torch.ones(1)),
    "nested list": lambda m: m.options["nested"].append(3),  # type: ignore[attr-defined]
    "dict entry": lambda m: m.options.update(alpha=2),
    "array": lambda m: m.array.fill(7),
    "own generator": lambda m: torch.rand(2, generator=m.generator),
    "parameter replaced": lambda m: setattr(m.linear, "weight", nn.Parameter(torch.zeros(3, 3))),
    "parameter's data replaced": lambda m: write_data(m.linear.weight, torch.zeros(5)),
    "buffer's data replaced": lambda m: write_data(m.mask, torch.zeros(2)),
    "module replaced": lambda m: setattr(m, "linear", nn.Linear(1, 1)),
    "module's class": lambda m: setattr(m.linear, "__class__", nn.Identity),
    "requires_grad of a parameter": lambda m: m.linear.requires_grad_(False),
    "requires_grad of a buffer": lambda m: m.mask.requires_grad_(),
    "grad made": lambda m: m(torch.randn(4, 3)).square().sum().backward(),
    "forward hook": lambda m: m.linear.register_forward_hook(lambda *_: None),
    "forward hook with arguments": lambda m: m.linear.register_forward_hook(lambda *_: None, with_kwargs=True),
    "pre-hook": lambda m: m.register_forward_pre_hook(lambda *_: None),
    "full backward hook": lambda m: m.norm.register_full_backward_hook(lambda *_: None),
    "tensor hook": lambda m: m.linear.weight.register_hook(lambda grad: None),
    "accumulate-grad hook": lambda m: m.linear.weight.register_post_accumulate_grad_hook(lambda p: None),
    "attribute of a parameter": lambda m: setattr(m.linear.weight, "tag", 1),
}


def portrait(value: Any, seen: dict[int, str] | None = None) -> Any:
    """Everything there is to see of an object, as comparable data; identities included."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return ("again", id(value))
    if isinstance(value, (type(None), bool, int, float, str, type)):
        return value
    seen[id(value)] = type(value).__name__
    if isinstance(value, Tensor):
        facts = (id(value), type(value).__name__, value.data_ptr(), tuple(value.shape), value.stride(), value.is_leaf)
        content = value.detach().contiguous().reshape(-1).view(torch.uint8).tolist()
        hooks = (dict(value._backward_hooks or {}), dict(value._post_accumulate_grad_hooks or {}))
        grad = portrait(value.grad, seen) if value.is_leaf else None
        return (*facts, content, value._version, value.requires_grad, grad, portrait(value.__dict__, seen), hooks)
    if isinstance(value, np.ndarray):
        return (id(value), value.tobytes())
    if isinstance(value, torch.Generator):
        return (id(value), value.get_state().tolist())
    if isinstance(value, nn.Module):
        return (id(value), type(value).__name__, portrait(value.__dict__, seen))
    if isinstance(value, dict):
        return (id(value), [(key, portrait(entry, seen)) for key, entry in value.items()])
    if isinstance(value, (list, tuple, set, deque)):
        return (id(value) if not isinstance(value, tuple) else 0, [portrait(entry, seen) for entry in value])
    return id(value)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("raises", [False, True], ids=["returns", "raises"])
def test_everything_is_as_found(model: Small, change: Callable[[Small], object], raises: bool) -> None:
    before = portrait(model)
    outcome = pytest.raises(RuntimeError, match="midway") if raises else contextlib.nullcontext()
    with outcome, preserved(model) as keeper:
        change(model)
        assert portrait(model) != before, "the change must be visible, or the test shows nothing"
        if raises:
            raise RuntimeError("midway")
    assert portrait(model) == before
    assert keeper.unrestored == ()


@pytest.fixture
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "SMALL_BYTES", 0)


@pytest.mark.usefixtures("nothing_is_small")
@pytest.mark.parametrize(
    "write",
    [
        lambda weight: weight.mul_(2),
        lambda weight: weight.data.mul_(2),
        lambda weight: weight.detach().view(-1)[2:4].zero_(),
        lambda weight: torch.mul(weight, 2, out=weight),
    ],
    ids=["in place", "through .data", "through a view", "out="],
)
def test_a_parameter_is_copied_when_it_is_about_to_be_written(model: Small, write: Callable[[Tensor], object]) -> None:
    before = portrait(model)
    weight = model.linear.weight
    with preserved(model) as keeper, torch.no_grad():
        keeper.before_write(weight.data.view(-1)[2:3])
        write(weight)
    assert portrait(model) == before
    assert keeper.unrestored == ()


@pytest.mark.usefixtures("nothing_is_small")
def test_parameters_are_not_copied_for_nothing(model: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = Memory.save
    monkeypatch.setattr(Memory, "save", lambda memory: (saved.append(memory.storage.data_ptr()), save(memory))[1])
    with preserved(model) as keeper:
        model(torch.randn(4, 3))
        parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        assert parameters.isdisjoint(saved)
        keeper.before_write([model.linear.weight, torch.ones(2)])
        assert parameters.intersection(saved) == {model.linear.weight.untyped_storage().data_ptr()}


@pytest.mark.usefixtures("nothing_is_small")
def test_a_write_nobody_announced_is_admitted(model: Small) -> None:
    with preserved(model) as keeper, torch.no_grad():
        model.linear.weight.mul_(2)
    assert keeper.unrestored == ("`linear.weight`",)


def test_a_graph_of_the_caller_can_still_be_differentiated(model: Small) -> None:
    x = torch.randn(4, 3)
    loss = (model.linear(x) * model.mask).square().sum()
    expected = torch.autograd.grad(loss, model.linear.weight, retain_graph=True)[0]
    with preserved(model, (x,)) as keeper, torch.no_grad():
        keeper.before_write(model.linear.weight)
        model.linear.weight.zero_()
        model.mask.zero_()
        x.zero_()
    assert torch.equal(torch.autograd.grad(loss, model.linear.weight)[0], expected)


@pytest.mark.usefixtures("nothing_is_small")
def test_gradients_the_caller_has_accumulated(model: Small) -> None:
    model(torch.randn(4, 3)).square().sum().backward()
    before = portrait(model)
    with preserved(model) as keeper:
        model(torch.randn(4, 3)).square().sum().backward()
        assert portrait(model) != before
    assert portrait(model) == before
    assert keeper.unrestored == ()


def test_inputs_are_as_found(model: Small) -> None:
    first, second = torch.randn(4, 3), torch.randn(4, 3, requires_grad=True)
    second.square().sum().backward()
    listed = [first]
    before = portrait([first, second])[1]
    with preserved(model, ({"images": listed}, second)):
        first.mul_(model.linear.weight.sum())  # no longer a leaf
        assert not first.is_leaf
        listed[0] = torch.zeros(1)
        second.requires_grad_(False).zero_()
        second.grad = None
    assert portrait([first, second])[1] == before
    assert listed[0] is first


def test_a_view_that_got_a_history_is_admitted(model: Small) -> None:
    batch = torch.randn(4, 3)
    view, values = batch[:2], batch.clone()
    with preserved(model, (view,)) as keeper:
        view.mul_(model.linear.weight.sum())
    assert torch.equal(batch.detach(), values)
    assert keeper.unrestored == ("a tensor of shape [2, 3]",)


def test_users_hooks_stay_in_their_order(model: Small) -> None:
    first = model.linear.register_forward_hook(lambda *_: None)
    second = model.linear.register_forward_hook(lambda *_: None)
    before = OrderedDict(model.linear._forward_hooks)
    with preserved(model):
        first.remove()
        model.linear.register_forward_hook(lambda *_: None, prepend=True)
    assert list(model.linear._forward_hooks.items()) == list(before.items())
    second.remove()
    assert list(model.linear._forward_hooks) == [first.id]


def test_spectral_norm_iterates_in_vain() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(4, 4))
    before = portrait(layer)
    with preserved(layer):
        for _ in range(3):
            layer(torch.randn(2, 4))
        assert portrait(layer) != before
    assert portrait(layer) == before


def test_a_lazy_module_stays_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(2))
    with preserved(model):
        model(torch.randn(1, 5))
        assert type(model[0]) is nn.Linear
    assert type(model[0]) is nn.LazyLinear
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    assert model(torch.randn(1, 7)).shape == (1, 2)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(1)
        return x + self.count


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:FutureWarning")
def test_scripted_modes() -> None:
    traced = torch.jit.trace(nn.Sequential(nn.Tanh(), Counting()), torch.randn(3, 2), check_trace=False)
    count = traced.state_dict()["1.count"].clone()
    with preserved(traced):
        traced(torch.randn(3, 2))
        traced.eval()
        assert traced.state_dict()["1.count"] == count + 1
    assert all(module.training for module in traced.modules())
    assert traced.state_dict()["1.count"] == count


def test_large_buffers_are_copied_on_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradflow.record.state.keeper.COPIED_BEFOREHAND_BYTES", 64)
    model = nn.Module()
    model.register_buffer("small", torch.zeros(4))
    model.register_buffer("large", torch.zeros(64))
    with preserved(model) as keeper:
        model.small.add_(1)
        keeper.before_write(model.large)
        model.large.add_(1)
    assert not model.small.any()
    assert not model.large.any()
    assert keeper.unrestored == ()


def test_read_only_memory_is_not_written_to() -> None:
    array = np.arange(4.0)
    array.flags.writeable = False
    model = nn.Module()
    with pytest.warns(UserWarning, match="not writable"):
        model.register_buffer("table", torch.from_numpy(array))
    model.constant = array
    with preserved(model):
        pass
    assert model.constant is array


def test_rewind_lets_the_second_run_see_what_the_first_saw(model: Small) -> None:
    x = torch.randn(4, 3)

    def run() -> Tensor:
        noise = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002 - the global generator is meant
        x.mul_(2)
        model.mask.mul_(0.5)
        model.log.append(x)
        return model(x) * noise + len(model.log)

    with preserved(model, (x,)) as keeper:
        model.linear.register_forward_hook(handle := lambda *_: None)
        model.eval()
        first = run()
        keeper.rewind()
        second = run()
        assert torch.equal(first, second)
        assert handle in model.linear._forward_hooks.values(), "the block's own hooks survive"
        assert not model.training
    assert model.training
    assert not model.linear._forward_hooks


SETTINGS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "grad mode": (torch.is_grad_enabled, lambda: torch._C._set_grad_enabled(False)),
    "default dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "default device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "deterministic": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    "anomaly": (torch.is_anomaly_enabled, lambda: torch.set_anomaly_enabled(True)),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "autocast dtype": (
        lambda: torch.get_autocast_dtype("cpu"),
        lambda: torch.set_autocast_dtype("cpu", torch.float16),
    ),
    "autocast cache": (torch.is_autocast_cache_enabled, lambda: torch.set_autocast_cache_enabled(False)),
    "benchmark": (lambda: torch.backends.cudnn.benchmark, lambda: torch._C._set_cudnn_benchmark(True)),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "saved-tensor hooks": (
        lambda: torch._C._autograd._top_saved_tensors_default_hooks(False),
        lambda: torch._C._autograd._push_saved_tensors_default_hooks(lambda t: t, lambda t: t),
    ),
    "hooks on all modules": (
        lambda: list(nn.modules.module._global_forward_hooks),
        lambda: nn.modules.module.register_module_forward_hook(lambda *_: None),
    ),
    "torch's random numbers": (lambda: torch.get_rng_state().tolist(), lambda: torch.rand(1)),
    "NumPy's random numbers": (
        lambda: str(np.random.get_state()),  # noqa: NPY002
        lambda: np.random.rand(700),  # noqa: NPY002
    ),
    "Python's random numbers": (random.getstate, random.random),
    "TF32 in products": (
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", not torch.backends.cuda.matmul.allow_tf32),
    ),
    "precision of products": (
        torch.get_float32_matmul_precision,
        lambda: torch.set_float32_matmul_precision("medium"),
    ),
    "precision of one backend": (
        lambda: torch.backends.mkldnn.matmul.fp32_precision,
        lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    ),
    "kernels of attention": (
        torch.backends.cuda.flash_sdp_enabled,
        lambda: torch.backends.cuda.enable_flash_sdp(not torch.backends.cuda.flash_sdp_enabled()),
    ),
    "fast path of transformers": (
        torch.backends.mha.get_fastpath_enabled,
        lambda: torch.backends.mha.set_fastpath_enabled(False),
    ),
    "how many kernels are tried": (
        lambda: torch.backends.cudnn.benchmark_limit,
        lambda: setattr(torch.backends.cudnn, "benchmark_limit", 3),
    ),
    "autocast of another device": (
        lambda: torch.get_autocast_dtype("xpu"),
        lambda: torch.set_autocast_dtype("xpu", torch.float32),
    ),
    "arguments of distributions": (
        lambda: torch.distributions.Distribution._validate_args,
        # torch's compiler has switched it off, where it was imported
        lambda: torch.distributions.Distribution.set_default_validate_args(
            not torch.distributions.Distribution._validate_args
        ),
    ),
    "sparse tensors": (
        torch.sparse.check_sparse_tensor_invariants.is_enabled,
        torch.sparse.check_sparse_tensor_invariants.enable,
    ),
    "parameters of `to`": (
        torch.__future__.get_swap_module_params_on_conversion,
        lambda: torch.__future__.set_swap_module_params_on_conversion(True),
    ),
    "print options": (
        lambda: repr(torch.ones(1) / 3),
        lambda: torch.set_printoptions(precision=2),
    ),
    "NumPy's print options": (lambda: repr(np.ones(1) / 3), lambda: np.set_printoptions(precision=2)),
    "NumPy's errors": (np.geterr, lambda: np.seterr(all="raise")),
}


@pytest.fixture
def untouched_threads() -> Iterator[None]:
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.mark.usefixtures("untouched_threads")
@pytest.mark.parametrize(("read", "change"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_are_as_found(read: Callable[[], object], change: Callable[[], object]) -> None:
    before = read()
    with preserved(nn.Identity()):
        change()
        assert read() != before
    assert read() == before


@pytest.mark.usefixtures("untouched_threads")
@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"grad mode", "hooks on all modules"}))
def test_the_next_run_begins_with_the_settings_of_the_first(name: str) -> None:
    read, change = SETTINGS[name]
    with preserved(nn.Identity()) as keeper:
        before = read()
        for _ in range(2):
            with keeper.noting():
                change()
            assert read() != before
            keeper.rewind()
            assert read() == before


def test_what_the_block_has_set_stays() -> None:
    with preserved(nn.Identity()) as keeper, torch.no_grad():
        torch.set_default_dtype(torch.float64)
        handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
        with keeper.noting():
            torch.set_default_dtype(torch.float32)
        with torch.enable_grad():
            keeper.rewind()
            assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert handle.id in nn.modules.module._global_forward_hooks


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu"), lambda: torch.device("cpu")]
)
def test_inside_a_callers_mode(model: Small, context: Callable[[], Any]) -> None:
    with context():
        modes = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"))
        before = portrait(model)
        with preserved(model) as keeper, torch.inference_mode(False), torch.enable_grad():
            model(torch.randn(4, 3))
            keeper.before_write(model.linear.weight)
            model.linear.weight.data.zero_()
            keeper.rewind()
        assert portrait(model) == before
        assert modes == (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        )


def test_a_model_made_in_inference_mode() -> None:
    with torch.inference_mode():
        model = Small().eval()
        values = model.mask.clone(), model.linear.weight.clone()
        with preserved(model) as keeper:
            keeper.before_write(model.linear.weight)
            model.linear.weight.zero_()
            model.mask.zero_()
        assert torch.equal(model.mask, values[0])
        assert torch.equal(model.linear.weight, values[1])


def test_meta_and_sparse_tensors_are_no_obstacle() -> None:
    model = nn.Sequential(nn.Linear(2, 2, device="meta"), nn.BatchNorm1d(2, device="meta"))
    model.register_buffer("adjacency", torch.eye(2).to_sparse())
    flags = [parameter.requires_grad for parameter in model.parameters()]
    with preserved(model) as keeper:
        model(torch.randn(4, 2, device="meta"))
        model.requires_grad_(False)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert keeper.unrestored == ()


def test_nested_blocks(model: Small) -> None:
    before = portrait(model)
    with preserved(model) as outer:
        with preserved(model) as inner:
            inner.before_write(model.linear.weight)
            model.linear.weight.data.zero_()
            model(torch.randn(4, 3))
        assert portrait(model) == before
    assert portrait(model) == before
    assert (outer.unrestored, inner.unrestored) == ((), ())


def test_nothing_is_kept(model: Small) -> None:
    with preserved(model, (torch.randn(4, 3),)) as keeper:
        model.log.append(model(torch.randn(4, 3)))
    gc.collect()
    kept = [o for o in gc.get_referents(keeper) if isinstance(o, (list, dict)) and o]
    assert [o for o in kept if any(isinstance(entry, Tensor) for entry in o)] == []
    assert model.log == []
