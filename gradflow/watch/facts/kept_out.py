"""Calls of modules that ended by an exception, so that what they would have come to next never ran."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.recording import ModuleCall
from gradflow.recording.program.events import WatchedModule
from gradflow.watch.facts.naming.names import own_word_for
from gradflow.watch.observation import Observation

__all__ = ["call_that_failed", "has_returned", "told_failure"]


def call_that_failed(observation: Observation, key: int) -> ModuleCall | None:
    """The call of a module that failed, or, where it was not called, of the innermost one around it that was.

    ``None`` where any call of that one has returned: then what it did not come to, it did without.
    """
    for owner in _outwards(observation, observation.program.modules[key]):
        calls = [call for call, module in enumerate(observation.program.call_modules) if module == owner]
        if calls:
            have_failed = all(call in observation.program.failed_calls for call in calls)
            return observation.recording.calls[calls[-1]] if have_failed else None
    return None


def has_returned(observation: Observation, key: int) -> bool:
    """Whether a call of the module ended well."""
    failed = observation.program.failed_calls
    return any(module == key and call not in failed for call, module in enumerate(observation.program.call_modules))


def told_failure(observation: Observation, call: ModuleCall) -> str:
    """How a call ended, in words: whose it was, and by what."""
    name = call.module or own_word_for(observation.recording, call.site) or call.type_name
    return f"this call of `{name}` {f'ended by `{call.raised}`' if call.raised else 'was interrupted'}"


def _outwards(observation: Observation, module: WatchedModule) -> Iterator[int]:
    """A module and those that hold it, the innermost first, by their names in the model."""
    named = {one.name: one.key for one in observation.program.modules.values() if one.root == module.root}
    name = module.name
    yield module.key
    while name:
        name = name.rpartition(".")[0]
        # a name may begin with the word by which the program calls its model, and that is no module
        if name in named:
            yield named[name]
