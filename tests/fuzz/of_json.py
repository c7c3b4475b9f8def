"""Mutations of JSON: values replaced, keys renamed, parts moved to where others belong."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from tests.fuzz.nasty import any_number, any_text, any_value
from tests.fuzz.of_bytes import mutate_text

__all__ = ["mutate_json", "mutate_json_text"]


def mutate_json_text(random: Random, data: bytes) -> bytes:
    """A document that is mostly JSON still."""
    if random.random() < 0.05:
        return mutate_text(random, data.decode()[:100_000]).encode("utf-8", "surrogatepass")
    text = json.dumps(mutate_json(random, json.loads(data)))
    if random.random() < 0.03:  # a key twice: the last one wins, for most readers
        text = text.replace("{", '{"a": 1, "a": 2, ', 1)
    return text.encode()


def mutate_json(random: Random, document: Any) -> Any:
    document = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        places = _places(document)
        if not places:
            return any_value(random)
        holder, key = random.choice(places)
        document = _changed(random, document, places, holder, key)
    return document


def _changed(random: Random, document: Any, places: list[tuple[Any, Any]], holder: Any, key: Any) -> Any:
    old = holder[key]
    kind = random.choice(
        ("replace", "like it", "like it", "drop", "rename", "double", "move", "move", "empty", "whole")
    )
    if kind == "replace":
        holder[key] = any_value(random)
    elif kind == "like it":
        holder[key] = _like(random, old, places)
    elif kind == "drop":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        names = [name for _, name in places if isinstance(name, str)]
        holder[random.choice((any_text(random), random.choice(names)))] = holder.pop(key)
    elif kind == "double" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
    elif kind == "move":
        other, name = random.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif kind == "empty":
        holder[key] = type(old)() if isinstance(old, (list, dict, str)) else None
    elif kind == "whole" and random.random() < 0.02:
        return any_value(random)
    return document


def _like(random: Random, old: Any, places: list[tuple[Any, Any]]) -> Any:
    """Another value of the same type."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return any_number(random)
    if isinstance(old, float):
        return random.choice((0.0, -1.0, 1e308, float("inf"), float("nan")))
    if isinstance(old, str):
        texts = [holder[key] for holder, key in places if isinstance(holder[key], str)]
        return random.choice((any_text(random), random.choice(texts), old + any_text(random), old[: len(old) // 2]))
    if isinstance(old, list):
        return old * random.choice((0, 2, 3)) if random.random() < 0.5 else old[::-1]
    return any_value(random)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every ``(container, key)`` of the document."""
    found: list[tuple[Any, Any]] = []
    pending = [document]
    while pending:
        value = pending.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            found.append((value, key))
            pending.append(value[key])
    return found
