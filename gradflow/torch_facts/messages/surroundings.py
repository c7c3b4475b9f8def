"""What torch says of memory, data types, devices and other processes."""

from __future__ import annotations

import re
from typing import Final

from gradflow.torch_facts.messages.message import Message

__all__ = ["REDUCTION_UNFINISHED", "is_of_types_or_devices", "is_out_of_memory"]

REDUCTION_UNFINISHED: Final = Message("finished reduction in the prior iteration")

_NO_ROOM = re.compile(r"can't allocate memory|not enough memory|Cannot allocate memory")
_OTHER_KIND = re.compile(
    r"same dtype|should be the same|expected scalar type|not match weight dtype|same device|on the same|expected device"
)


def is_out_of_memory(text: str) -> bool:
    """Whether there is no room in the computer's own memory, in the words of any system."""
    return _NO_ROOM.search(text) is not None


def is_of_types_or_devices(text: str) -> bool:
    """Whether two tensors have not the same type of data, or are not on the same device."""
    return _OTHER_KIND.search(text) is not None
