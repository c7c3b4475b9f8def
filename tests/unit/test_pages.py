"""Every code has its page; the examples on it really run and print what they say."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from importlib import resources

import pytest

from gradflow.diagnose.codes import CODES

HEADINGS = [
    "What it means",
    "Why it happens",
    "Example",
    "How to fix",
    "When it is intended",
    "See also",
]
PAGES = resources.files("gradflow") / "pages"


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def promised_output(source: str) -> list[str]:
    """What the comments behind ``print(...)`` say will be printed."""
    return [match[1] for match in re.finditer(r"^\s*print\(.*\)  # (.*)$", source, flags=re.MULTILINE)]


def promised_error(source: str) -> tuple[str, str] | None:
    match = re.search(r"  # (\w+Error): (.*)$", source, flags=re.MULTILINE)
    return (match[1], match[2]) if match else None


def test_there_is_one_page_for_each_code() -> None:
    found = {entry.name.removesuffix(".md") for entry in PAGES.iterdir() if entry.name.endswith(".md")}
    assert found == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_has_its_parts_in_order(code: str) -> None:
    text = page(code)
    first, blank, sentence = text.splitlines()[:3]
    assert re.fullmatch(rf"# {code} {CODES[code]}: \S.*[^.]", first)
    assert blank == ""
    assert sentence.endswith(".")
    command = r"`gradflow (check|check --verify|audit|run)`"
    assert re.search(rf"^Reported by {command}((, {command})? and {command})?\.", text, re.MULTILINE)
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == HEADINGS
    for heading in HEADINGS:
        assert section(text, heading).strip(), heading


@pytest.mark.parametrize("code", CODES)
def test_links_lead_to_other_pages_and_say_their_names(code: str) -> None:
    links = re.findall(r"\[(GF\d+)\]\((\S+?)\.md\) (\S+?)(?:,|$)", section(page(code), "See also"), re.MULTILINE)
    assert links
    for shown, goal, name in links:
        assert shown == goal != code
        assert CODES[goal] == name


@pytest.mark.parametrize("code", CODES)
def test_python_on_the_page_is_python(code: str) -> None:
    found = blocks(page(code))
    assert found
    for block in found:
        ast.parse(block)  # fragments of a function body too, so not compile()


@pytest.mark.parametrize("code", CODES)
def test_the_example_does_what_it_says(code: str) -> None:
    pytest.importorskip("torch")
    (source,) = blocks(section(page(code), "Example"))
    expected, error = promised_output(source), promised_error(source)
    assert expected or error, "the example shows nothing"
    printed = io.StringIO()
    program = compile(source, f"{code}.md", "exec")
    with contextlib.redirect_stdout(printed):
        if error is None:
            exec(program, {"__name__": "__main__"})
        else:
            with pytest.raises(Exception, match=re.escape(error[1])) as raised:
                exec(program, {"__name__": "__main__"})
            assert raised.type.__name__ == error[0]
    assert printed.getvalue().splitlines() == expected
