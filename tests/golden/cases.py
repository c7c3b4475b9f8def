"""All that is asked: about the models and programs of ``fixtures/``, a corpus, and audits of published models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["SOURCES", "Case", "cases"]

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
SOURCES = ("models", "programs", "library_programs", "torchvision", "timm", "corpus")
AUDITS = 60
"""Of the models of each zoo, the first ones in the order of their names."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of gradflow: a command line in a folder, or the audit of a model of a zoo."""

    source: str
    name: str
    folder: Path = ROOT
    arguments: tuple[str, ...] = ()
    kind: Literal["command", "audit"] = "command"


def cases(source: str, corpus: Path | None = None) -> Iterator[Case]:
    """The cases of one source, in a fixed order."""
    match source:
        case "models":
            yield from _models()
        case "programs" | "library_programs":
            for path in sorted((FIXTURES / source).glob("*.py")):
                yield Case(source=source, name=path.stem, folder=path.parent, arguments=("run", path.name))
        case "torchvision" | "timm":
            from tests.zoo.sources import source_module

            for name in sorted(source_module(source).model_names())[:AUDITS]:
                yield Case(source=source, name=name, kind="audit")
        case "corpus":
            yield from _corpus(corpus) if corpus is not None else ()


def _models() -> Iterator[Case]:
    """Each model with the layer that it names, and with all of its layers at once."""
    for path in sorted(FIXTURES.glob("*/*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"^def build\(", text, re.MULTILINE):
            continue
        given = ["check", f"{path.name}:build"]
        if re.search(r"^def example_input\(", text, re.MULTILINE):
            given += ["--input", f"{path.name}:example_input"]
        if re.search(r"^def score\(", text, re.MULTILINE):
            given += ["--score", f"{path.name}:score"]
        layer = re.search(r"^# layer: (\S+)$", text, re.MULTILINE)
        parameter = re.search(r"^# parameter: (\S+)$", text, re.MULTILINE)
        named = ["--layer", layer[1]] if layer else ["--param", parameter[1]] if parameter else []
        stem = f"{path.parent.name}/{path.stem}"
        yield Case(source="models", name=stem, folder=path.parent, arguments=(*given, *named))
        yield Case(source="models", name=f"{stem} *", folder=path.parent, arguments=(*given, "--layer", "*"))


def _corpus(folder: Path) -> Iterator[Case]:
    """Programs with their truth beside them, as ``NAME/case.py`` and ``NAME/truth.json``."""
    for path in sorted(folder.glob("*/truth.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))
        arguments = ["run", "case.py"]
        if truth["kind"] != "script":
            arguments = ["check", "case.py:build", "--input", "case.py:example_input"]
            is_layer = bool(truth.get("layer"))
            arguments += ["--layer", truth["layer"]] if is_layer else ["--param", truth["param"]]
            if re.search(r"^def score\(", (path.parent / "case.py").read_text(encoding="utf-8"), re.MULTILINE):
                arguments += ["--score", "case.py:score"]
            if truth.get("slice"):
                arguments += ["--slice", truth["slice"]]
        yield Case(source="corpus", name=path.parent.name, folder=path.parent, arguments=tuple(arguments))
