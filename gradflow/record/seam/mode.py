"""Shows each operation to an experiment before and after the recorder sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch.overrides import TorchFunctionMode

from gradflow.record.conduct.whose_error import is_ours, run_theirs
from gradflow.record.operations.classify import Kind, classify
from gradflow.record.seam.intervention import Call, Intervention, carry_out
from gradflow.torch_facts.transforms import is_in_transform

if TYPE_CHECKING:
    from gradflow.record.operations.tables import Tables

__all__ = ["SeamMode", "shown_to"]

_RECORDED = frozenset({Kind.PLAIN, Kind.EXIT, Kind.INPLACE, Kind.ALIASING, Kind.IMPORT})


@contextmanager
def shown_to(seam: Intervention | None, recorder: Tables, step_aside: Callable[[Exception], None]) -> Iterator[None]:
    """For the time of a run that ``recorder`` records already; without an experiment nothing changes.

    ``step_aside`` is told of what goes wrong in the experiment itself.
    """
    if seam is None:
        yield
        return
    with SeamMode(seam, recorder, step_aside):
        yield


class SeamMode(TorchFunctionMode):
    """Stands before the recorder, which sees what is run from here as it would see it from the program."""

    def __init__(self, seam: Intervention, recorder: Tables, step_aside: Callable[[Exception], None]) -> None:
        super().__init__()
        self._seam = seam
        self._recorder = recorder
        self._step_aside = step_aside
        self._kinds: dict[Any, tuple[int, str]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        recorder, kwargs = self._recorder, kwargs or {}
        kind, name = self._kinds.get(func) or self._kinds.setdefault(func, classify(func))
        is_watched = func in self._seam.watches
        if recorder.suspended or not (is_watched or (kind in _RECORDED and not is_in_transform())):
            return run_theirs(func, args, kwargs)
        call = Call(
            recorder=recorder,
            name=name,
            site=recorder.sites.number(sys._getframe(1)),
            arguments=args,
            keywords=kwargs,
            operation=func,
            writes=kind == Kind.INPLACE or "out" in kwargs,
            is_watched=is_watched,
        )
        try:
            return carry_out(self._seam, call, lambda: run_theirs(func, call.arguments, call.keywords))
        except Exception as error:
            if is_ours(error):
                self._step_aside(error)
            raise
