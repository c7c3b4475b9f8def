"""What happened to gradients while a program ran, as plain data: no tensor, no module is held.

Tensors are value ids of the recording, modules are keys of :attr:`ProgramRecording.modules`, places are site numbers,
and ``operation`` is how many operations had been recorded when the event happened: it orders events and operations.
Each is what it was when the recording was taken: an observer of what goes on, as an optimizer does, has its own notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradflow.location import SourceSpan
from gradflow.recording.frozen import nothing
from gradflow.recording.gradients import Measured, NodeFlow
from gradflow.recording.program.module_events import ModuleFlag, OwnBackward, PlainTensor, Replacement, WatchedModule

__all__ = [
    "AS_GOOD_AS_ZERO",
    "ZEROS_LOOKED_FOR",
    "Backward",
    "EmptiedGradient",
    "Failure",
    "FlagChange",
    "GradRead",
    "HandedGradient",
    "Hook",
    "HookRun",
    "ModuleFlag",
    "Optimizer",
    "OwnBackward",
    "PlainTensor",
    "Replacement",
    "TensorHook",
    "WatchedModule",
]

AS_GOOD_AS_ZERO = 1e-6
"""Largest entry below which a gradient moves nothing."""

ZEROS_LOOKED_FOR = 3
"""At so many steps of an optimizer it is looked whether its gradients are zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """One call of ``backward`` or ``torch.autograd.grad``.

    ``score`` is the value that was differentiated: the only root, or the sum of all; -1 where there is none. ``kept``
    are parameters and other tensors whose ``.grad`` still held what an earlier call had left there. ``results`` are the
    measured gradients of ``inputs``, ``result_values`` their value ids (-1 for ``None``). An edge of the graph is no
    value: among the ``inputs`` it is -1, and where it is differentiated there are no ``roots``. ``arrived`` is the
    largest entry that came to each leaf, and whether all entries were finite. ``origin`` is the operation whose result
    was the first in the forward pass that was not finite (-1 for none), or, where ``origin_is_given``, the first that
    was given such numbers while none before it gave any; ``unseen`` tells why the nodes in between were not watched;
    ``score_is_zero`` is looked at only where a gradient was zero, and so is ``score_is_finite`` of scores that are not
    single numbers. ``seed_is_zero``: what the program gave for it to start from holds nothing but zeros. Where it
    raised, ``stopped_at`` is the operation whose node was due (-1 where that is not known), ``raised_in`` the line of
    Python outside torch from which the exception came: of a hook, or of a custom backward; ``is_torchs_error`` that
    torch itself raised it, there or elsewhere; ``caught_by`` the statement by which the program caught it itself and
    went on (empty where it did not, or that is not known), ``is_expected`` that a test was running that is declared to
    end in it. ``in_graph`` are the inputs that were found in the graph of the score.
    """

    kind: Literal["backward", "grad"]
    site: int
    operation: int
    roots: tuple[int, ...]
    roots_require_grad: bool
    root_is_leaf: bool
    score: int = -1
    inputs: tuple[int, ...] = ()
    inputs_require_grad: tuple[bool, ...] = ()
    results: tuple[Measured, ...] = ()
    result_values: tuple[int, ...] = ()
    create_graph: bool = False
    allow_unused: bool = False
    fills_zeros: bool = False
    error_type: str = ""
    error: str = ""
    caught_by: Literal["", "except", "with"] = ""
    is_expected: bool = False
    stopped_at: int = -1
    raised_in: SourceSpan | None = None
    is_torchs_error: bool = True
    in_graph: frozenset[int] = frozenset()
    flows: tuple[NodeFlow, ...] = ()
    arrived: Mapping[int, tuple[float, bool]] = field(default_factory=nothing)
    origin: int = -1
    origin_is_given: bool = False
    unseen: str = ""
    score_is_zero: bool = False
    score_is_finite: bool = True
    seed_is_zero: bool = False
    kept: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GradRead:
    """The program's own code read ``tensor.grad``; ``backwards`` is how many backward calls had been made before.

    ``is_guard`` marks a branch or an assertion on whether it is there; ``is_wanted`` is false where nothing is
    done with it but asking that, or asserting that it is ``None``. ``times`` counts this read and the later ones at its
    place that were not noted one by one, and found the same: none, zeros, numbers, or some that are not finite.
    """

    value: int
    site: int
    operation: int
    backwards: int
    measured: Measured
    is_leaf: bool
    requires_grad: bool
    retains_grad: bool
    is_guard: bool
    is_wanted: bool = True
    result: int = -1
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedGradient:
    """During backward pass ``backward``, the hook registered at ``site`` was given the gradient of ``value``.

    Of each hook the first passes are kept, and of the later ones the first that was of use after all.
    ``module`` is the module that the hook sits on, or in whose call its tensor was made (-1 for none).
    """

    value: int
    site: int
    module: int
    backward: int
    measured: Measured

    @property
    def is_of_use(self) -> bool:
        """Whether it is finite, and not as good as zero throughout; of numbers that nobody saw that is not denied."""
        measured = self.measured
        if not measured.is_finite:
            return False
        return not measured.is_zero if measured.max_abs is None else measured.max_abs >= AS_GOOD_AS_ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptiedGradient:
    """In backward pass ``backward`` a hook was given a gradient of ``value`` that is not zero, and returned zeros.

    Or, where ``is_spoiled``, it was given a finite one, and returned NaN or infinity.
    """

    value: int
    site: int
    backward: int
    defined: SourceSpan | None
    is_spoiled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChange:
    """``requires_grad`` was switched on a tensor; ``error`` where torch refused.

    ``backwards`` is how many backward calls had been made before.
    """

    value: int
    site: int
    operation: int
    on: bool
    was: bool
    is_leaf: bool
    error: str = ""
    backwards: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorHook:
    """A hook that the program registered on a tensor; ``backwards`` is how many backward calls had been made before.

    ``call`` is the module call in whose forward it was registered, -1 where none ran. Where it was taken off again,
    ``removed_site`` tells at which place, and ``removed_backwards`` after how many backward calls (-1 for not).
    """

    value: int
    site: int
    operation: int
    backwards: int
    runs: int = 0
    call: int = -1
    removed_site: int = -1
    removed_backwards: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRun:
    """One run of a module's hook: the operations inside it, and whether it put something else in place.

    ``call`` is the module call that it belongs to, of a backward hook the call whose gradient it was given (-1 where
    that is not known). ``outputs`` are the values of the module's output (for a backward hook, of the gradient at it),
    ``inputs`` those of the gradient at the module's input, ``returned`` those that took the place of the output.
    ``inputs_equal`` tells that the first gradient at the input holds the very numbers of the first one at the output.
    ``is_silent`` tells that it returned nothing; ``is_kept`` that somebody else holds the tensor that it returned;
    ``is_capture`` marks a run while TorchScript recorded the model.
    """

    call: int
    first_operation: int
    end_operation: int
    outputs: tuple[int, ...]
    replaced: bool = False
    returned: tuple[int, ...] = ()
    returned_type: str = ""
    output_type: str = ""
    is_silent: bool = True
    is_kept: bool = False
    inputs: tuple[int, ...] = ()
    inputs_equal: bool = False
    is_capture: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A hook that the program registered on a module; ``arguments`` are the names of what torch passes to it.

    ``parameters`` are all that the module held when the hook was registered, ``inside`` the modules within it.
    ``ran_unseen`` is set when it also ran while nothing was recorded.
    """

    kind: Literal["forward", "forward-pre", "backward"]
    module: int
    site: int
    operation: int
    first_call: int
    names: frozenset[str] = frozenset()
    is_lambda: bool = False
    arguments: tuple[str, ...] = ()
    defined: SourceSpan | None = None
    removed_at_call: int = -1
    removed_site: int = -1
    parameters: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()
    runs: tuple[HookRun, ...] = ()
    ran_unseen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """An optimizer: the values of all parameters that it ever held, when it stepped, and what it found then.

    ``steps`` are all of them, each with its site and its moment. ``holdings`` tells what it held, by the first values,
    from which step on: one entry for each change, as by ``add_param_group``.
    Backward passes before ``since`` are none of its: it was made then, or, where nobody saw that, perhaps long before.

    ``filled`` are those that had a gradient at one of its steps at least, ``first_filled`` and ``last_filled`` tell for
    each when that was; ``trainable`` are those that required grad at one of them, ``required`` did when it was made.
    ``complete_steps`` counts the steps at which all of these had a gradient, ``empty_steps`` are those, of the first
    few, at which all gradients were zero (``zeros`` are the gradients at the last of them). A tensor that is written to
    has several values: ``first_values`` tells for each the first that its tensor had. ``dropped`` are those that it
    held no longer at its last step. ``closures`` tells of each step with a closure, also of one that raised, when it
    began and ended (-1 for not yet).
    ``poisoned`` is the first step that turned a parameter into NaN or infinity: ``(operation, value, its gradient)``.

    ``is_still``: at each step so far, what was compared of it held the same bits after it as before; ``compared`` are
    those, ``is_moved_otherwise`` that others moved some of it in between. ``largest_rate`` is the largest learning rate
    of any group at these steps (``None`` for not known), ``pushes`` at how many a plain step at it would have moved
    something. ``step_defined`` is where the program defines its step, ``added`` the site at which a parameter was added
    later; ``skipped`` are the calls of a ``GradScaler`` that was to make it step, and did not. ``within`` tells, by
    their numbers, of the steps that were taken while a backward pass went on, as by a hook: in which.
    """

    type_name: str
    site: int
    operation: int
    parameters: tuple[int, ...]
    since: int = 0
    steps: tuple[tuple[int, int], ...] = ()
    holdings: tuple[tuple[int, frozenset[int]], ...] = ()
    first_values: Mapping[int, int] = field(default_factory=nothing)
    filled: frozenset[int] = frozenset()
    trainable: frozenset[int] = frozenset()
    required: frozenset[int] = frozenset()
    complete_steps: int = 0
    empty_steps: tuple[int, ...] = ()
    zeros: tuple[int, ...] = ()
    first_filled: Mapping[int, int] = field(default_factory=nothing)
    last_filled: Mapping[int, int] = field(default_factory=nothing)
    dropped: frozenset[int] = frozenset()
    takes_closure: bool = False
    closures: tuple[tuple[int, int], ...] = ()
    poisoned: tuple[int, int, Measured] | None = None
    is_still: bool = True
    compared: frozenset[int] = frozenset()
    largest_rate: float | None = 0.0
    is_moved_otherwise: bool = False
    pushes: int = 0
    step_defined: SourceSpan | None = None
    added: Mapping[int, int] = field(default_factory=nothing)
    skipped: tuple[tuple[int, int], ...] = ()
    within: Mapping[int, int] = field(default_factory=nothing)

    @property
    def step_count(self) -> int:
        """How many steps it took, as far as they were watched."""
        return len(self.steps)

    @property
    def last_step(self) -> tuple[int, int]:
        """The site and the moment of its last one; -1 where it took none."""
        return self.steps[-1] if self.steps else (-1, -1)

    def steps_with(self, values: Iterable[int]) -> int:
        """At how many of its steps it held any of these."""
        wanted = self.tensors(values)
        ends = [*(since for since, _ in self.holdings[1:]), len(self.steps)]
        return sum(
            end - since for (since, held), end in zip(self.holdings, ends, strict=True) if not wanted.isdisjoint(held)
        )

    def given_at(self, values: Iterable[int]) -> int:
        """The site at which the last of these came to be held."""
        return max((self.added[value] for value in values if value in self.added), default=self.site)

    def tensors(self, values: Iterable[int]) -> set[int]:
        """One value for each tensor among them."""
        return {self.first_values.get(value, value) for value in values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception of torch that the program met; ``is_last`` when it ended the program.

    ``attribute`` and ``module`` are set where an attribute was asked of a module that has none of that name.
    ``callers`` are the calls of the program's own functions that led to the place, the nearest first.
    """

    type_name: str
    message: str
    span: SourceSpan | None
    operation: int
    is_last: bool = True
    attribute: str = ""
    module: int = -1
    calls: tuple[int, ...] = ()
    callers: tuple[SourceSpan, ...] = ()
