from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType

import pytest

from gradflow.render.html import render_html
from gradflow.render.notebook import render_notebook

pytestmark = pytest.mark.usefixtures("in_root")
NAMES = (
    "detach", "healthy", "layer_not_called", "two_cuts", "several_layers", "nan", "partial_detach", "unicode_source",
    "missing_source", "not_determined", "zero",
)  # fmt: skip
VOID = {"meta", "br", "link", "img"}


class Balance(HTMLParser):
    """Checks that every element is closed where it was opened, and gathers text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> Balance:
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize("name", NAMES)
def test_page_and_fragment_are_whole_and_need_no_network(name: str, examples: ModuleType) -> None:
    report = examples.EXAMPLES[name]()
    for html in (render_html(report), render_notebook(report)):
        assert parsed(html).addresses == []
        assert "@import" not in html
        assert "url(" not in html
        assert "<script" not in html


def test_page_shows_finding_source_path_and_repair(examples: ModuleType) -> None:
    html = render_html(examples.detach())
    text = re.sub(r"\s+", " ", "".join(parsed(html).text))
    assert '<mark class="primary">features.detach()</mark>' in html
    assert "the value goes on, its gradient does not" in text
    assert "✓ tried: the gradient then reaches layer4, L2 norm 0.0123" in text
    assert "cut at fixtures/render/neck.py:14:20" in text
    assert "none arrived" in text


def test_what_a_model_names_is_escaped(examples: ModuleType) -> None:
    diagnostic = replace(examples.DETACH, message="`<img src=x onerror=alert(1)>`", notes=("<script>1</script>",))
    target = replace(examples.LAYER, name="</title><script>2</script>")
    report = replace(examples.detach(), diagnostics=(diagnostic,), target=target)
    for html in (render_html(report), render_notebook(report)):
        assert "<script>" not in html
        assert "<img" not in html
        assert "<code>&lt;img src=x onerror=alert(1)&gt;</code>" in html


def test_drawing_is_put_in_without_its_prologue(examples: ModuleType) -> None:
    svg = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg viewBox="0 0 1 1"><g/></svg>'
    html = render_html(examples.detach(), svg=svg)
    assert '<div class="graph"><svg viewBox="0 0 1 1"><g/></svg></div>' in html
    assert "<?xml" not in html
    assert 'class="graph"' not in render_html(examples.detach())


def test_report_shows_itself_in_a_notebook(examples: ModuleType) -> None:
    html = examples.healthy()._repr_html_()
    assert "connected: a gradient reaches <code>layer4.1.conv2</code>" in html
    assert "<html" not in html


def test_path_without_a_finding_is_shown(examples: ModuleType) -> None:
    assert 'class="path"' in render_notebook(examples.not_determined())
    assert 'class="path"' not in render_notebook(examples.healthy())
