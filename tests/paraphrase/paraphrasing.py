"""A program in other words."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import libcst as cst
from torch import Tensor

from tests.forked import ForkedError, call_forked
from tests.paraphrase.marks import mark_lines, read_marks
from tests.paraphrase.oracle import plain_facts
from tests.paraphrase.program import Program
from tests.paraphrase.transforms.code import Change, Seen, Source
from tests.paraphrase.transforms.registry import TRANSFORMS
from tests.paraphrase.transforms.sites import NOTE, NOTE_PAIR


def paraphrase(program: Program, transform: str, folder: Path, seconds: float) -> Program | None:
    """The program after a transformation; ``None`` where the transformation finds nothing to change.

    `folder` is where the program may be run to see which of its values are tensors.
    """
    module = _marked(program.text)
    change = Change(module=module)
    changed = False
    for step in TRANSFORMS[transform]:
        question = program.question.renamed(change.names)
        seer = _seer(replace(program, question=question), change.helpers, folder, seconds)
        after = step(Source(module=change.module, question=question, see=seer))
        if after is not None:
            changed = True
            change = Change(
                module=after.module,
                helpers={**change.helpers, **after.helpers},
                names=_composed(change.names, after.names),
                adds_parameters=change.adds_parameters or after.adds_parameters,
            )
    if not changed:
        return None
    files = {program.file: change.module, **change.helpers}
    read = {file: read_marks(each.code) for file, each in files.items()}
    return Program(
        name=program.name,
        text=read[program.file][0],
        question=program.question.renamed(change.names),
        helpers={file: text for file, (text, _) in read.items() if file != program.file},
        line_maps={file: origins for file, (_, origins) in read.items()},
        adds_parameters=change.adds_parameters,
    )


@lru_cache(maxsize=4)
def _marked(text: str) -> cst.Module:
    return cst.parse_module(mark_lines(text))


def _composed(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    later = {name: new for name, new in second.items() if name not in first.values()}
    return {**later, **{name: second.get(new, new) for name, new in first.items()}}


def _seer(
    program: Program, helpers: Mapping[str, cst.Module], folder: Path, seconds: float
) -> Callable[[cst.Module], Mapping[int, Seen]]:
    def see(module: cst.Module) -> Mapping[int, Seen]:
        texts = {file: each.code for file, each in helpers.items()}
        noting = replace(program, text=module.code, helpers=texts)
        noting.write(folder)
        try:
            return call_forked(_values_noted, noting, folder, folder=folder, seconds=seconds)
        except ForkedError:
            return {}  # it ran too long or took the process along: nothing is known to be a tensor

    return see


def _values_noted(program: Program, folder: Path) -> dict[int, Seen]:
    """Run a program that notes its values. Meant for a process of its own."""
    seen: dict[int, Seen] = {}

    def note(number: int, value: Any) -> Any:
        before = seen.get(number, Seen(is_tensor=True, dimensions=1000))
        is_tensor = isinstance(value, Tensor)
        dimensions = value.dim() if isinstance(value, Tensor) else 0
        seen[number] = Seen(before.is_tensor and is_tensor, min(before.dimensions, dimensions))
        return value

    def note_pair(number: int, target: Any, value: Any) -> Any:
        note(number, target)
        return value

    vars(builtins)[NOTE], vars(builtins)[NOTE_PAIR] = note, note_pair
    plain_facts(program, folder)
    return seen
