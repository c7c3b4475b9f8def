"""The pages of the codes, as they lie in the package: one Markdown file per code."""

from __future__ import annotations

import difflib
import re
from importlib import resources

from gradflow.diagnose.codes import CODES, code_of
from gradflow.errors import UsageError

__all__ = ["find_code", "read_page", "title_of"]


def read_page(code: str) -> str:
    """The Markdown text of a code's page, with links to other pages as plain codes; empty where there is no page."""
    page = resources.files("gradflow") / "pages" / f"{code}.md"
    if not page.is_file():
        return ""
    return re.sub(r"\[([^\]]+)\]\(GF\d+\.md\)", r"\1", page.read_text(encoding="utf-8"))


def title_of(code: str) -> str:
    """One line about a code: the first heading of its page, without the code and the name."""
    heading = next((line for line in read_page(code).splitlines() if line.startswith("# ")), "")
    title = heading.removeprefix("# ")
    for lead in (code, CODES[code]):
        title = title.replace("`", "").strip().removeprefix(lead).lstrip(" :-\N{EM DASH}")
    return title


def find_code(text: str) -> str:
    """The code that is meant by ``GF101``, ``gf101`` or ``detach``.

    Raises
    ------
    UsageError
        When there is no such code or name; names the closest ones.
    """
    wanted = text.strip().strip("`[]")
    if wanted.upper() in CODES:
        return wanted.upper()
    name = wanted.lower().replace("_", "-").replace(" ", "-")
    if name in CODES.values():
        return code_of(name)
    close = [
        *(each for each in CODES.values() if name and name in each),
        *difflib.get_close_matches(name, CODES.values(), n=3, cutoff=0.5),
    ]
    hint = "`gradflow explain` lists all codes"
    if close:
        hint = f"did you mean {' or '.join(f'`{each}`' for each in list(dict.fromkeys(close))[:3])}? {hint}"
    raise UsageError(f"there is no code or cause `{text}`", hint=hint)
