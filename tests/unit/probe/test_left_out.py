"""A value is kept in a container of which other entries are read: the choice is named, where there is only one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.probe.left_out import LeftOut, find_left_out


def look(folder: Path, body: str) -> LeftOut | None:
    """Ask about the line with ``# asked``."""
    path = folder / "net.py"
    path.write_text(body)
    line = 1 + next(number for number, text in enumerate(body.splitlines()) if text.endswith("# asked"))
    span = SourceSpan(path=str(path), line=line, column=9, end_line=line, end_column=20, function="Net.forward")
    return find_left_out(span)


def chosen(found: LeftOut | None, body: str) -> str:
    return "" if found is None else body.splitlines()[found.span.line - 1].strip()


@pytest.mark.parametrize(
    ("reads", "line", "entry"),
    [
        ("levels = ('p4',)\n        return [feats[k] for k in levels]", "levels = ('p4',)", "'p3'"),
        ("return [feats[k] for k in ('p4', 'p5')]", "return [feats[k] for k in ('p4', 'p5')]", "'p3'"),
        ("return feats['p4']", "return feats['p4']", "'p3'"),
        (
            "out = 0\n        for k in self.used:\n            out += feats[k]\n        return out",
            "self.used = ['p4']",
            "'p3'",
        ),
    ],
)
def test_a_dictionary(tmp_path: Path, reads: str, line: str, entry: str) -> None:
    body = f"""class Net:
    def __init__(self):
        self.used = ['p4']

    def forward(self, x):
        p3 = self.a(x)  # asked
        p4 = self.b(x)
        feats = {{'p3': p3, 'p4': p4}}
        {reads}
"""
    found = look(tmp_path, body)
    assert chosen(found, body) == line
    assert found is not None
    assert (found.container, found.entry) == ("feats", entry)
    assert found.span.function == ("" if line.startswith("self") else "Net.forward")


@pytest.mark.parametrize("read", ["hidden[1:]", "hidden[-1]", "hidden[self.select]"])
def test_a_list_from_another_module(tmp_path: Path, read: str) -> None:
    body = f"""class Net:
    def forward(self, x):
        hidden = self.body(x)  # asked
        last = {read}
        return self.head(last)
"""
    assert chosen(look(tmp_path, body), body) == f"last = {read}"


@pytest.mark.parametrize(
    "reads",
    [
        "return feats['p4'] + feats['p5']",  # two choices
        "return self.head(feats)",  # anything may be done with it there
        "return [feats[k] for k in ('p3', 'p4')]",  # the entry is chosen
        "return [f for f in feats.values()]",
        "return feats['p3']",
        "return p3",
    ],
)
def test_what_is_not_one_choice_is_left_alone(tmp_path: Path, reads: str) -> None:
    body = f"""class Net:
    def forward(self, x):
        p3 = self.a(x)  # asked
        feats = {{'p3': p3, 'p4': self.b(x), 'p5': self.c(x)}}
        {reads}
"""
    assert look(tmp_path, body) is None


def test_a_line_outside_any_function(tmp_path: Path) -> None:
    assert look(tmp_path, "x = 1  # asked\n") is None


@pytest.mark.parametrize(
    ("helper", "reads"),
    [
        ("def pick(m, f):\n    return [f[k] for k in m.used]", "pick(me, feats)"),
        ("def pick(out, k, f):\n    return out.append(f[k])", "[pick(out, name, feats) for name in me.used]"),
    ],
)
def test_a_function_that_gets_the_container(tmp_path: Path, helper: str, reads: str) -> None:
    body = f"""{helper}
class Net:
    def __init__(this):
        this.used = ['p4']

    def forward(me, x, out):
        me.p3 = me.a(x)  # asked
        feats = {{'p3': me.p3, 'p4': me.b(x)}}
        return {reads}
"""
    assert chosen(look(tmp_path, body), body) == "this.used = ['p4']"


@pytest.mark.parametrize(
    ("helper", "reads"),
    [
        ("def pick(f):\n    return sum(f)", "pick(feats)"),
        ("def pick(f):\n    return f['p3']", "pick(feats)"),
        ("def pick(f):\n    return f['p4']\ndef pick(f):\n    return f", "pick(feats)"),
        ("def other(net):\n    return net.feats", "me.b(0)"),
    ],
)
def test_a_function_that_may_read_the_entry(tmp_path: Path, helper: str, reads: str) -> None:
    body = f"""{helper}
class Net:
    def forward(me, x):
        p3 = me.a(x)  # asked
        feats = {{'p3': p3, 'p4': me.b(x)}}
        return {reads}
"""
    assert look(tmp_path, body) is None


def test_an_attribute_that_another_function_reads(tmp_path: Path) -> None:
    body = """class Net:
    def forward(self, x):
        self.feats = self.a(x)  # asked
        return self.feats['p4']
"""
    assert chosen(look(tmp_path, body), body) == "return self.feats['p4']"
    other = tmp_path / "other"
    other.mkdir()
    assert look(other, f"{body}\n    def both(self):\n        return self.feats\n") is None
