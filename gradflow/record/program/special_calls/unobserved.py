"""Without any of gradflow's observers, for what goes into whatever it runs: a compiler, and what makes a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from gradflow.record.conduct.replacing import originals_in_place
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.function_modes import without

__all__ = ["unobserved"]


@contextlib.contextmanager
def unobserved(
    recorder: Recorder, calls: ModuleFollower, plain_hooks: Callable[[], contextlib.AbstractContextManager[None]]
) -> Iterator[None]:
    """Torch's functions, the program's hooks, torch's global hooks and the stack of modes are as they are plainly."""
    with originals_in_place(), plain_hooks(), calls.hooks_off(), without(recorder):
        yield
