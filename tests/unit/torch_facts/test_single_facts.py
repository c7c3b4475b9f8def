"""Each of these says what gradflow relies on, and fails with the release of torch that changes it."""

from __future__ import annotations

import sys
import traceback
import types
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradflow.record.operations.classify import Kind, classify
from gradflow.torch_facts.frames import (
    decorated_function,
    decorator_of,
    hook_that_runs,
    is_around_hooks,
    runs_again_for,
    without_hooks,
)
from gradflow.torch_facts.module_machinery import (
    BATCH_NORMS,
    CALLING,
    NORMS_WITH_STATISTICS,
    BackwardHookFunction,
    global_hook_tables,
    without_global_hook,
)
from gradflow.torch_facts.operators import is_custom, schemas_of
from gradflow.torch_facts.sequence_numbers import next_sequence_number
from gradflow.torch_facts.settings import saved_tensor_hooks
from gradflow.torch_facts.settings.of_thread import (
    default_device,
    print_options,
    set_grad_enabled,
    uses_autocast,
    validates_distributions,
)
from gradflow.torch_facts.special_calls.compiling import FINDING_BUILTINS, class_of_compiled_modules, is_compiler_loaded
from gradflow.torch_facts.special_calls.scripting import CALLED, TRACING, parameters_of_called
from gradflow.torch_facts.storages import StorageWeakRef, is_gone, memory_of_capsule, references_to
from gradflow.torch_facts.tensor_slots import MAKING_SUBCLASSES, getter, is_alias_of, method, setter
from gradflow.torch_facts.versions import set_versions


def test_the_next_node_gets_the_number_that_was_read_and_nothing_else_uses_one_up() -> None:
    x = torch.ones(2, requires_grad=True)
    number = next_sequence_number()
    torch.ones(2).exp()
    assert next_sequence_number() == number
    made = x * 2
    assert made.grad_fn is not None
    assert made.grad_fn._sequence_nr() == number
    assert next_sequence_number() == number + 1


def test_whether_distributions_look_at_their_arguments_is_what_was_set() -> None:
    found = validates_distributions()
    try:
        for value in (not found, found):
            torch.distributions.Distribution.set_default_validate_args(value)
            assert validates_distributions() is value
    finally:
        torch.distributions.Distribution.set_default_validate_args(found)


def test_what_a_reentrant_checkpoint_runs_again_tells_for_which_nodes_in_the_order_of_the_forward() -> None:
    seen: list[tuple[int, ...]] = []

    def inner(x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            seen.append(runs_again_for(sys._getframe()))
        return x.exp()

    def outer(x: torch.Tensor) -> torch.Tensor:
        return checkpoint(inner, x, use_reentrant=True).exp()  # type: ignore[no-any-return, no-untyped-call]

    x = torch.ones(2, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = checkpoint(outer, checkpoint(inner, x, use_reentrant=True), use_reentrant=True)  # type: ignore[no-untyped-call]
    assert not seen
    y.sum().backward()
    nested, plain = seen
    assert (len(nested), len(plain)) == (2, 1)
    assert plain[0] < nested[0] == y.grad_fn._sequence_nr() < nested[1]
    assert runs_again_for(sys._getframe()) == ()


class Raises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("in the forward")


def test_where_a_module_without_hooks_calls_its_forward_is_where_it_does() -> None:
    module = Raises()

    def calls() -> list[Any]:
        with pytest.raises(ValueError, match="in the forward") as caught:
            module(torch.ones(1))
        return [one for one in traceback.walk_tb(caught.value.__traceback__) if one[0].f_code in codes]

    codes = {CALLING, *(one for one in CALLING.co_consts if isinstance(one, types.CodeType))}
    with pytest.raises(ValueError, match="in the forward") as caught:
        module(torch.ones(1))
    trace = caught.value.__traceback__
    while trace is not None and trace.tb_frame.f_code is not CALLING:
        trace = trace.tb_next
    assert trace is not None
    plain = trace.tb_lasti, trace.tb_lineno
    assert without_hooks(trace.tb_frame, bool) == plain

    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: None)
    try:
        around, inner = (frame for frame, _ in calls())
        assert is_around_hooks(inner)
        assert not is_around_hooks(around)
        assert without_hooks(around, lambda hook: True) == plain
        assert without_hooks(around, lambda hook: False) is None
        assert without_hooks(inner, lambda hook: True) is None
        module.register_forward_hook(lambda *_: None)
        assert without_hooks(around, lambda hook: True) is None
    finally:
        hook.remove()


def test_whoever_else_holds_the_memory_of_a_tensor_is_one_more() -> None:
    tensor = torch.ones(2)
    storage = tensor.untyped_storage()
    alone = references_to(storage)
    for hold in (tensor.numpy, tensor.detach, tensor.untyped_storage):
        held = hold()
        assert references_to(storage) == alone + 1
        del held
        assert references_to(storage) == alone
    same = tensor
    assert references_to(storage) == alone
    assert same is tensor


class Shy(torch.Tensor):
    @property
    def requires_grad(self) -> bool:  # type: ignore[override]
        raise AttributeError("not told")


def test_slots_are_read_and_written_past_a_class() -> None:
    tensor = torch.ones(2).as_subclass(Shy)
    with torch._C.DisableTorchFunction():
        setter("requires_grad")(tensor, True)
        assert getter("requires_grad")(tensor) is True
        assert method("size")(tensor) == (2,)
        assert getter("_version")(tensor) == 0


def test_a_tensor_made_of_another_class_by_hand_is_a_leaf_over_the_same_numbers() -> None:
    computed = torch.ones(2, requires_grad=True) * 2
    made = getattr(*MAKING_SUBCLASSES)(Shy, computed)
    assert type(made) is Shy
    assert made.is_leaf
    assert is_alias_of(made, computed)


def test_tensors_in_one_storage_are_told_from_others_also_empty_ones() -> None:
    whole, other = torch.ones(4), torch.ones(4)
    assert is_alias_of(whole, whole[2:])
    assert not is_alias_of(whole, other)
    assert not is_alias_of(torch.empty(0), torch.empty(0))


def test_versions_are_put_back_and_autograd_takes_what_is_there() -> None:
    saved = torch.ones(2)
    loss = (saved * torch.ones(2, requires_grad=True)).sum()
    version = saved._version
    saved.mul_(3)
    set_versions((saved,), (version,))
    assert saved._version == version
    loss.backward()


def test_hooks_on_saved_tensors_are_a_stack() -> None:
    assert saved_tensor_hooks.top_hooks() is None
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        outer = saved_tensor_hooks.top_hooks()
        with torch.autograd.graph.save_on_cpu():
            inner = saved_tensor_hooks.top_hooks()
            assert inner not in (None, outer)
            saved_tensor_hooks.put_back(outer)
            assert saved_tensor_hooks.top_hooks() == outer
            saved_tensor_hooks.put_back(None)
            assert saved_tensor_hooks.top_hooks() is None
            for found in (outer, inner):
                getattr(*saved_tensor_hooks.PUSHING)(*found)
    assert saved_tensor_hooks.top_hooks() is None


def test_settings_without_public_readers() -> None:
    assert default_device() is None
    torch.set_default_device("meta")
    try:
        assert default_device() == torch.device("meta")
    finally:
        torch.set_default_device(None)
    assert not uses_autocast()
    with torch.autocast("cpu"):
        assert uses_autocast()
    assert "precision" in print_options()
    set_grad_enabled(False)
    try:
        assert not torch.is_grad_enabled()
    finally:
        set_grad_enabled(True)


def test_a_function_mode_is_handed_the_very_function_that_switches() -> None:
    handed: list[Any] = []

    class Noting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            handed.append(func)
            return func(*args, **(kwargs or {}))

    with Noting(), torch.no_grad():
        pass
    assert set_grad_enabled in handed


def test_the_code_that_calls_a_module_is_on_the_stack_of_its_forward() -> None:
    class Looking(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            frame: Any = sys._getframe(1)
            while frame is not None and frame.f_code is not CALLING:
                frame = frame.f_back
            assert frame is not None
            return x

    Looking()(torch.ones(1))


def test_the_hook_that_a_module_calls_and_the_function_that_a_decorator_wraps_are_in_their_callers_frames() -> None:
    found: list[Any] = []

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        found.append(hook_that_runs(sys._getframe(1)))

    layer = nn.Linear(1, 1)
    layer.register_forward_hook(hook)
    layer(torch.ones(1))
    assert found == [hook]

    @torch.no_grad()
    def decorated() -> Any:
        return decorated_function(sys._getframe(1)), hook_that_runs(sys._getframe(1))

    assert decorated() == (decorated.__wrapped__, None)

    @torch.inference_mode
    def inference() -> Any:
        return decorator_of(sys._getframe(1))

    assert type(inference()) is torch.inference_mode
    assert decorator_of(sys._getframe()) is None


def test_tables_of_hooks_on_all_modules() -> None:
    tables = global_hook_tables()
    handle = nn.modules.module.register_module_forward_hook(lambda *given: None)
    try:
        assert any(handle.id in table for table in tables.values())
    finally:
        handle.remove()


@pytest.mark.parametrize("is_still_on", [True, False])
def test_one_hook_on_all_modules_is_off_for_a_while(is_still_on: bool) -> None:
    called: list[str] = []

    def register(name: str, **how: Any) -> Any:
        return nn.modules.module.register_module_forward_hook(lambda *given: called.append(name), **how)

    layer = nn.Identity()
    first, own, last = register("first"), register("own", always_call=True), register("last")
    try:
        with without_global_hook(own, lambda: is_still_on):
            later = register("later")
            layer(1)
            last.remove()
        layer(1)
    finally:
        for handle in (first, own, last, later):
            handle.remove()
    assert called == ["first", "last", "later", "first", *["own"] * is_still_on, "later"]


def test_a_full_backward_hook_of_a_module_puts_its_function_into_the_graph() -> None:
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda *given: None)
    node: Any = layer(torch.ones(1, 2)).grad_fn
    assert type(node).__name__ == f"{BackwardHookFunction.__name__}Backward"


def test_classes_of_norms() -> None:
    assert isinstance(nn.BatchNorm2d(2), BATCH_NORMS)
    assert not isinstance(nn.InstanceNorm2d(2), BATCH_NORMS)
    assert isinstance(nn.InstanceNorm2d(2), NORMS_WITH_STATISTICS)
    assert not isinstance(nn.LayerNorm(2), NORMS_WITH_STATISTICS)


@pytest.mark.parametrize("function", [torch.ops.aten.add_.Tensor, torch.ops.aten.add_])
def test_an_operation_of_the_dispatcher_declares_what_it_writes_to(function: Any) -> None:
    schemas = list(schemas_of(function))
    assert schemas
    assert all(one.is_mutable and one.arguments[0].alias_info.is_write for one in schemas)
    assert list(schemas_of(torch.add)) == []


def test_an_operator_that_somebody_registered_is_told_from_torchs() -> None:
    @torch.library.custom_op("gradflow_facts::item", mutates_args=())
    def item(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    packet = torch.ops.gradflow_facts.item
    assert is_custom(packet)
    assert is_custom(packet.default)
    assert classify(packet.default)[0] == Kind.PLAIN
    for own in (torch.ops.aten.item, torch.ops.aten.item.default, torch.Tensor.item, torch.relu):
        assert not is_custom(own)
    assert classify(torch.ops.aten.item)[0] == Kind.EXIT


def test_where_the_compiler_and_the_scripter_look_things_up() -> None:
    assert callable(getattr(*FINDING_BUILTINS))
    compiled = torch.compile(nn.Linear(1, 1), backend="eager")
    assert is_compiler_loaded()
    assert isinstance(compiled, class_of_compiled_modules())


@pytest.mark.filterwarnings("ignore")
def test_python_calls_torchscript_through_two_classes_that_tell_what_they_read() -> None:
    module = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    function = torch.jit.trace(lambda x: x * 2, torch.ones(1, 2))
    for called, held in ((module.forward, module), (traced.forward, traced), (function, nn.Identity())):
        assert isinstance(called, CALLED)
        assert {id(one) for one in parameters_of_called(called)} == {id(one) for one in held.parameters()}


def test_a_capsule_shows_the_memory_of_its_tensor_until_it_is_used_up() -> None:
    tensor = torch.ones(4)[1:]
    capsule = torch.utils.dlpack.to_dlpack(tensor)
    assert memory_of_capsule(capsule) == tensor.data_ptr()
    torch.from_dlpack(capsule)
    assert memory_of_capsule(capsule) == memory_of_capsule(tensor) == 0


def test_a_storage_that_is_gone_is_known_to_be() -> None:
    tensor = torch.ones(4)
    reference, array = StorageWeakRef(tensor.untyped_storage()), tensor.numpy()
    del tensor
    assert not is_gone(reference)
    del array
    assert is_gone(reference)


@pytest.mark.parametrize("make", ["function", "function of a dictionary", "module", "method of a dictionary", "graph"])
@pytest.mark.filterwarnings("ignore")
def test_a_trace_is_made_by_one_of_these(make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def noted(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            used.append(name)
            return original(*args, **kwargs)

        return call

    for owner, name in TRACING:
        monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
    layer, x = torch.nn.Identity(), torch.ones(2)
    {
        "function": lambda: torch.jit.trace(lambda x: x * 2, x, check_trace=False),
        "function of a dictionary": lambda: torch.jit.trace(lambda x: x * 2, example_kwarg_inputs={"x": x}),
        "module": lambda: torch.jit.trace(layer, x, check_trace=False),
        "method of a dictionary": lambda: torch.jit.trace(layer, example_kwarg_inputs={"input": x}),
        "graph": lambda: torch.jit._get_trace_graph(layer, (x,)),
    }[make]()
    assert used
