from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from gradflow.location import SourceSpan
from gradflow.render.markdown import render_markdown

pytestmark = pytest.mark.usefixtures("in_root")


def test_says_what_where_and_how_to_mend_it(examples: ModuleType) -> None:
    text = render_markdown(examples.detach())
    assert text.startswith("### gradflow: broken (1 error)\n")
    assert "#### error GF101 detach: no gradient reaches `layer4` from class 281" in text
    assert "`fixtures/render/neck.py:14:20`" in text
    assert "│                    ^^^^^^^^^^^^^^^^^ the value goes on" in text
    assert "✂ neck         Tensor.detach  [1, 256, 7, 7]  fixtures/render/neck.py:14:20" in text
    assert "- **help: remove `.detach()`** ✓ tried: the gradient then reaches `layer4`" in text


def test_layers_are_a_table(examples: ModuleType) -> None:
    text = render_markdown(examples.several_layers())
    assert "| `layer4` | broken |  | \\[1, 512, 7, 7\\] | GF101 detach |" in text
    assert text.count("#### error GF101") == 1


def test_names_and_sources_cannot_break_out(examples: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text('y = """```\n')
    diagnostic = replace(
        examples.DETACH,
        message="<script> @somebody *bold* `co|de`",
        location=SourceSpan(path=str(source), line=1, column=1, end_line=1, end_column=2),
        annotations=(),
    )
    target = replace(examples.LAYER, name="a`|b")
    report = replace(examples.detach(), diagnostics=(diagnostic,), target=target)
    text = render_markdown(replace(report, others=(examples.healthy(),)))
    assert "&lt;script&gt; @<!-- -->somebody \\*bold\\* `co|de`" in text
    assert '````text\n  │\n1 │ y = """```' in text
    assert "| <code>a&#96;&#124;b</code> |" in text


@pytest.mark.parametrize(
    "name", ["healthy", "layer_not_called", "two_cuts", "missing_source", "not_determined", "zero"]
)
def test_fences_are_closed(name: str, examples: ModuleType) -> None:
    assert render_markdown(examples.EXAMPLES[name]()).count("```") % 2 == 0
