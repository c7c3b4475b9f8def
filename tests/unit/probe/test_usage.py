from __future__ import annotations

import importlib.util
import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradflow.probe.usage import Usage, find_usage

Define = Callable[[str], type]
_COUNTER = itertools.count()


@pytest.fixture
def define(tmp_path: Path) -> Define:
    """Writes source code to a file, runs it and gives the class ``Net`` in it."""

    def run(source: str) -> type:
        path = tmp_path / f"net_{next(_COUNTER)}.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        net: type = module.Net
        return net

    return run


def read(owner: type, attribute: str, *lines: int) -> Usage:
    path = next(value.__code__.co_filename for value in vars(owner).values() if hasattr(value, "__code__"))
    usage = find_usage(owner, attribute, executed=frozenset((path, line) for line in lines))
    assert usage is not None
    return usage


def forward(define: Define, body: str) -> type:
    return define("class Net:\n    def forward(self, x):\n" + textwrap.indent(textwrap.dedent(body), " " * 8))


@pytest.mark.parametrize(
    ("attribute", "body"),
    [
        ("fc", "return self.fc(x)"),
        ("fc", "return getattr(self, 'fc')(x)"),
        ("conv3", "return getattr(self, f'conv{x}')(x)"),
        ("fc", "return self.get_submodule('fc')(x)"),
        ("fc", "fc = self.fc\nreturn fc(x)"),
        ("fc", "a, fc = 1, self.fc\nreturn fc(x)"),
        ("fc", "return (self.fc if x else self.other)(x)"),
        ("fc", "return self._modules['fc'](x)"),
        ("fc", "for m in self.children():\n    x = m(x)\nreturn x"),
        ("fc", "for name, m in self.named_children():\n    x = m(x)\nreturn x"),
        ("layers.2", "return self.layers[2](x)"),
        ("layers.2", "return self.layers[x](x)"),
        ("heads.left", "return self.heads['left'](x)"),
        ("layers.2", "for layer in self.layers:\n    x = layer(x)\nreturn x"),
        ("layers.2", "for i, layer in enumerate(self.layers):\n    x = layer(x)\nreturn x"),
        ("layers.2", "for layer in reversed(self.layers):\n    x = layer(x)\nreturn x"),
        ("layers.2", "for a, b in zip(self.others, self.layers):\n    x = a(b(x))\nreturn x"),
        ("layers.2", "return [layer(x) for layer in self.layers]"),
        ("heads.left", "for name, head in self.heads.items():\n    x = head(x)\nreturn x"),
        ("heads.left", "for head in self.heads.values():\n    x = head(x)\nreturn x"),
        ("layers.2.attn", "for layer in self.layers:\n    x = layer.attn(x)\nreturn x"),
        ("encoder.fc", "return self.encoder.fc(x)"),
    ],
)
def test_calls(define: Define, attribute: str, body: str) -> None:
    usage = read(forward(define, body), attribute)
    assert len(usage.calls) == 1
    assert usage.method_calls == usage.reads == ()


@pytest.mark.parametrize(
    ("attribute", "body"),
    [
        ("fc", "return self.fc2(x)"),
        ("fc", "return x.fc(x)"),
        ("conv3", "return getattr(self, f'pool{x}')(x)"),
        ("layers.2", "return self.layers[1](x)"),
        ("heads.left", "return self.heads['right'](x)"),
        ("layers.2", "for layer in self.others:\n    x = layer(x)\nfor layer in self.layers:\n    pass\nreturn x"),
        ("layers.2", "for a, b in zip(self.others, self.layers):\n    x = a(x)\nreturn x"),
    ],
)
def test_calls_of_something_else(define: Define, attribute: str, body: str) -> None:
    assert read(forward(define, body), attribute).calls == ()


def test_span_and_text_with_wide_characters(define: Define) -> None:
    net = forward(define, "größe = 'ä'; x = self.fc(x)\nreturn x")
    (site,) = read(net, "fc", 3).calls
    assert (site.span.line, site.span.column, site.span.end_column) == (3, 26, 36)
    assert site.span.function == "Net.forward"
    assert site.text == "self.fc(x)"
    assert site.executed


def test_sequential_as_a_whole(define: Define) -> None:
    usage = read(forward(define, "return self.features(x)"), "features.3")
    assert usage.calls == ()
    assert [site.text for site in usage.container_calls] == ["self.features(x)"]


def test_methods_of_the_layer(define: Define) -> None:
    usage = read(forward(define, "self.fc.train()\nreturn self.fc.forward(x)"), "fc")
    assert usage.calls == ()
    assert [site.text for site in usage.method_calls] == ["self.fc.forward(x)"]


def test_reads(define: Define) -> None:
    body = """
    a = F.linear(x, self.fc.weight)
    b = x.to(self.fc.weight.dtype) if isinstance(self.fc, int) else self.fc.in_features
    return checkpoint(self.fc, a)
    """
    first, second = read(forward(define, body), "fc").reads
    assert (first.text, first.callee, first.is_argument) == ("self.fc.weight", "F.linear", False)
    assert (second.text, second.callee, second.is_argument) == ("self.fc", "checkpoint", True)


def test_assignments_and_inheritance(define: Define) -> None:
    net = define(
        """
        class Base:
            def __init__(self):
                self.fc = 1

            def forward(self, x):
                return self.fc(x)

        class Net(Base):
            def __init__(self):
                super().__init__()
                self.head = 2

            def forward(self, x):
                return self.head(super().forward(x))
        """
    )
    usage = read(net, "fc")
    assert [site.span.line for site in usage.assignments] == [4]
    assert [(site.span.function, site.reached) for site in usage.calls] == [("Base.forward", True)]
    assert [site.span.line for site in read(net, "head").assignments] == [12]


def test_an_overridden_method_does_not_count(define: Define) -> None:
    net = define(
        """
        class Base:
            def forward(self, x):
                return self.fc(x)

        class Net(Base):
            def forward(self, x):
                return self.head(x)
        """
    )
    usage = read(net, "fc")
    assert usage.calls == ()
    assert usage.other_calls == ("head",)


def test_methods_that_forward_leads_to(define: Define) -> None:
    net = define(
        """
        class Net:
            def forward(self, x):
                if self.deep:
                    x = self._features(x)
                return x

            def _features(self, x):
                return self.fc(x)

            def embed(self, x):
                return self.fc(x)
        """
    )
    features, embed = sorted(read(net, "fc").calls, key=lambda site: site.span.function)
    assert (embed.reached, features.reached) == (False, True)
    assert [guard.text for guard in features.guards] == ["self.deep"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if self.on:\n    x = self.fc(x)\nreturn x", [("if", "self.on", True)]),
        ("if self.on:\n    pass\nelse:\n    x = self.fc(x)\nreturn x", [("if", "self.on", False)]),
        (
            "if a:\n    pass\nelif b:\n    x = self.fc(x)\nreturn x",
            [("if", "a", False), ("if", "b", True)],
        ),
        ("return self.fc(x) if self.on else x", [("conditional expression", "self.on", True)]),
        ("return x if self.off else self.fc(x)", [("conditional expression", "self.off", False)]),
        ("if not self.on:\n    return x\nreturn self.fc(x)", [("early return", "not self.on", False)]),
        ("return self.on and self.fc(x)", [("and", "self.on", True)]),
        ("while self.on:\n    x = self.fc(x)\nreturn x", [("while", "self.on", True)]),
        ("for i in x:\n    if i:\n        continue\n    x = self.fc(x)\nreturn x", [("early return", "i", False)]),
        ("if self.fc is not None:\n    x = self.fc(x)\nreturn x", []),
        ("if self.on:\n    x = 1\nreturn self.fc(x)", []),
        ("match self.mode:\n    case 'a':\n        x = self.fc(x)\nreturn x", [("case", "'a'", True)]),
        ("match self.mode:\n    case 'a' | 'b':\n        x = self.fc(x)\nreturn x", [("case", "'a' | 'b'", True)]),
        (
            "match self.mode:\n    case 'a':\n        pass\n    case _:\n        x = self.fc(x)\nreturn x",
            [("case", "_", True)],
        ),
        ("match self.mode:\n    case k if k > 2:\n        x = self.fc(x)\nreturn x", [("case", "k if k > 2", True)]),
        ("match self.mode:\n    case 'a':\n        return x\nreturn self.fc(x)", [("case", "'a'", False)]),
        ("match self.mode:\n    case 'a':\n        x = x + 1\nreturn self.fc(x)", []),
    ],
)
def test_guards(define: Define, body: str, expected: list[tuple[str, str, bool]]) -> None:
    (site,) = read(forward(define, body), "fc").calls
    assert [(guard.kind, guard.text, guard.runs_when) for guard in site.guards] == expected


@pytest.mark.parametrize(
    ("lines", "evidence"), [([], "none"), ([4], "entered"), ([6], "avoided"), ([4, 6], "both"), ([3, 7], "none")]
)
def test_what_the_recorded_lines_say_about_a_guard(define: Define, lines: list[int], evidence: str) -> None:
    net = forward(define, "if self.on:\n    x = self.fc(x) + 1\nelse:\n    x = x + 2\nreturn x")
    (site,) = read(net, "fc", *lines).calls
    assert site.guard is not None
    assert site.guard.evidence == evidence


def test_without_source(define: Define) -> None:
    namespace: dict[str, type] = {}
    exec("class Net:\n    def forward(self, x):\n        return self.fc(x)", namespace)
    assert find_usage(namespace["Net"], "fc") is None
    assert find_usage(int, "fc") is None
