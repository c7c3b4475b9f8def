"""Whether what came of a case is as it should be: an answer or one clear error, and nothing changed in the folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["problem_of"]

_OUT_OF_MEMORY = ("MemoryError", "DefaultCPUAllocator", "can't allocate memory", "std::bad_alloc")
_COMMAND = re.compile(r"^\s*::[A-Za-z-]+", re.MULTILINE)
_OURS = ("bug in gradflow", "mistake of gradflow")


def problem_of(status: int, out: str, err: str, folder: Path, files: Mapping[str, bytes]) -> str:
    """What is wrong; empty where nothing is."""
    if status not in (0, 1, 2):
        return f"exit status {status}"
    for text in ("Traceback (most recent call last)", *_OURS, *_OUT_OF_MEMORY):
        if text in out or text in err:
            return f"it says {text!r}"
    if status == 2 and not err.startswith("error:"):
        return "what it says on stderr does not begin with `error:`"
    moving = {letter for letter in out + err if not (letter.isprintable() or letter in "\n\t")}
    if any(ord(letter) < 0xA0 for letter in moving):
        return f"it prints control characters: {sorted(moving)}"
    if _COMMAND.search(out) or _COMMAND.search(err):
        return "it prints what a log of GitHub takes for a command"
    return _change_in(folder, files)


def _change_in(folder: Path, files: Mapping[str, bytes]) -> str:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    if found != files.keys():
        return f"the folder holds other files: {sorted(found ^ files.keys())}"
    changed = [name for name, data in files.items() if (folder / name).read_bytes() != data]
    return f"a file was changed: {changed}" if changed else ""
