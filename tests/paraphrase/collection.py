"""The programs that are paraphrased: those in fixtures/, and those of a corpus that lies elsewhere."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.paraphrase.program import Program, Question

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = ("causes", "broken", "healthy", "adversarial", "rules")
SCRIPTS = ("programs",)
LONG_SCRIPTS = ("library_programs",)


def fixture_programs(*, with_long: bool = False) -> Iterator[Program]:
    """Every fixture that says what is asked of it; the long ones import whole libraries and take seconds each."""
    for folder in MODELS:
        for path in sorted((FIXTURES / folder).glob("*.py")):
            yield _model(f"{folder}/{path.stem}", path.read_text(encoding="utf-8"))
    yield from _audited(FIXTURES / "audit" / "mistakes.py")
    for folder in (*SCRIPTS, *(LONG_SCRIPTS if with_long else ())):
        for path in sorted((FIXTURES / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield Program(name=f"{folder}/{path.stem}", text=text, question=Question(kind="script"))


def corpus_programs(folder: Path) -> Iterator[Program]:
    """The cases ``*/case.py`` of a folder, each with a ``truth.json`` that says what is asked."""
    for path in sorted(folder.rglob("truth.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))
        text = (path.parent / "case.py").read_text(encoding="utf-8")
        question = Question(kind="script")
        if truth["kind"] == "model":
            question = Question(
                kind="model",
                layer=truth.get("layer") or "",
                parameter=truth.get("param") or "",
                slice_=truth.get("slice") or "",
                has_score="\ndef score(" in text,
            )
        yield Program(name=f"corpus/{path.parent.name}", text=text, question=question)


def _model(name: str, text: str) -> Program:
    asked = dict(re.findall(r"^# (layer|param|slice): (.+)$", text, flags=re.MULTILINE))
    question = Question(
        kind="model",
        layer=asked.get("layer", ""),
        parameter=asked.get("param", ""),
        slice_=asked.get("slice", ""),
        has_score="\ndef score(" in text,
    )
    return Program(name=name, text=text, question=question)


def _audited(path: Path) -> Iterator[Program]:
    """Each network of a file that defines several."""
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            yield Program(
                name=f"{path.parent.name}/{node.name}", text=text, question=Question(kind="audit", model=node.name)
            )
