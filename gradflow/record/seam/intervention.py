"""The seam of a run: what an experiment is shown of each operation, and what it may put in its place.

Only further runs of gradflow's own have one. Whatever an experiment wants to see or to change goes through here, so
that no experiment is a kind of recorder, and several of them can look at one run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

    from gradflow.record.operations.tables import Tables

__all__ = ["AS_IT_IS", "Call", "InTurn", "Instead", "Intervention", "carry_out"]

AS_IT_IS: Final = object()
"""What :meth:`Intervention.before` gives where the operation is to run."""


@dataclass(frozen=True, slots=True)
class Instead:
    """A part of the program that runs in the place of an operation, and is recorded as such."""

    run: Callable[[], Any]


@dataclass(slots=True, kw_only=True)
class Call:
    """One operation of a run, before it runs and afterwards.

    Attributes
    ----------
    recorder
        Who records the run.
    name, site
        The operation as torch names it, and the number of the place in the user's code.
    arguments, keywords
        What it is given. ``before`` may exchange them.
    operation
        What torch runs; ``None`` where ``is_announced``.
    function
        The class, where it is the ``apply`` of an ``autograd.Function``.
    writes
        Whether it writes into what it is given.
    is_announced
        Whether it is one that torch hands to no function mode, so that a replacement of it told the recorder.
    runs_modules
        Whether what runs inside is recorded, too: torch's reentrant checkpoint.
    is_watched
        Whether it is no operation, and shown because the experiment watches it.
    rows
        The rows of the recording that it made, the last one its own; empty before it has run, and where it made none.
    memo
        What an experiment keeps between ``before`` and ``after``.
    """

    recorder: Tables
    name: str
    site: int
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    operation: Callable[..., Any] | None = None
    function: type | None = None
    writes: bool = False
    is_announced: bool = False
    runs_modules: bool = False
    is_watched: bool = False
    rows: range = range(0)
    memo: Any = None

    @property
    def given(self) -> tuple[Any, ...]:
        """All that it is given."""
        return (*self.arguments, *self.keywords.values())

    @property
    def row(self) -> int:
        """Its row; -1 where it has none."""
        return self.rows[-1] if self.rows else -1


class Intervention:
    """Looks at nothing and changes nothing: each experiment says what it does otherwise.

    Nothing of what it computes itself is recorded.

    Attributes
    ----------
    watches
        Functions of torch that are no operations and are to go through ``before`` and ``after`` all the same.
    """

    watches: Collection[Any] = ()

    def before(self, call: Call) -> Any:
        """What takes the place of the operation's result; an :class:`Instead` of it; or :data:`AS_IT_IS`."""
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """What the program is given of an operation that ran."""
        return result

    def meet(self, recorder: Tables, value: int, tensor: torch.Tensor) -> None:
        """A tensor that no recorded operation made is seen for the first time."""

    def give_away(self, read: Any) -> None:
        """The memory or the text of tensors is handed out."""

    def keeps_recording(self, site: int) -> bool:
        """Whether what switches gradient recording off at a place is to be left out."""
        return False


class InTurn(Intervention):
    """Several experiments in one run; what one of them gives of an operation that ran, the next is shown.

    Where one replaces an operation, that does not run: no ``after`` follows, of none of them, as with one alone.
    """

    def __init__(self, *parts: Intervention) -> None:
        self.parts = parts
        self.watches = frozenset(each for part in parts for each in part.watches)

    def before(self, call: Call) -> Any:
        """The first replacement that one of them has; the experiments behind that one are not asked."""
        memos = []
        for part in self.parts:
            call.memo = None
            replacement = part.before(call)
            if replacement is not AS_IT_IS:
                return replacement
            memos.append(call.memo)
        call.memo = memos
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """One after the other."""
        for part, memo in zip(self.parts, call.memo, strict=True):
            call.memo = memo
            result = part.after(call, result)
        return result

    def meet(self, recorder: Tables, value: int, tensor: torch.Tensor) -> None:
        """Tell all of them."""
        for part in self.parts:
            part.meet(recorder, value, tensor)

    def give_away(self, read: Any) -> None:
        """Tell all of them."""
        for part in self.parts:
            part.give_away(read)

    def keeps_recording(self, site: int) -> bool:
        """Whether one of them says so."""
        answers = [part.keeps_recording(site) for part in self.parts]
        return any(answers)


def carry_out(seam: Intervention, call: Call, run: Callable[[], Any]) -> Any:
    """What the experiment makes of an operation that ``run`` runs and records."""
    recorder = call.recorder
    with recorder.unrecorded():
        replacement = seam.before(call)
    if isinstance(replacement, Instead):
        return replacement.run()
    if replacement is not AS_IT_IS:
        return replacement
    first = len(recorder.operations.name)
    result = run()
    call.rows = range(first, len(recorder.operations.name))
    with recorder.unrecorded():
        return seam.after(call, result)
