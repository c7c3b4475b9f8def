"""Why layers that the program asks about never ran, from the source code of the classes around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradflow.location import is_installed
from gradflow.probe.not_called import explain_not_called
from gradflow.record.program.log import Log
from gradflow.recording.program.recording import ProgramRecording

if TYPE_CHECKING:
    from gradflow.probe.layer_view import NotCalled

__all__ = ["explain_uncalled"]


def explain_uncalled(log: Log, seen: ProgramRecording) -> dict[int, NotCalled]:
    """The reason for each module, by its key, that has a hook which never ran or a parameter without gradient."""
    called = set(log.call_modules)
    recording = seen.recording
    executed = recording.executed_lines
    files = tuple(dict.fromkeys(span.path for span in recording.spans if not is_installed(span.path)))
    named: dict[int, dict[str, int]] = {}
    for number, facts in seen.modules.items():
        named.setdefault(facts.root, {})[facts.name] = number
    ran: dict[int, set[str]] = {}
    for call in recording.calls:
        ran.setdefault(seen.modules[log.call_modules[call.id]].root, set()).add(call.module)
    found: dict[int, NotCalled] = {}
    for key in dict.fromkeys(_asked_for(seen)):
        facts = seen.modules[key]
        if key in called or facts.root < 0 or not facts.name or not facts.is_reachable:
            continue
        owners: list[tuple[str, type, str]] = []
        name = facts.name
        while name:
            parent, _, attribute = name.rpartition(".")
            owner = named[facts.root].get(parent, facts.root if not parent else -1)
            if owner < 0:
                break
            owners.append((parent, log.keys.classes[owner], attribute))
            name = parent
        if name:
            continue
        made = recording.site_span(facts.made_at)
        ran_there = frozenset(ran.get(facts.root, ()))
        found[key] = explain_not_called(owners, executed, made, ran=ran_there, user_files=files)
    return found


def _asked_for(seen: ProgramRecording) -> Iterator[int]:
    for hook in seen.hooks:
        if not any(not run.is_capture for run in hook.runs):
            yield hook.module
    missing = {read.value for read in seen.reads if not read.measured.arrived}
    for key, facts in seen.modules.items():
        if missing & set(facts.parameters):
            yield key
