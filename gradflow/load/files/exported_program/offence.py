"""What makes a record of an exported program one that torch never gets to see.

The parts that check a record know what they found, and not the file that it is in; `exported.py` tells the user.
"""

from __future__ import annotations

from gradflow.printable import printable

__all__ = ["AsksTooMuch", "Misshapen", "NeedsPackage", "Offence", "RunsCode", "shown"]

_MOST_SHOWN = 80


class Offence(Exception):  # noqa: N818 - a finding about the file, which becomes an error in `exported.py`
    """Something that is not handed on. ``found`` completes "the file holds ..."."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class RunsCode(Offence):
    """Torch would run, evaluate, import or unpickle it, or it reaches out of the program."""


class AsksTooMuch(Offence):
    """It would take more memory or time than a file of its size may."""


class Misshapen(Offence):
    """It is not what ``torch.export.save`` writes."""


class NeedsPackage(Offence):
    """It is sound, but only a package that is not installed knows it. ``package`` is what ``pip`` installs."""

    def __init__(self, found: str, package: str) -> None:
        super().__init__(found)
        self.package = package


def shown(value: object) -> str:
    """A value of the file as messages show it: short, printable, in backticks."""
    text = value if isinstance(value, str) else repr(value)
    return f"`{printable(text[:_MOST_SHOWN])[:_MOST_SHOWN].replace('`', chr(39))}`"
