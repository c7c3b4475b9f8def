"""One case: the files in a folder, the command that reads them, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Case", "Outcome"]


@dataclass(frozen=True)
class Case:
    """Case ``number`` of a kind is the same for the same seed.

    ``argv`` is a command line of gradflow; ``("lock", NAME)`` reads a lock, as the pytest plugin does.
    """

    kind: str
    number: int
    files: Mapping[str, bytes]
    argv: tuple[str, ...]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


@dataclass(frozen=True)
class Outcome:
    """What came of a case; ``problem`` is empty where it is as it should be."""

    status: int | None
    problem: str = ""
    out: str = ""
    err: str = ""

    @property
    def is_loaded(self) -> bool:
        return self.status in (0, 1)
