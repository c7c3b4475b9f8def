"""What an observer of module calls is told, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gradflow.recording import CallRow

__all__ = ["CallObserver", "RunningCall"]


@dataclass(slots=True, eq=False)
class RunningCall:
    """A call of a module that has begun.

    Attributes
    ----------
    module_id
        ``id`` of the module.
    row
        What is recorded of the call; it goes into no recording where ``is_recorded`` is ``False``: operations are not
        recorded there, as inside the forward of a custom Function.
    number
        That of the innermost call, this one or one around it, that is recorded; -1 for none.
    frame
        The number of the frame of torch that runs the call; -1 where torch does not run it.
    handled
        ``id`` of the exception that was being handled when the call began.
    """

    module_id: int
    row: CallRow
    is_recorded: bool
    number: int
    frame: int
    handled: int


class CallObserver:
    """Notes nothing: each observer says what it notes of a call. What it raises ends the observation."""

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """A call has begun; its row joins the recording afterwards."""

    def leaving(self, call: RunningCall, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """A call is about to end: what is recorded now is still part of it."""

    def left(self, call: RunningCall, module: torch.nn.Module, output: Any, raised: BaseException | None) -> None:
        """A call has ended: it returned ``output``, or ``raised`` this."""

    def abandoned(self, call: RunningCall) -> None:
        """A call has ended without a word, as Ctrl-C or an exit ends it."""
