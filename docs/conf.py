"""How the documentation is built: `poe docs`."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gradflow.diagnose.codes import CODES

HERE = Path(__file__).parent
PAGES = HERE.parent / "gradflow" / "pages"
CODES_FOLDER = HERE / "reference" / "codes"
CLI_FOLDER = HERE / "reference" / "cli-help"

project = "gradflow"
author = "the gradflow developers"
release = importlib.metadata.version("gradflow-torch")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["reference/cli-help/*"]
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "gradflow"
html_static_path: list[str] = []
copybutton_prompt_text = "$ "


def _copy_code_pages() -> None:
    """The pages that `gradflow explain` shows are the reference of the codes."""
    shutil.rmtree(CODES_FOLDER, ignore_errors=True)
    CODES_FOLDER.mkdir(parents=True)
    for page in sorted(PAGES.glob("GF*.md")):
        shutil.copyfile(page, CODES_FOLDER / page.name)
    rows = [f"| [{code}](codes/{code}.md) | {name} | {_title(code)} |" for code, name in CODES.items()]
    table = "\n".join(["| Code | Name | In a few words |", "| --- | --- | --- |", *rows])
    (CODES_FOLDER / "_table.txt").write_text(table + "\n", encoding="utf-8")


def _title(code: str) -> str:
    heading = (PAGES / f"{code}.md").read_text(encoding="utf-8").partition("\n")[0]
    return heading.partition(": ")[2]


def _write_cli_help() -> None:
    """The command line says itself what it can do."""
    CLI_FOLDER.mkdir(exist_ok=True)
    for verb in ("", "check", "audit", "run", "layers", "render", "explain"):
        arguments = [verb, "--help"] if verb else ["--help"]
        shown = subprocess.run(
            [sys.executable, "-m", "gradflow", *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "90", "NO_COLOR": "1"},
        ).stdout
        (CLI_FOLDER / f"{verb or 'gradflow'}.txt").write_text(shown, encoding="utf-8")


_copy_code_pages()
_write_cli_help()


def _link_to_code_pages(app: Any, docname: str, source: list[str]) -> None:
    """In the clone, a link leads to the page where it lies; here, to the copy of it that is part of the site."""
    up = "../" * docname.count("/")
    source[0] = re.sub(r"\]\((?:\.\./)+gradflow/pages/", f"]({up}reference/codes/", source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _link_to_code_pages)
