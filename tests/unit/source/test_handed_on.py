"""A function that a method hands its module, or a layer, to: what it does counts as the method's own code."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path

import pytest

from gradflow.probe.not_called import NotCalled, explain_not_called
from gradflow.probe.usage import Usage, find_usage


def define(folder: Path, source: str) -> type:
    path = folder / "handing_net.py"
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net: type = module.Net
    return net


def read(owner: type, attribute: str) -> Usage:
    usage = find_usage(owner, attribute)
    assert usage is not None
    return usage


def explain(owner: type, attribute: str, *lines: int) -> NotCalled:
    """As if operations had been recorded on these lines."""
    path = owner.forward.__code__.co_filename  # type: ignore[attr-defined]
    return explain_not_called([("", owner, attribute)], frozenset((path, line) for line in lines), ran={""})


@pytest.mark.parametrize(
    ("helper", "call"),
    [
        ("def run(m, x):\n    return m.fc(x)", "run(self, x)"),
        ("def run(x, m):\n    return m.fc(x)", "run(m=self, x=x)"),
        ("def run(x, *, m):\n    return m.fc(x)", "run(x, m=self)"),
        ("run = lambda m, x: m.fc(x)", "run(self, x)"),
        ("def run(layer, x):\n    return layer(x)", "run(self.fc, x)"),
        ("def inner(f, x):\n    return f(x)\ndef run(m, x):\n    return inner(m.fc, x)", "run(self, x)"),
        ("class Kit:\n    @staticmethod\n    def run(f, x):\n        return f(x)", "Kit.run(self.fc, x)"),
        ("def run(m, x):\n    return m.encode(x)", "run(self, x)"),
        ("", "self.apply_to(self.fc, x)"),
    ],
)
def test_what_a_function_calls_of_its_argument(tmp_path: Path, helper: str, call: str) -> None:
    encode = "return self.fc(x)" if ".encode" in helper else "return x"
    source = f"""class Net:
    def forward(self, x):
        return {call}

    def encode(self, x):
        {encode}

    def apply_to(self, f, x):
        return f(x)
"""
    usage = read(define(tmp_path, f"{helper}\n{source}"), "fc")
    assert [site.reached for site in usage.calls] == [True]
    assert usage.reads == usage.method_calls == ()


@pytest.mark.parametrize(
    ("helper", "call"),
    [
        ("def run(layer, x):\n    return x", "run(self.fc, x)"),
        ("def run(layer, x):\n    layer = abs\n    return layer(x)", "run(self.fc, x)"),
        ("def other(layer, x):\n    return layer(x)\ndef run(m, x):\n    return x", "run(self.fc, x)"),
        ("def run(m, x):\n    return run(m, x)", "run(self.fc, x)"),
    ],
)
def test_a_function_that_does_not_call_it(tmp_path: Path, helper: str, call: str) -> None:
    source = f"{helper}\nclass Net:\n    def forward(self, x):\n        return {call}\n"
    usage = read(define(tmp_path, source), "fc")
    assert usage.calls == ()
    assert [site.is_argument for site in usage.reads] == [True]


def test_a_name_that_means_another_function_in_the_method(tmp_path: Path) -> None:
    source = """
    def run(m, x):
        return m.fc(x)

    class Net:
        def forward(self, x, run=abs):
            return run(self)
    """
    assert read(define(tmp_path, source), "fc").calls == ()


def test_the_condition_around_the_call_of_a_helper(tmp_path: Path) -> None:
    source = """\
    def refine(layer, x):
        return layer(x)

    class Net:
        def forward(self, x):
            if self.wants_more:
                x = refine(self.fc, x)
            return refine(self.head, x)
    """
    found = explain(define(tmp_path, source), "fc", 2)
    assert found.kind == "layer-not-called"
    assert found.location is not None
    assert found.location.line == 6
    assert found.label == "`self.wants_more` was false in this run, so `layer(x)` on line 2 did not run"


def test_the_loop_that_gives_a_helper_its_index(tmp_path: Path) -> None:
    source = """\
    def step(i, m, x):
        return m.layers[i](x)

    class Net:
        def forward(self, x):
            for i in range(self.depth - 1):
                x = step(i, self, x)
            return x
    """
    found = explain(define(tmp_path, source), "layers.3", 2)
    assert found.location is not None
    assert found.location.line == 6
    assert found.label == "`range(self.depth - 1)` does not come to element 3, so it is not called"


def test_an_index_that_the_helper_computes(tmp_path: Path) -> None:
    source = """\
    def step(i, m, x):
        i = i * 2
        return m.layers[i](x)

    class Net:
        def forward(self, x):
            for i in range(self.depth - 1):
                x = step(i, self, x)
            return x
    """
    found = explain(define(tmp_path, source), "layers.3", 3)
    assert found.location is not None
    assert found.location.line == 3


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ("if self.on:\n    x = partial(abs, self.fc)(x)\nreturn x", "so `partial(...)` on line 6 did not run"),
        ("def go(f):\n    return f(x)\nif self.on:\n    x = go(self.fc)\nreturn x", "`go(...)` on line 8 did not run"),
        ("if self.on:\n    x = self.fc.forward(x)\nreturn x", "so `self.fc.forward(x)` on line 6 did not run"),
        ("step = self.fc if self.on else abs\nreturn step(x)", "so `step(x)` on line 6 calls something else"),
        ("step = abs\nif self.on:\n    step = self.fc\nreturn step(x)", "so `step(x)` on line 8 calls something else"),
        ("step = self.fc if self.on else abs\nreturn run(step, x)", "so `f(x)` on line 2 calls something else"),
        ("step = self.fc if self.on else abs\nreturn partial(step, x)", ""),
    ],
)
def test_a_line_that_may_not_have_run_is_not_said_to_hand_on(tmp_path: Path, body: str, label: str) -> None:
    source = (
        f"def run(f, x):\n    return f(x)\nclass Net:\n    def forward(self, x):\n{textwrap.indent(body, ' ' * 8)}\n"
    )
    found = explain(define(tmp_path, source), "fc")
    assert found.kind == "layer-not-called"
    assert found.label.startswith("`self.on` was false in this run")
    assert label in found.label


@pytest.mark.parametrize("body", ["return partial(abs, self.fc)(x)", "step = self.fc\nreturn partial(abs, step)(x)"])
def test_a_line_that_ran_is(tmp_path: Path, body: str) -> None:
    source = f"class Net:\n    def forward(self, x):\n{textwrap.indent(body, ' ' * 8)}\n"
    found = explain(define(tmp_path, source), "fc")
    assert (found.kind, found.label[:6]) == ("functional-bypass", "hands ")
