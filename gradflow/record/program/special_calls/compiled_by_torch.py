"""What torch compiles for itself while a model runs, such as the branches of ``torch.cond``: one operation each.

The model asks for no compiler. Torch does, because these operators can only be captured as a whole; and it reads the
code that runs then, with all that observes it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from gradflow.location import is_machinery
from gradflow.record.conduct.replacing import replace
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.elsewhere.places import IN_COMPILED
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.program.special_calls.read_inside import ReadInside
from gradflow.record.program.special_calls.unobserved import unobserved
from gradflow.record.recorder import Recorder
from gradflow.record.seam.mode import SeamMode
from gradflow.recording.opaque import COMPILED
from gradflow.torch_facts.function_modes import function_modes, without
from gradflow.torch_facts.special_calls.compiling import compiling_as_torch_does
from gradflow.values import tensors_in

__all__ = ["compiled_by_torch"]


@contextlib.contextmanager
def compiled_by_torch(
    recorder: Recorder, follower: ModuleFollower, owners: Callable[[], Mapping[int, Sequence[str]]]
) -> Iterator[None]:
    """Let what torch itself compiles, as a whole, run without observers.

    ``owners`` gives the names of the modules that hold a parameter, by its ``id``.
    """
    original = torch.compile

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        made = run_theirs(original, args, kwargs)
        is_torchs = kwargs.get("fullgraph") and is_machinery(sys._getframe(1).f_code.co_filename)
        return functools.partial(_call, recorder, follower, owners, made) if is_torchs and args else made

    with contextlib.ExitStack() as stack:
        replace(stack, torch, "compile", watched)
        yield


def _call(
    recorder: Recorder,
    follower: ModuleFollower,
    owners: Callable[[], Mapping[int, Sequence[str]]],
    made: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if recorder.is_off():
        return run_theirs(made, args, kwargs)
    given = tuple(tensors_in([args, kwargs]))
    leaves_behind = ReadInside(recorder.tables).begin(given)

    def run() -> Any:
        with contextlib.ExitStack() as stack:
            for mode in function_modes():
                if isinstance(mode, SeamMode):
                    stack.enter_context(without(mode))
            stack.enter_context(unobserved(recorder, follower, contextlib.nullcontext))
            stack.enter_context(compiling_as_torch_does())
            return run_theirs(made, args, kwargs)

    def also_read(result: Any) -> Sequence[torch.Tensor]:
        leaves, held_by = leaves_behind(result) or (), owners()
        for name in {name for leaf in leaves for name in held_by.get(id(leaf), ())}:
            recorder.elsewhere.note_module(name, IN_COMPILED)
        return leaves

    return recorder.record_call(COMPILED, run, given, also_read=also_read)
