"""Which line of the program a line of its paraphrase comes from.

Before anything is changed, every line of the program that ends a piece of code gets its number as a comment, ``#@12``
(its own comment gives way). Comments travel with the code that libcst moves; code that is made anew gets the marks of
the code it stands for. At the end the marks are read and taken out, so that no transformation has to count lines.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Mapping

import libcst as cst

_MARK = re.compile(r"[ ]*#@(\d+(?:@\d+)*)$")
_MARKS_WITHIN = re.compile(r"#@(\d+(?:@\d+)*)$", re.MULTILINE)
_NO_CODE = {tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE}

LineMap = Mapping[int, frozenset[int]]


def mark_lines(text: str) -> str:
    """The program with the number of each line at its end, and without comments."""
    lines = text.splitlines()
    ends: dict[int, int] = {}  # line -> where its code ends
    comments: dict[int, int] = {}
    closing: set[int] = set()  # lines at whose end a comment may stand
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.end
        if token.type == tokenize.COMMENT:
            comments[row] = token.start[1]
        elif token.type in (tokenize.NL, tokenize.NEWLINE):
            closing.add(token.start[0])
        if token.type not in _NO_CODE:
            ends[row] = column
    for row in {*closing, *comments}:
        code = lines[row - 1][: comments.get(row, len(lines[row - 1]))].rstrip()
        lines[row - 1] = f"{code}  #@{row}" if row in ends and row in closing else code
    return "\n".join(lines) + "\n"


def read_marks(text: str) -> tuple[str, LineMap]:
    """The text without its marks, and the lines of the program that each line of it stands for."""
    lines, origins = [], {}
    for number, line in enumerate(text.splitlines(), start=1):
        found = _MARK.search(line)
        if found is not None:
            origins[number] = frozenset(int(each) for each in found[1].split("@"))
            line = line[: found.start()]  # noqa: PLW2901 - the line without its mark is what counts
        lines.append(line)
    return "\n".join(lines) + "\n", origins


def marks_of(*nodes: cst.CSTNode) -> frozenset[int]:
    """The marks in the code of these nodes."""
    code = "\n".join(cst.Module([]).code_for_node(node) for node in nodes)
    return frozenset(int(each) for found in _MARKS_WITHIN.findall(code) for each in found.split("@"))


def marked(node: cst.SimpleStatementLine, marks: Iterable[int]) -> cst.SimpleStatementLine:
    """The statement with these marks at its end, in place of those that stand there."""
    return node.with_changes(trailing_whitespace=mark_comment(marks))


def mark_comment(marks: Iterable[int]) -> cst.TrailingWhitespace:
    """The end of a line that carries these marks."""
    numbers = "@".join(str(each) for each in sorted(set(marks)))
    if not numbers:
        return cst.TrailingWhitespace()
    return cst.TrailingWhitespace(whitespace=cst.SimpleWhitespace("  "), comment=cst.Comment(f"#@{numbers}"))
