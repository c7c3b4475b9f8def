"""What the recorder asks of each operation's name, as sets: views of the one table in ``torch_facts/operations``."""

from __future__ import annotations

from typing import Final

from gradflow.torch_facts.operations.queries import changes_argument as is_inplace_name
from gradflow.torch_facts.operations.table import CHANGED_THROUGH_VIEW, spellings

__all__ = [
    "ALIASING",
    "CAPSULES",
    "CHANGED_THROUGH_VIEW",
    "DETACHING",
    "EXITS",
    "EXPOSING",
    "FROM_ARRAYS",
    "IMPORTS",
    "INPLACE_CAPABLE",
    "SWITCHES",
    "TO_ARRAYS",
    "VALUE_EXITS",
    "is_inplace_name",
]

ALIASING: Final = spellings("aliases")
DETACHING: Final = spellings("detaches")
EXITS: Final = spellings("leaves")
EXPOSING: Final = spellings("exposes")
FROM_ARRAYS: Final = spellings("from-arrays")
IMPORTS: Final = spellings("imports")
INPLACE_CAPABLE: Final = spellings("inplace")
SWITCHES: Final = spellings("switches")
TO_ARRAYS: Final = spellings("array")
CAPSULES: Final = spellings("capsule")
VALUE_EXITS: Final = spellings("number") | TO_ARRAYS | CAPSULES
