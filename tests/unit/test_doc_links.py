"""Links between pages lead somewhere in a clone; the site rewrites those that lead out of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def _is_made_when_built(page: Path) -> bool:
    """Copies and texts that `docs/conf.py` writes, and git ignores."""
    return any(part in ("codes", "cli-help") for part in page.relative_to(ROOT).parts[:-1])


@pytest.mark.parametrize("page", [page for page in PAGES if not _is_made_when_built(page)], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in LINK.findall(text) if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_pages_of_codes_are_linked_to() -> None:
    linked = [page for page in PAGES if "](../../gradflow/pages/GF" in page.read_text(encoding="utf-8")]
    assert len(linked) >= 4


def test_every_place_that_is_said_to_be_somewhere_is_there() -> None:
    rows = (ROOT / "docs" / "explanation" / "where-is-what.md").read_text(encoding="utf-8").splitlines()
    named = [path for row in rows if row.startswith("| ") for path in re.findall(r"`([\w/]+(?:\.py|/))`", row)]
    assert len(named) > 15
    assert [path for path in named if not (ROOT / "gradflow" / path).exists()] == []
