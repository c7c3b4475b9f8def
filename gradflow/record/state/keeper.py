"""The promise to be harmless: whatever happens in a run, the model and torch are left exactly as they were found.

Copying a whole model before each run would cost as much memory as the model. Instead, only what may be written to
without a word is copied beforehand: buffers, such as the running statistics of a batch norm, whatever somebody else
holds as well, as an array or a storage, and what is so small that a copy costs nothing. Parameters and other large
tensors are copied when the first in-place operation is about to write to them (copy on write), which the recorder
sees and announces by :meth:`StateKeeper.before_write`, also where it happens inside a function of torch. What was
written past all that, to a mere address, shows in a fingerprint of the bytes, which the smaller parameters get, and
is told.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from gradflow.load.module_tree import named_buffers_in, named_parameters_in
from gradflow.record.conduct.replacing import replace
from gradflow.record.conduct.turns import Turn
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.state.each import do_each
from gradflow.record.state.holders import is_held_elsewhere
from gradflow.record.state.kept.of_runs import NotingMode, TensorsOfRun
from gradflow.record.state.objects import ObjectStates
from gradflow.record.state.settings import RandomState, Settings
from gradflow.record.state.surroundings import Surroundings
from gradflow.record.state.tensors import Memory, TensorState, has_values, memory_of, restore_versions, wrapped_tensors
from gradflow.torch_facts.dispatch_modes import outside_torch
from gradflow.torch_facts.function_modes import unseen

__all__ = ["StateKeeper", "preserved"]

COPIED_BEFOREHAND_BYTES = 64 * 1024**2
FINGERPRINTED_BYTES = 4 * 1024**2
"""What can be read twice in about a hundredth of the time of a small check."""


class StateKeeper:
    """Knows how a model, its inputs and torch were found, and can put them back. Made by :func:`preserved`."""

    def __init__(self, model: nn.Module, tensors: Iterable[object] = ()) -> None:
        self._model = model
        self._settings = Settings()
        self._random = RandomState()
        with outside_torch():
            inputs = list(tensors)
            self._objects = ObjectStates([model, inputs])
            self._surroundings = Surroundings(self._objects.functions, self._objects.classes)
            self._memories: dict[int, Memory] = {}
            self._states_in: dict[Memory, list[TensorState]] = {}
            self._tensors: list[TensorState] = []
            self._grads: list[TensorState] = []
            for tensor in self._objects.tensors:
                self._watch(tensor)
            self._copy_beforehand()
        self._unrestored: tuple[str, ...] = ()
        self._of_runs: Settings | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that the model and its inputs hold, registered or not."""
        return tuple(self._objects.tensors)

    @property
    def unrestored(self) -> tuple[str, ...]:
        """Names of tensors that could not be put back, known after the block; empty in all but contrived cases.

        A large parameter written to without :meth:`before_write`, or an input that is a view into which the model has
        written values with a gradient.
        """
        return self._unrestored

    def before_write(self, value: object) -> None:
        """Announce that an operation is about to write to a tensor, or to the tensors of a list or tuple.

        Tensors that share memory with nothing that belongs to the model or its inputs are ignored.
        """
        if isinstance(value, Tensor):
            with unseen():
                storage = memory_of(value)
            memory = None if storage is None else self._memories.get(storage._cdata)
            if memory is not None and not memory.is_saved and not memory.is_late:
                with outside_torch():
                    memory.is_late = any(state.is_written for state in self._states_in[memory])
                    memory.save()
        elif isinstance(value, (list, tuple)):
            for entry in value:
                self.before_write(entry)

    def announce_backward(self, stack: contextlib.ExitStack) -> None:
        """Copy what the caller has accumulated in ``.grad`` when the model itself calls ``backward()``.

        That accumulates in place, where no function mode sees it. Holds as long as ``stack`` is open, in this thread.
        """
        if not self._grads:
            return
        backward, thread = torch.autograd.backward, threading.get_ident()

        @functools.wraps(backward)
        def announced(*args: Any, **kwargs: Any) -> None:
            if threading.get_ident() == thread:
                with outside_torch():
                    for state in self._grads:
                        if state.memory is not None:
                            state.memory.save()
            run_theirs(backward, args, kwargs)

        replace(stack, torch.autograd, "backward", announced)

    def note_run(self, run: TensorsOfRun) -> None:
        """A recorded run begins: the tensors that it makes are not to stay in memos of the user's functions."""
        self._surroundings.note_run(run)
        self._of_runs = self._of_runs or Settings()

    def noting(self) -> NotingMode:
        """The same for a run that is not recorded: a mode for the time of it."""
        mode = NotingMode()
        self.note_run(mode.notes)
        return mode

    def rewind(self) -> None:
        """Let the next run start from where the first one did.

        Puts back random number generators, buffers, parameters, inputs, ``.grad``, the attributes of modules, and the
        settings of torch as they were when the first run began. Hooks, training flags and ``requires_grad`` of leaves
        stay as the block has set them; a history that a run has written into a buffer ends, as the graph of that run
        may be freed.
        """
        if self._of_runs is not None:
            self._of_runs.rewind()
        with outside_torch():
            histories = (state.forget_history for state in self._tensors)
            do_each((self._objects.rewind, self._surroundings.restore, self._restore_values, *histories))
        self._random.restore()

    def restore(self) -> None:
        """Put everything back, and let go of it."""
        with contextlib.ExitStack() as steps:  # in reverse order; each is done also when one before it fails
            steps.callback(self._release)
            steps.callback(self._random.restore)
            steps.callback(self._settings.restore)
            steps.callback(self._restore_model)

    def _restore_model(self) -> None:
        with outside_torch():
            hooks = (state.restore_hooks for state in self._tensors)
            steps = (self._objects.restore, self._surroundings.restore, self._restore_values, *hooks)
            looks = (memory.look for memory in self._memories.values())
            do_each((*steps, *looks, self._restore_autograd))

    def _restore_autograd(self) -> None:
        failed = [state for state in self._tensors if not state.restore_autograd()]
        lost = [state for state in (*self._tensors, *self._grads) if _is_lost(state)]
        given_up = {id(state.tensor): state.tensor for state in (*failed, *lost)}
        restore_versions(state for state in (*self._tensors, *self._grads) if id(state.tensor) not in given_up)
        self._unrestored = (*map(self._name, given_up.values()), *self._surroundings.left)

    def _restore_values(self) -> None:
        memories = (memory.restore for memory in self._memories.values())
        do_each((*(state.restore_memory for state in self._tensors), *memories))

    def _release(self) -> None:
        self._memories.clear()
        self._states_in.clear()
        self._tensors.clear()
        self._grads.clear()
        self._objects, self._surroundings = ObjectStates(()), Surroundings((), ())
        self._random.forget()

    def _watch(self, tensor: Tensor) -> None:
        inner = wrapped_tensors(tensor)
        state = TensorState(tensor, None if inner else self._memory(tensor))
        self._tensors.append(state)
        self._note(state)
        for entry in inner:
            self._watch(entry)
        if state.grad is not None:
            self._grads.append(TensorState(state.grad, self._memory(state.grad)))
            self._note(self._grads[-1])

    def _note(self, state: TensorState) -> None:
        if state.memory is not None:
            self._states_in.setdefault(state.memory, []).append(state)

    def _memory(self, tensor: Tensor) -> Memory | None:
        storage = memory_of(tensor)
        if storage is None:
            return None
        memory = self._memories.get(storage._cdata)
        if memory is None:
            memory = self._memories[storage._cdata] = Memory(storage)
        return memory

    def _copy_beforehand(self) -> None:
        """Copy what may be written to without a word, as far as it is cheap, and note what the rest is."""
        announced = {id(state.memory) for state in self._grads}
        announced |= {id(state.memory) for state in self._tensors if _says_when_written(state.tensor)}
        items: list[tuple[int, Any]] = [
            (memory.byte_count, memory)
            for memory, states in self._states_in.items()
            if memory.is_small or id(memory) not in announced or is_held_elsewhere(memory, len(states))
        ]
        items += [(array.nbytes, array) for array in self._objects.arrays if array.flags.writeable]
        budget = COPIED_BEFOREHAND_BYTES
        for byte_count, item in sorted(items, key=lambda item: item[0]):
            budget -= byte_count
            if budget < 0:
                break
            if isinstance(item, Memory):
                item.save()
            else:
                self._objects.save_array(item)
        budget = FINGERPRINTED_BYTES
        for memory in sorted((one for one in self._memories.values() if not one.is_saved), key=_size):
            budget -= memory.byte_count
            if budget < 0:
                break
            memory.note()

    def _name(self, tensor: Tensor) -> str:
        for name, found in (*named_parameters_in(self._model), *named_buffers_in(self._model)):
            if found is tensor:
                return f"`{name}`"
            if found.grad is tensor:
                return f"the gradient of `{name}`"
        return f"a tensor of shape {list(tensor.shape)}"


def _says_when_written(tensor: Tensor) -> bool:
    """Whether it is a parameter, and cannot be running statistics, which are vectors and written without a word."""
    return isinstance(tensor, nn.Parameter) and (tensor.requires_grad or tensor.dim() != 1)


def _size(memory: Memory) -> int:
    return memory.byte_count


def _is_lost(state: TensorState) -> bool:
    memory = state.memory
    if memory is None:
        return state.is_written and has_values(state.tensor)
    return memory.is_lost or ((state.is_written or memory.is_late) and not memory.is_saved)


class preserved:  # noqa: N801  (used as a function)
    """Leave a model, its inputs and the global state of torch as found, also when the block raises.

    Covers, for every module that can be reached from the model (registered or not): training flags, hooks, attributes
    and what is in their containers, parameters and buffers (which object, values, version counter), ``.grad``,
    ``requires_grad``; the same for the tensors in ``tensors``; the random number generators and settings of
    :mod:`gradflow.record.state.settings`. Modes entered with a ``with`` statement inside the block leave by themselves.
    Blocks of other threads wait until this one has ended, and an interrupt until everything is put back.

    Parameters
    ----------
    model
        The model that is going to run.
    tensors
        Inputs of the model: tensors, or containers of tensors.

    The ``with`` statement gives a :class:`StateKeeper`, to announce writes (:meth:`StateKeeper.before_write`) and to
    start again (:meth:`StateKeeper.rewind`).
    """

    def __init__(self, model: nn.Module, tensors: Iterable[object] = ()) -> None:
        self._model = model
        self._inputs = tensors
        # first in, last out: the turn ends when everything is put back
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> StateKeeper:
        self._stack.enter_context(Turn(sys._getframe(1)))
        try:
            keeper = StateKeeper(self._model, self._inputs)
            self._stack.callback(keeper.restore)
            keeper.announce_backward(self._stack)
        except BaseException:
            self._stack.close()
            raise
        return keeper

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
