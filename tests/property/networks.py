"""Random small networks as Python source: a layer called ``target``, and a planted piece of code somewhere after it."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.property.blocks import BLOCKS, BRIDGES, TARGETS
from tests.property.fragment import Fragment

__all__ = ["Network", "Plant", "grow"]

_HEADER = """\
import contextlib
import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
"""

_DEEPEST = 4
"""So many modules and functions may be nested in each other."""

INPUTS = {"map": "torch.randn(3, 3, 6, 6)", "sequence": "torch.randint(0, 32, (3, 5))", "vector": "torch.randn(3, 12)"}
STEMS = {"map": "nn.Conv2d(3, 8, 3, padding=1)", "sequence": "nn.Embedding(32, 8)", "vector": "nn.Linear(12, 8)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What is planted: both pieces do about the same, ``broken`` loses a gradient and ``healthy`` does not."""

    broken: Fragment
    healthy: Fragment

    @property
    def needs_class(self) -> bool:
        return self.broken.needs_class or self.healthy.needs_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network in two versions with the same layers, each with a ``build()`` and an ``example_input()``."""

    broken: str
    healthy: str
    target: str

    @property
    def blamed_lines(self) -> frozenset[int]:
        lines = self.broken.splitlines()
        return frozenset(number for number, line in enumerate(lines, start=1) if line.endswith("# blame"))


_Line = str | tuple[str, str]
"""A line, or a line of the broken version beside that of the healthy one (empty where it has none)."""


@dataclass
class _Scope:
    """The body of one function or method under construction."""

    network: _Builder
    owner: _Class | None
    lines: list[_Line] = field(default_factory=list)

    def write(self, fragment: Fragment, name: str, kind: str, healthy: Fragment | None = None) -> tuple[str, str]:
        """Append a piece that reads the value ``name``; returns the name and the kind of what goes out."""
        builder = self.network
        out = builder.name("h") if builder.chance(40) else name
        words = {
            "x": name,
            "y": out,
            "n": builder.number(),
            **{letter: builder.name(letter) for letter in "abc"},
            **{f"l{position}": self._layer(how) for position, how in enumerate(fragment.layers)},
        }
        if fragment.definitions:
            builder.definitions.append(fragment.definitions.format(**words))
        if fragment.methods and self.owner is not None:
            self.owner.methods.append(fragment.methods.format(**words))
        body = fragment.body.format(**words).splitlines()
        if healthy is None:
            self.lines.extend(body)
        else:
            self.lines.extend((line, "") for line in body)
            self.lines.extend(("", line) for line in healthy.body.format(**words).splitlines())
        return out, fragment.gives or kind

    def _layer(self, how: str) -> str:
        assert self.owner is not None
        return f"self.{self.owner.attribute('layer', how)}"


@dataclass
class _Class:
    """A module class under construction."""

    network: _Builder
    name: str
    attributes: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    forward: list[_Line] = field(default_factory=list)

    def attribute(self, stem: str, how: str) -> str:
        name = stem if stem == "target" else self.network.name(stem)
        self.attributes.append(f"self.{name} = {how}")
        return name

    def source(self, side: int) -> str:
        parts = [
            f"class {self.name}(nn.Module):",
            *(textwrap.indent(method, "    ") + "\n" for method in self.methods),
            "    def __init__(self):",
            "        super().__init__()",
            *(f"        {line}" for line in self.attributes),
            "",
            "    def forward(self, x):",
            *(f"        {line}" for line in _version(self.forward, side)),
        ]
        return "\n".join(parts)


def _version(lines: list[_Line], side: int) -> list[str]:
    return [line for line in ((line if isinstance(line, str) else line[side]) for line in lines) if line]


@dataclass
class _Part:
    """A class or a function of the module, in the order in which they are written."""

    source: Callable[[int], str]


class _Builder:
    def __init__(self, chooser: random.Random) -> None:
        self.random = chooser
        self.definitions: list[str] = []
        self.parts: list[_Part] = []
        self.depth = 0
        self._count = 0

    def chance(self, percent: int) -> bool:
        """Whether something happens that makes the network less simple."""
        return self.random.randint(0, 99) >= 100 - percent

    def number(self) -> int:
        self._count += 1
        return self._count

    def name(self, stem: str) -> str:
        return f"{stem}{self.number()}"

    # pieces

    def blocks(self, scope: _Scope, name: str, kind: str, count: int) -> tuple[str, str]:
        """Append some healthy blocks."""
        for _ in range(count):
            if scope.owner is not None and self.depth < _DEEPEST and self.chance(15):
                name = self.nested(scope, name, kind, None)
                continue
            choices = [block for block in BLOCKS[kind] if scope.owner is not None or not block.needs_class]
            name, kind = scope.write(self.random.choice(choices), name, kind)
        return name, kind

    def planted(self, scope: _Scope, name: str, kind: str, plant: Plant) -> str:
        """Append the planted piece, here or inside of something that is called here."""
        if self.depth < _DEEPEST:
            if scope.owner is not None and self.chance(30):
                return self.nested(scope, name, kind, plant)
            if not plant.needs_class and self.chance(15):
                return self.helper(scope, name, kind, plant)
        name, _ = scope.write(plant.broken, name, kind, plant.healthy)
        return name

    def nested(self, scope: _Scope, name: str, kind: str, plant: Plant | None) -> str:
        """A submodule, called in one of the ways in which people call them."""
        assert scope.owner is not None
        inner = _Class(self, self.name("Part"))
        self._body(_Scope(self, inner, inner.forward), "x", kind, plant)
        self.parts.append(_Part(inner.source))
        way = self.random.choice(
            ("plain", "plain", "sequential", "residual", "loop", "tuple", "dictionary", "checkpoint")
        )
        how = f"{inner.name}()"
        if plant is not None and way in ("residual", "checkpoint"):
            way = "plain"
        out = self.name("h")
        if way == "sequential":
            part = scope.owner.attribute("part", f"nn.Sequential(nn.Identity(), {how})")
            scope.lines.append(f"{out} = self.{part}({name})")
        elif way == "loop":
            part = scope.owner.attribute("parts", f"nn.ModuleList([nn.Identity(), {how}])")
            scope.lines += [f"for part in self.{part}:", f"    {name} = part({name})", f"{out} = {name}"]
        else:
            part = scope.owner.attribute("part", how)
            returned = {"tuple": "(value, None)", "dictionary": "{'out': value, 'aux': 1}"}.get(way)
            if returned is not None:
                last = inner.forward.pop()
                assert isinstance(last, str)
                inner.forward += [last.replace("return ", "value = ", 1), f"return {returned}"]
            call = {
                "residual": f"{name} + self.{part}({name})",
                "tuple": f"self.{part}({name})[0]",
                "dictionary": f"self.{part}({name})['out']",
                "checkpoint": f"checkpoint(self.{part}, {name}, use_reentrant=False)",
            }.get(way, f"self.{part}({name})")
            scope.lines.append(f"{out} = {call}")
        return out

    def helper(self, scope: _Scope, name: str, kind: str, plant: Plant) -> str:
        """A function of the module."""
        function, body = self.name("helper"), []
        self._body(_Scope(self, None, body), "x", kind, plant)
        self.parts.append(
            _Part(lambda side: "\n".join([f"def {function}(x):", *(f"    {line}" for line in _version(body, side))]))
        )
        out = self.name("h")
        scope.lines.append(f"{out} = {function}({name})")
        return out

    def _body(self, scope: _Scope, name: str, kind: str, plant: Plant | None) -> None:
        self.depth += 1
        name, _ = self.blocks(scope, name, kind, self.random.randint(0, 1))
        if plant is not None:
            name = self.planted(scope, name, kind, plant)
        name, _ = self.blocks(scope, name, kind, self.random.randint(0, 1))
        scope.lines.append(f"return {name}")
        self.depth -= 1

    # the whole

    def network(self, plant: Plant) -> Network:
        kind = start = self.random.choice([kind for kind in ("map", "sequence", "vector") if kind in plant.broken.fits])
        main = _Class(self, "Net")
        scope = _Scope(self, main, main.forward)
        stem = main.attribute("stem", STEMS[kind])
        scope.lines.append(f"x = self.{stem}(x)")
        name, _ = self.blocks(scope, "x", kind, self.random.randint(0, 1))
        name, target = self.target(scope, main, name, kind)
        name, _ = self.blocks(scope, name, kind, self.random.randint(0, 2))
        bridge = self._bridge(kind)
        plant_late = bridge is not None and bridge.gives in plant.broken.fits and self.chance(30)
        if not plant_late:
            name = self.planted(scope, name, kind, plant)
            name, _ = self.blocks(scope, name, kind, self.random.randint(0, 2))
        if bridge is not None:
            name, kind = scope.write(bridge, name, kind)
        if plant_late:
            name = self.planted(scope, name, kind, plant)
        name, _ = self.blocks(scope, name, kind, self.random.randint(0, 1))
        if kind != "vector":
            name, kind = scope.write(
                self.random.choice([b for b in BRIDGES if b.fits == (kind,) and b.gives == "vector"]), name, kind
            )
        head = main.attribute("head", "nn.Linear(8, 4)")
        scope.lines.append(f"return self.{head}({name})")
        if self.chance(20):
            main.attributes.append(f"self.{stem}.requires_grad_(False)")
        elif self.chance(10):
            main.attributes.append(f"self.{head}.requires_grad_(False)")
        self.parts.append(_Part(main.source))
        mode = self.random.choice(("train", "eval"))
        end = (
            f"def build():\n    torch.manual_seed({self.random.randint(0, 999)})\n    return Net().{mode}()\n\n\n"
            f"def example_input():\n    torch.manual_seed({self.random.randint(0, 999)})\n    return {INPUTS[start]}\n"
        )
        broken, healthy = (
            "\n\n".join([_HEADER, *self.definitions, *(p.source(s) + "\n" for p in self.parts), end]) for s in (0, 1)
        )
        return Network(broken=broken, healthy=healthy, target=target)

    def _bridge(self, kind: str) -> Fragment | None:
        return self.random.choice([None, *(bridge for bridge in BRIDGES if bridge.fits == (kind,))])

    def target(self, scope: _Scope, main: _Class, name: str, kind: str) -> tuple[str, str]:
        """The layer asked for, in the main class or in a part."""
        how = self.random.choice(TARGETS[kind])
        if not self.chance(50):
            main.attribute("target", how)
            scope.lines.append(f"{name} = self.target({name})")
            return name, "target"
        inner = _Class(self, self.name("Body"))
        inner_scope = _Scope(self, inner, inner.forward)
        inside, _ = self.blocks(inner_scope, "x", kind, self.random.randint(0, 1))
        inner.attribute("target", how)
        inner_scope.lines.append(f"{inside} = self.target({inside})")
        inside, _ = self.blocks(inner_scope, inside, kind, self.random.randint(0, 1))
        inner_scope.lines.append(f"return {inside}")
        self.parts.append(_Part(inner.source))
        body = main.attribute("body", f"{inner.name}()")
        scope.lines.append(f"{name} = self.{body}({name})")
        return name, f"{body}.target"


def grow(chooser: random.Random, plant: Plant) -> Network:
    """A network with ``plant`` at a random place after the target."""
    return _Builder(chooser).network(plant)
