"""Why layers that the program asks about never ran, from the source code of the classes around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradflow.location import is_installed
from gradflow.probe.not_called import explain_not_called
from gradflow.record.program.log import Log
from gradflow.recording import Recording

if TYPE_CHECKING:
    from gradflow.probe.layer_view import NotCalled

__all__ = ["explain_uncalled"]

_EXPLAINED = 20


def explain_uncalled(log: Log, recording: Recording) -> dict[int, NotCalled]:
    """The reason for each module, by its key, that has a hook which never ran or a parameter without gradient."""
    called = set(log.call_modules)
    executed = recording.executed_lines
    files = tuple(dict.fromkeys(span.path for span in recording.spans if not is_installed(span.path)))
    found: dict[int, NotCalled] = {}
    for key in list(dict.fromkeys(_asked_for(log)))[:_EXPLAINED]:
        facts = log.keys.modules[key]
        if key in called or facts.root < 0 or not facts.name or not facts.is_reachable:
            continue
        named = {other.name: number for number, other in log.keys.modules.items() if other.root == facts.root}
        owners: list[tuple[str, type, str]] = []
        name = facts.name
        while name:
            parent, _, attribute = name.rpartition(".")
            owner = named.get(parent, facts.root if not parent else -1)
            if owner < 0:
                break
            owners.append((parent, log.keys.classes[owner], attribute))
            name = parent
        if name:
            continue
        made = recording.site_span(facts.made_at)
        ran = frozenset(
            call.module for call in recording.calls if log.keys.modules[log.call_modules[call.id]].root == facts.root
        )
        found[key] = explain_not_called(owners, executed, made, ran=ran, user_files=files)
    return found


def _asked_for(log: Log) -> Iterator[int]:
    for hook in log.hooks:
        if not any(not run.is_capture for run in hook.runs):
            yield hook.module
    missing = {read.value for read in log.reads if not read.measured.arrived}
    for key, facts in log.keys.modules.items():
        if missing & set(facts.parameters):
            yield key
