"""The end of a run that made gradient checks: what is written, and what the terminal says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gradflow.declared.lock_file import LOCK_HEADER, LOCK_NAME, Sections, lock_text, read_lock
from gradflow.declared.reading import read_declared_models
from gradflow.errors import GradflowError, UsageError
from gradflow.output.marks import refuse_foreign
from gradflow.output.whole_file import write_whole
from gradflow.printable import inert, printable
from gradflow.pytest_support.report_files import write_summary
from gradflow.pytest_support.workflow_commands import error_commands
from gradflow.render.words import plural

__all__ = ["finish", "show"]


def finish(findings: Sequence[dict[str, Any]], root: Path, folder: str | None) -> tuple[list[str], bool]:
    """Write the summary and the lock.

    Returns
    -------
    tuple of list of str, bool
        What to say of each file, and whether all of them are written.
    """
    writing: list[Callable[[], Path]] = []
    if folder is not None:
        writing.append(lambda: write_summary(Path(folder), findings))
    locks = {name: sections for one in findings for name, sections in one.get("lock", {}).items()}
    if locks:
        writing.append(lambda: _update(root, locks))
    lines, is_complete = [], True
    for write in writing:
        try:
            lines.append(f"wrote {_shown(write())}")
        except GradflowError as error:
            lines += f"error: {error}".splitlines()
            is_complete = False
    return lines, is_complete


def _update(root: Path, found: dict[str, Sections]) -> Path:
    """Put what was found into the lock; models that were not checked keep what they had.

    Raises
    ------
    UsageError
        When what they had cannot be read.
    """
    path = root / LOCK_NAME
    declared = {model.name for model in read_declared_models(root / "pyproject.toml")}
    known = _known(path, declared - found.keys())
    kept = {name: sections for name, sections in known.items() if name in declared}
    refuse_foreign(path, hint=f"move it away, or delete it: `rm {LOCK_NAME}`", mark=LOCK_HEADER.encode())
    write_whole(path, lock_text(kept | found).encode())
    return path


def _known(path: Path, unchecked: set[str]) -> dict[str, Sections]:
    """What the lock has; where all models were checked, nothing of it is needed, and it may be none of ours."""
    if not path.exists():
        return {}
    try:
        return read_lock(path)
    except UsageError as error:
        if not unchecked:
            return {}
        names = ", ".join(f"`{name}`" for name in sorted(unchecked))
        raise UsageError(
            f"`{path.name}` was not updated, because what it has of {names} cannot be read",
            note=": ".join(filter(None, (error.message, error.note))),
            hint="mend the file, as after a merge, or check all models: `pytest --gradflow-update` without a selection",
        ) from error


def show(
    reporter: pytest.TerminalReporter, findings: Sequence[dict[str, Any]], written: Sequence[str], root: Path
) -> None:
    """One line when all is well; else each finding with its line in the model."""
    failed = [one for one in findings if "reason" in one]
    count = sum(one["check_count"] for one in findings)
    reporter.section("gradflow", sep="=")
    outcome = f"{len(failed)} of {plural(count, 'gradient check')} failed" if failed else "all passed"
    reporter.write_line(outcome if failed else f"{plural(count, 'gradient check')}, {outcome}")
    for one in failed:
        where = f"{one['place']}: " if "place" in one else ""
        reporter.write_line(inert(printable(f"  {where}{one['reason']}  ({one['test']})")))
    for line in written:
        reporter.write_line(inert(printable(line)))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in error_commands(failed, root):
            reporter.write_line(line)


def _shown(path: Path) -> str:
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)
