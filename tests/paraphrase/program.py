"""A program, what gradflow is asked about it, and the same program in other words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.paraphrase.marks import LineMap


@dataclass(frozen=True, kw_only=True)
class Question:
    """What gradflow is asked: of a layer or parameter of a model, of all of a model, or of a program that is run."""

    kind: Literal["model", "audit", "script"]
    model: str = "build"  # the function or class that makes the model
    layer: str = ""
    parameter: str = ""
    slice_: str = ""
    has_score: bool = False

    @property
    def named(self) -> frozenset[str]:
        """The names in the file that the question itself uses: they stay what they are."""
        if self.kind == "script":
            return frozenset()
        return frozenset({self.model, "example_input", "score"})

    def renamed(self, names: Mapping[str, str]) -> Question:
        """The question for a program in which the attributes of the user's classes have other names."""
        layer, parameter = (
            ".".join(names.get(part, part) for part in path.split(".")) for path in (self.layer, self.parameter)
        )
        return replace(self, layer=layer, parameter=parameter)

    def command(self, file: str, report: Path) -> list[str]:
        """The command line that writes the answer to `report`."""
        options = ["--format", "json", "--output", str(report)]
        if self.kind == "script":
            return ["run", *options, file]
        if self.kind == "audit":
            return ["audit", f"{file}:{self.model}", *options]
        asked = ["--layer", self.layer] if self.layer else ["--param", self.parameter]
        score = ["--score", f"{file}:score"] if self.has_score else []
        part = ["--slice", self.slice_] if self.slice_ else []
        inputs = ["--input", f"{file}:example_input"]
        return ["check", f"{file}:{self.model}", *inputs, *asked, *score, *part, *options]


@dataclass(frozen=True, kw_only=True)
class Program:
    """The text of a program; ``helpers`` are further files that lie beside it."""

    name: str
    text: str
    question: Question
    helpers: Mapping[str, str] = field(default_factory=dict)
    line_maps: Mapping[str, LineMap] = field(default_factory=dict)  # of a paraphrase: file -> line -> lines before
    adds_parameters: bool = False

    @property
    def file(self) -> str:
        return f"{self.name.rpartition('/')[2]}.py"

    def write(self, folder: Path) -> Path:
        """Put the program into a folder of its own."""
        for name, text in {self.file: self.text, **self.helpers}.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder / self.file

    def lines_before(self, file: str, line: int) -> frozenset[int]:
        """The lines of the program that a line of this paraphrase stands for; of a program, the line itself."""
        if not self.line_maps:
            return frozenset({line})
        return self.line_maps.get(file, {}).get(line, frozenset())
