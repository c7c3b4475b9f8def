"""What the program itself calls its models, where their own names do not do.

Parameters of the same name in two models are told apart: ``G.0.weight``. A number alone, as torch calls what lies in a
``Sequential``, says nothing: the layer is ``model[0]``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from gradflow.recording import Recording
from gradflow.watch.facts.naming.names import called_as, own_word_for
from gradflow.watch.observation import Observation

__all__ = ["with_models_told_apart"]


def with_models_told_apart(observation: Observation) -> Observation:
    """The same, where names that two models have in common begin with the words by which the program calls each.

    Only with words that it uses for that model alone: what a function is given has one name for all of them.
    """
    observation = _with_places_named(observation, _words_of_models(observation, own_word_for))
    words = _words_of_models(observation, called_as)
    modules, calls = observation.program.modules, observation.recording.calls
    clashing = _clashing(observation)
    prefixes = {}
    for root in clashing:
        others = set().union(*(words[other] for other in clashing if other != root))
        prefix = next((word for word in words[root] if word not in others), "")
        if prefix:
            prefixes[root] = prefix
    if not prefixes:
        return observation
    roots = {value: _root_of(observation, value) for value in observation.recording.leaf_names}
    leaf_names = {
        value: (role, f"{prefixes[roots[value]]}.{name}" if name and roots[value] in prefixes else name)
        for value, (role, name) in observation.recording.leaf_names.items()
    }
    recording = replace(
        observation.recording,
        leaf_names=leaf_names,
        calls=tuple(
            replace(call, module=_prefixed(call.module, prefixes.get(modules[key].root, "")))
            for call, key in zip(calls, observation.program.call_modules, strict=True)
        ),
    )
    told_apart = {
        key: replace(one, name=_prefixed(one.name, prefixes.get(one.root, ""))) for key, one in modules.items()
    }
    return replace(observation, program=replace(observation.program, recording=recording, modules=told_apart))


def _with_places_named(observation: Observation, words: Mapping[int, list[str]]) -> Observation:
    """``model[0]`` for the layer ``0``, by words that the program uses for no other model."""
    counts = Counter(word for several in words.values() for word in several)
    word_of = {root: word for root, several in words.items() for word in several[:1] if counts[word] == 1}
    modules = observation.program.modules
    if not any(one.root in word_of and one.name[:1].isdigit() for one in modules.values()):
        return observation
    named = {key: replace(one, name=_placed(one.name, word_of.get(one.root, ""))) for key, one in modules.items()}
    calls = zip(observation.recording.calls, observation.program.call_modules, strict=True)
    recording = replace(
        observation.recording,
        calls=tuple(
            replace(call, module=_placed(call.module, word_of.get(modules[key].root, ""))) for call, key in calls
        ),
    )
    return replace(observation, program=replace(observation.program, recording=recording, modules=named))


def _placed(name: str, word: str) -> str:
    number, dot, rest = name.partition(".")
    return f"{word}[{number}]{dot}{rest}" if word and number.isdigit() else name


def _prefixed(name: str, prefix: str) -> str:
    # the model itself has no name, and what is registered nowhere stands in brackets; a layer `G[0]` has it already
    is_named = not name or name.startswith(("(", f"{prefix}["))
    return name if is_named or not prefix else f"{prefix}.{name}"


def _clashing(observation: Observation) -> list[int]:
    """The models that have a parameter of the same name as another one has."""
    owners = defaultdict[str, dict[int, None]](dict)
    for value, (role, name) in observation.recording.leaf_names.items():
        root = _root_of(observation, value) if role == "parameter" and name else -1
        if root >= 0:
            owners[name][root] = None
    return list(dict.fromkeys(root for roots in owners.values() if len(roots) > 1 for root in roots))


def _root_of(observation: Observation, value: int) -> int:
    """The model that holds a parameter; -1 where several do, or none."""
    roots = {one.root for one in observation.program.modules.values() if value in one.parameters}
    return roots.pop() if len(roots) == 1 else -1


def _words_of_models(observation: Observation, word_at: Callable[[Recording, int], str]) -> dict[int, list[str]]:
    """What stands before the brackets where each model is called, in the order in which that happened."""
    words = defaultdict[int, dict[str, None]](dict)
    for call, key in zip(observation.recording.calls, observation.program.call_modules, strict=True):
        word = word_at(observation.recording, call.site) if call.parent < 0 else ""
        if word:
            words[key][word] = None
    return defaultdict(list, {key: list(found) for key, found in words.items()})
