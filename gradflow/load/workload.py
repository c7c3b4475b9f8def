"""What is to be checked: a model, its input, and the score that is differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from gradflow.location import SourceSpan
from gradflow.spelled import in_python

if TYPE_CHECKING:
    import numpy
    import torch

    from gradflow.load.modes import Mode
    from gradflow.load.scores.choice import Choice, Origins

__all__ = ["ForwardCount", "Objective", "Provenance", "Workload"]

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What was seen while the user's own code built the model.

    Attributes
    ----------
    frozen_at
        Parameter's qualified name to the place that last set its ``requires_grad`` to ``False``.
    registered_at
        A module's or buffer's qualified name to the place that attached it to its parent.
    grad_mode_at
        The place that switched gradient recording off and left it off, if any.
    """

    frozen_at: Mapping[str, SourceSpan] = field(default_factory=dict)
    registered_at: Mapping[str, SourceSpan] = field(default_factory=dict)
    grad_mode_at: SourceSpan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How the scalar score is made from what the model returned.

    ``compute(output)`` returns ``(score, description, class_index)``: a tensor with one element, how to name it
    (``"score[281]"``), and the class index where there is one. ``span`` is where the user's score function or selection
    stands, where there is one. ``choice`` is which entries of the output count, where gradflow chooses them; ``said()``
    gives what was assumed, in words for the user, as far as is known by then.
    """

    compute: Callable[[Any], tuple[torch.Tensor, str, int | None]]
    span: SourceSpan | None = None
    choice: Choice | None = None
    said: Callable[[], tuple[str, ...]] = tuple

    @property
    def is_of_everything(self) -> bool:
        """Whether every entry counts, of whatever the model returned, with weights that nobody asked for."""
        return self.choice is not None and self.choice.taken[1] < 0

    def score_of(self, output: Any, origins: Origins) -> tuple[torch.Tensor, str, int | None]:
        """The same as ``compute``, of the output of a run of which is known where its values come from."""
        if self.choice is None:
            return self.compute(output)
        self.choice.origins = origins
        try:
            return self.compute(output)
        finally:
            self.choice.origins = None


@dataclass(slots=True)
class ForwardCount:
    """How often a model has been called for one request, copies and inputs on trial included."""

    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Everything that one check runs: ``objective.compute(model(*inputs, **keyword_inputs))``.

    ``assumptions`` says, in words for the user, what was chosen because it was not given, but for the score: see
    ``assumed``. ``image`` is the user's picture as uint8 ``[H, W, 3]`` for an overlay; ``can_enter`` is ``False`` where
    hooks and the tracer cannot see inside the model (TorchScript), ``limits`` says so in words. ``mode`` is the one
    that was asked for, ``None`` where every module runs in the one that it is in. ``forwards`` counts the calls of the
    model, over all workloads that were made of this one. ``is_typed`` is whether the request comes from a command line:
    what is said of it then names options, else arguments.
    """

    model: torch.nn.Module
    model_name: str
    inputs: tuple[Any, ...]
    keyword_inputs: Mapping[str, Any] = field(default_factory=dict)
    input_description: str = ""
    objective: Objective
    class_names: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    assumptions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    can_enter: bool = True
    image: numpy.ndarray | None = None
    seed: int | None = None
    mode: Mode | None = None
    is_typed: bool = False
    forwards: ForwardCount = field(default_factory=ForwardCount)

    def assumed(self) -> tuple[str, ...]:
        """All that was chosen because it was not given; of the score when it has been made."""
        return (*self.assumptions, *self.objective.said())

    def told(self, told: _Told) -> _Told:
        """Texts and findings as they are said to who asked: with options of the command line, or with arguments."""
        return told if self.is_typed else in_python(told)

    def run_model(self, call: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]) -> Any:
        """What the model returns for its input, by ``call(model, arguments, keywords)``; this run is counted."""
        self.forwards.total += 1
        return call(self.model, self.inputs, self.keyword_inputs)
