"""The recorded answers: one file for each source, one line for each case, so that a change is read as a change."""

from __future__ import annotations

import json
from pathlib import Path

from tests.golden.answer import Answers

__all__ = ["load", "save"]

FOLDER = Path(__file__).parent / "answers"


def load(source: str) -> dict[str, Answers]:
    """The recorded answers of a source by case; empty where none were recorded."""
    path = FOLDER / f"{source}.jsonl"
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["case"]: row["answers"] for row in rows}


def save(source: str, recorded: dict[str, Answers]) -> None:
    """Write them, in the order of their names."""
    FOLDER.mkdir(exist_ok=True)
    rows = [json.dumps({"case": case, "answers": recorded[case]}, ensure_ascii=False) for case in sorted(recorded)]
    (FOLDER / f"{source}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
