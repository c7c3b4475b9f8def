"""Several things that must all be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["do_each"]


def do_each(actions: Iterable[Callable[[], object]]) -> None:
    """Do all of them, also where one raises; what the first one raised is raised in the end."""
    first: BaseException | None = None
    for action in actions:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  (raised below)
            first = first or error
    if first is not None:
        raise first
