"""How gradflow knows a file again that it has written: a mark inside, where each format has room for one."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from gradflow.errors import RenderError
from gradflow.output.whole_file import is_stream, replaced_file

__all__ = ["PNG_SOFTWARE", "is_ours", "refuse_foreign", "with_mark"]

PNG_SOFTWARE = ("Software", "gradflow")
"""The chunk of text by which a PNG names the program that has made it."""

_WORDS = b"written by gradflow"
_ENDS = 4096  # bytes that are looked at, at the beginning and at the end

_ARRAY_START = b"\x93NUMPY"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_MARK = "\0".join(PNG_SOFTWARE).encode("latin-1")
_PDF_END = re.compile(rb"startxref\s+\d+\s+%%EOF\s*\Z")

_FIRST_LINES: Mapping[str, bytes] = {
    "text": b"# " + _WORDS + b"\n",
    "concise": b"# " + _WORDS + b"\n",
    "dot": b"// " + _WORDS + b"\n",
}
# Markdown begins with its heading, wherever it is shown
_HEADINGS = (b"### gradflow", b"# Gradient checks\n")
_LAST_LINE = b"\n<!-- " + _WORDS + b" -->\n"
# these say in their own words what they are, the first ones of every file
_OWN_WORDS = (
    re.compile(rb'\s*\{\s*"schema_version": "[\d.]+",\s*"verdict": "[a-z_ -]+",\s*"target": \{\s*"description": "'),
    re.compile(rb'\s*\{\s*"schema_version": "[\d.]+",\s*"kind": "audit",\s*"loss": \{\s*"description": "'),
    re.compile(
        rb'\s*\{\s*"\$schema": "[^"]*sarif[^"]*",\s*"version": "[\d.]+",\s*"runs": \[\s*'
        rb'\{\s*"tool": \{\s*"driver": \{\s*"name": "gradflow",'
    ),
    re.compile(rb'\s*<svg xmlns="http://www\.w3\.org/2000/svg"[^<>]* class="gradflow" role="img"'),
    re.compile(
        rb'\s*<!doctype html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*'
        rb'<meta name="generator" content="gradflow">'
    ),
)


def with_mark(content: bytes, kind: str, path: Path) -> bytes:
    """What is written to a file of a kind: ``content``, and gradflow's mark where it has none yet.

    Parameters
    ----------
    content
        The whole file.
    kind
        ``"text"``, ``"concise"``, ``"markdown"``, ``"dot"``, ``"png"`` or ``"pdf"``; any other kind is marked by what
        draws it, or, as arrays are, not at all.
    path
        Where it goes. A device or a pipe gets the content as it is: there is nothing to be known again.
    """
    if is_stream(path):
        return content
    if kind in _FIRST_LINES:
        return _FIRST_LINES[kind] + content
    add = _ADDED.get(kind)
    return content if add is None else add(content)


def is_ours(path: Path) -> bool:
    """Whether gradflow has written this file; only its two ends are read.

    ``False`` also where it cannot be read, and for arrays (``.npy``), which have no room for a mark. The lock of the
    pytest plugin is no report either.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_ENDS)
            file.seek(max(file.seek(0, 2) - _ENDS, 0))
            tail = file.read(_ENDS)
    except OSError:
        return False
    return (
        head.startswith(tuple(_FIRST_LINES.values()))
        or (head.startswith(_HEADINGS) and tail.endswith(_LAST_LINE))
        or any(words.match(head) for words in _OWN_WORDS)
        or _is_marked_png(head)
        or _is_marked_pdf(head, tail)
    )


def refuse_foreign(path: Path, *, hint: str, mark: bytes = b"") -> None:
    """Raise where ``path`` is a file with content that gradflow has not written.

    Parameters
    ----------
    path
        Where something is about to be written.
    hint
        What to do instead.
    mark
        What the file begins with, if it is gradflow's and no report.

    Raises
    ------
    RenderError
        With the hint.
    """
    found = replaced_file(path)
    if found is None or not found.st_size or (_begins_with(path, mark) if mark else is_ours(path)):
        return
    if _begins_with(path, _ARRAY_START):
        raise RenderError(
            f"`{path}` exists, and whether gradflow has written it cannot be known",
            note="an array has no room for a mark",
            hint=hint,
        )
    raise RenderError(f"`{path}` exists and was not written by gradflow", hint=hint)


def _begins_with(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def _mark_png(content: bytes) -> bytes:
    """A chunk of text behind the first chunk, the header, as every PNG may have it."""
    if not content.startswith(_PNG_START) or _is_marked_png(content):
        return content
    at = len(_PNG_START) + 12 + struct.unpack_from(">I", content, len(_PNG_START))[0]
    body = b"tEXt" + _PNG_MARK
    chunk = struct.pack(">I", len(_PNG_MARK)) + body + struct.pack(">I", zlib.crc32(body))
    return content[:at] + chunk + content[at:]


def _is_marked_png(head: bytes) -> bool:
    """Whether a chunk before the pixels says that gradflow has made the picture."""
    at = len(_PNG_START)
    while head.startswith(_PNG_START) and at + 8 <= len(head):
        size, kind = struct.unpack_from(">I4s", head, at)
        if kind == b"tEXt" and head[at + 8 : at + 8 + size] == _PNG_MARK:
            return True
        if kind == b"IDAT":
            return False
        at += 12 + size
    return False


def _mark_pdf(content: bytes) -> bytes:
    """A comment before the last lines: nothing that the file points into is moved by it."""
    end = _PDF_END.search(content, max(len(content) - _ENDS, 0))
    return content if end is None else content[: end.start()] + b"% " + _WORDS + b"\n" + content[end.start() :]


def _is_marked_pdf(head: bytes, tail: bytes) -> bool:
    end = _PDF_END.search(tail)
    return head.startswith(b"%PDF-") and end is not None and tail[: end.start()].endswith(b"\n% " + _WORDS + b"\n")


_ADDED: Mapping[str, Callable[[bytes], bytes]] = {
    "markdown": lambda content: content + _LAST_LINE,
    "png": _mark_png,
    "pdf": _mark_pdf,
}
