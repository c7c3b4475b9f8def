"""What backward raises, and `torch.autograd.grad`."""

from __future__ import annotations

import re
from typing import Final

from gradflow.torch_facts.messages.message import Message

__all__ = [
    "ANOMALY",
    "ASKED_OF_A_PLAIN_TENSOR",
    "CHANGED_IN_PLACE",
    "CHECKPOINT_INCOMPATIBLE",
    "CHECKPOINT_NOT_COMPATIBLE",
    "GRAPH_FREED",
    "NOT_IMPLEMENTED",
    "NOT_IN_THE_GRAPH",
    "NO_HISTORY",
    "NO_SCALAR",
    "at_index",
    "function_that_returned",
    "speaks_of_checkpoints",
]

NO_HISTORY: Final = Message("does not require grad and does not have a grad_fn")
ASKED_OF_A_PLAIN_TENSOR: Final = Message("One of the differentiated Tensors does not require grad")
NOT_IN_THE_GRAPH: Final = Message("appears to not have been used in the graph")
GRAPH_FREED: Final = Message("through the graph a second time")
"""The same of a saved tensor that is asked for afterwards."""
CHANGED_IN_PLACE: Final = Message("modified by an inplace operation")
"""The same of a saved tensor that is asked for."""
NO_SCALAR: Final = Message("grad can be implicitly created only for scalar outputs")
NOT_IMPLEMENTED: Final = Message("is not implemented")
ANOMALY: Final = Message("returned nan values")
CHECKPOINT_INCOMPATIBLE: Final = Message("torch.utils.checkpoint is incompatible")
CHECKPOINT_NOT_COMPATIBLE: Final = Message("Checkpointing is not compatible with")
"""The words of older releases, and of libraries that have a copy."""

_RETURNED = re.compile(r"[Ff]unction (\w+?)Backward returned an (?:incorrect number of gradients|invalid gradient)")
_INDEX = re.compile(r"\bindex (\d+)")


def function_that_returned(text: str) -> str | None:
    """The class of the custom Function whose backward returned too few gradients, or one that does not fit."""
    found = _RETURNED.search(text)
    return found[1] if found is not None else None


def at_index(text: str) -> int | None:
    """Which of the tensors asked for a message is about; ``None`` where it says nothing of that."""
    found = _INDEX.search(text)
    return int(found[1]) if found is not None else None


def speaks_of_checkpoints(text: str) -> bool:
    """Whether a checkpoint refuses; each kind refuses other things, in other words."""
    return "checkpoint" in text.lower()
