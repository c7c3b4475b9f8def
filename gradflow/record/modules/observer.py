"""What an observer of module calls is told, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["CallObserver", "RunningCall"]


@dataclass(slots=True, eq=False)
class RunningCall:
    """A call of a module that has begun.

    Attributes
    ----------
    module_id
        ``id`` of the module.
    id
        Which of the recorded calls it is; -1 where ``is_recorded`` is ``False``: operations are not recorded there, as
        inside the forward of a custom Function, and the call goes into no recording.
    module
        The name under which it is recorded, which an observer may give while the call begins.
    type_name, parent, site
        As in :class:`~gradflow.recording.ModuleCall`.
    number
        That of the innermost call, this one or one around it, that is recorded; -1 for none.
    frame
        The number of the frame of torch that runs the call; -1 where torch does not run it.
    """

    module_id: int
    id: int
    module: str
    type_name: str
    parent: int
    site: int
    is_recorded: bool
    number: int
    frame: int


class CallObserver:
    """Notes nothing: each observer says what it notes of a call. What it raises ends the observation."""

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """A call has begun; its row joins the recording afterwards."""

    def entered_unseen(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """The same, told only where not all is seen: unrecorded, in another thread, or inside a transform of torch."""

    def leaving(self, call: RunningCall, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """A call is about to end: what is recorded now is still part of it."""

    def left(self, call: RunningCall, module: torch.nn.Module, output: Any, raised: BaseException | None) -> None:
        """A call has ended: it returned ``output``, or ``raised`` this."""

    def abandoned(self, call: RunningCall) -> None:
        """A call has ended without a word, as Ctrl-C or an exit ends it."""
