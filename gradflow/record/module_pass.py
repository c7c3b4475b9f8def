"""One forward pass that only looks at which modules run, in which order, and the shapes of what they return."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from gradflow.errors import UsageError
from gradflow.interrupts import give_held_interrupt
from gradflow.load.module_tree import named_modules_in, named_parameters_in
from gradflow.load.workload import Workload
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.record.conduct.whose_error import our_error, run_theirs, stepping_aside
from gradflow.record.failure import failure_of, model_raised
from gradflow.record.operation_kinds import EXPOSING, INPLACE_CAPABLE, is_inplace_name
from gradflow.record.patches import exports_announced
from gradflow.record.run import eager_compilation
from gradflow.record.state import StateKeeper, preserved
from gradflow.record.state.writes import run_announcing
from gradflow.record.tensor_facts import shape_of
from gradflow.spelled import Spelled
from gradflow.values import first_tensor, tensors_in

__all__ = ["ModuleCall", "ModulePass", "require_enterable", "run_modules"]

ADDITIONS = frozenset(
    (torch.add, torch.Tensor.add, torch.Tensor.add_, torch.Tensor.__add__, torch.Tensor.__iadd__, torch.Tensor.__radd__)
)
"""torch hands these very objects to a function mode."""

CONCATENATIONS = frozenset((torch.cat, torch.concat, torch.concatenate))


@dataclass(slots=True, kw_only=True)
class ModuleCall:
    """One call of a module.

    ``begun`` and ``ended`` count the beginnings and ends of all calls together, so that they order them. ``shape`` is
    that of the first tensor returned; ``shapes`` those of all; ``is_single`` tells that a plain tensor was returned.
    ``maker`` is the inner call that made the returned tensor, where this call only hands it on. ``join`` says how this
    module itself, not one inside it, brought branches together.
    """

    name: str
    module: torch.nn.Module
    begun: int
    ended: int = -1
    shape: tuple[int, ...] | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    is_single: bool = False
    is_floating: bool = False
    maker: ModuleCall | None = None
    join: str = ""


@dataclass(slots=True, kw_only=True)
class ModulePass:
    """All calls, in the order in which they ended, and what the model itself returned."""

    calls: list[ModuleCall] = field(default_factory=list)
    output_shapes: tuple[tuple[int, ...], ...] = ()
    has_plain_output: bool = True


def require_enterable(workload: Workload) -> None:
    """Raise where no hook can see the layers inside the model.

    Raises
    ------
    UsageError
        For TorchScript.
    """
    if not workload.can_enter:
        name = next((name for name, _ in named_parameters_in(workload.model)), "")
        raise UsageError(
            "the layers inside this model cannot be seen",
            note="; ".join(workload.limits),
            hint=Spelled(
                f"ask for a parameter instead, such as `--param {name}`",
                in_python=f"ask for a parameter instead, such as `{name}`",
            )
            if name
            else "",
        )


def run_modules(workload: Workload) -> ModulePass:
    """Run the model once without gradients and leave it as it was.

    Raises
    ------
    ModelRaisedError
        When the model raises.
    UsageError
        When modules cannot be followed inside the model (TorchScript).
    """
    require_enterable(workload)
    watch = _Watch(workload.model)
    inputs = [*workload.inputs, *workload.keyword_inputs.values()]
    with preserved(workload.model, inputs) as keeper, torch.no_grad(), eager_compilation(), watch.hooked():
        give_held_interrupt()
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(warnings_as_without_gradflow())
                stack.enter_context(exports_announced(keeper.before_write))
                stack.enter_context(keeper.noting())
                stack.enter_context(_OperationWatch(watch, keeper))
                output = workload.run_model(run_theirs)
        except Exception as error:
            raise model_raised(failure_of(error)) from error
        if watch.failed is not None:
            raise our_error(watch.failed)
        shapes = tuple(shape_of(tensor) for tensor in tensors_in(output))
        return ModulePass(calls=watch.finished, output_shapes=shapes, has_plain_output=isinstance(output, torch.Tensor))


class _Watch:
    """The hooks, and the stack of calls that are running."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.names: dict[int, str] = {id(module): name for name, module in named_modules_in(model)}
        self.running: list[ModuleCall] = []
        self.finished: list[ModuleCall] = []
        self.failed: Exception | None = None
        self._clock = 0
        self._last: tuple[weakref.ref[torch.Tensor], int, ModuleCall] | None = None

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        handles = (
            register_module_forward_pre_hook(stepping_aside(self.enter, self.step_aside)),
            register_module_forward_hook(stepping_aside(self.leave, self.step_aside), always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def step_aside(self, error: Exception) -> None:
        """Look no more: our own code has failed."""
        self.failed = self.failed or error
        self.names.clear()

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def enter(self, module: torch.nn.Module, inputs: Any) -> None:
        name = self.names.get(id(module))
        if name is not None:
            self.running.append(ModuleCall(name=name, module=module, begun=self._tick()))

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if id(module) not in self.names:
            return
        # a module that raised and was caught leaves its entry behind
        while self.running and self.running[-1].module is not module:
            self.running.pop()
        if not self.running:
            return
        call = self.running.pop()
        call.ended = self._tick()
        tensor = first_tensor(output)
        call.is_single = isinstance(output, torch.Tensor)
        call.shapes = tuple(shape_of(item) for item in tensors_in(output))
        if tensor is not None:
            call.shape = shape_of(tensor)
            call.is_floating = tensor.is_floating_point()
            call.maker = self._maker(tensor, call)
            self._last = (weakref.ref(tensor), _version(tensor), call)
        self.finished.append(call)

    def _maker(self, tensor: torch.Tensor, call: ModuleCall) -> ModuleCall | None:
        """The last call inside ``call``, when its result is handed on as it is, not even changed in place."""
        if self._last is None:
            return None
        reference, version, last = self._last
        if reference() is not tensor or _version(tensor) != version or last.begun < call.begun:
            return None
        return last.maker or last


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


class _OperationWatch(TorchFunctionMode):
    """Notes which module adds or concatenates activations itself, and announces writes to what belongs to the user."""

    def __init__(self, watch: _Watch, keeper: StateKeeper) -> None:
        super().__init__()
        self._watch = watch
        self._keeper = keeper
        self._announce = stepping_aside(keeper.before_write, watch.step_aside)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        try:
            self._look(function, args, kwargs)
        except Exception as error:  # noqa: BLE001  (an observer that fails steps aside)
            self._watch.step_aside(error)
        return run_announcing(function, args, kwargs, self._announce)

    def _look(self, function: Any, args: Any, kwargs: Any) -> None:
        name = getattr(function, "__name__", "")
        if args and (is_inplace_name(name) or name in INPLACE_CAPABLE or name in EXPOSING):
            self._keeper.before_write(args[0])
        if "out" in kwargs:
            self._keeper.before_write(kwargs["out"])
        if self._watch.running:
            self._note_join(function, args)

    def _note_join(self, function: Any, args: Any) -> None:
        call = self._watch.running[-1]
        if function in ADDITIONS and _are_activations(args[:2]) and args[0].shape == args[1].shape:
            call.join = "skip join"
        elif function in CONCATENATIONS and args and isinstance(args[0], list | tuple) and _are_activations(args[0]):
            call.join = call.join or "concatenation"


def _are_activations(values: Any) -> bool:
    return len(values) > 1 and all(
        isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter) and value.ndim > 1
        for value in values
    )
