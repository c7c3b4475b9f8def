"""What is noted of an optimizer as long as the program runs; a recording gets what it is when that is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gradflow.recording.frozen import event_of
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Optimizer

__all__ = ["NotedOptimizer"]


@dataclass(slots=True, kw_only=True)
class NotedOptimizer:
    """``made`` is the optimizer as it was when it was met; the others are the fields of the event that go on."""

    made: Optimizer
    parameters: tuple[int, ...]
    steps: list[tuple[int, int]] = field(default_factory=list)
    holdings: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    first_values: dict[int, int] = field(default_factory=dict)
    filled: set[int] = field(default_factory=set)
    trainable: set[int] = field(default_factory=set)
    complete_steps: int = 0
    empty_steps: list[int] = field(default_factory=list)
    zeros: tuple[int, ...] = ()
    first_filled: dict[int, int] = field(default_factory=dict)
    last_filled: dict[int, int] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    takes_closure: bool = False
    closures: list[tuple[int, int]] = field(default_factory=list)
    poisoned: tuple[int, int, Measured] | None = None
    is_still: bool = True
    compared: set[int] = field(default_factory=set)
    largest_rate: float | None = 0.0
    is_moved_otherwise: bool = False
    pushes: int = 0
    added: dict[int, int] = field(default_factory=dict)
    skipped: list[tuple[int, int]] = field(default_factory=list)
    within: dict[int, int] = field(default_factory=dict)

    def tensors(self, values: Iterable[int]) -> set[int]:
        """One value for each tensor among them."""
        return {self.first_values.get(value, value) for value in values}

    def so_far(self) -> Optimizer:
        """The event, as far as it has got."""
        return event_of(self.made, self)
