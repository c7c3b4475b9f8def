"""What is noted of the program's hooks as long as it runs; a recording gets what it is when that is taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gradflow.recording.frozen import event_of
from gradflow.recording.program.events import Hook, HookRun, TensorHook

__all__ = ["NotedHook", "NotedTensorHook"]


@dataclass(slots=True)
class NotedHook:
    """A hook on a module: as it was registered, and what has become of it since.

    ``runs`` go by numbers of their own, drawn from ``numbers``: a backward hook may run in several threads at once.
    """

    registered: Hook
    runs: dict[int, HookRun] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    ran_unseen: bool = False
    removed_at_call: int = -1
    removed_site: int = -1

    def so_far(self) -> Hook:
        """The event, as far as it has got."""
        return replace(event_of(self.registered, self), runs=tuple(self.runs.values()))


@dataclass(slots=True)
class NotedTensorHook:
    """A hook on a tensor: as it was registered, and what has become of it since."""

    registered: TensorHook
    runs: int = 0
    removed_site: int = -1
    removed_backwards: int = -1

    def so_far(self) -> TensorHook:
        """The event, as far as it has got."""
        return event_of(self.registered, self)
