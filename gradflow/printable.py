"""Text from files, models and messages of others, made so that it can be printed: it shows, and drives nothing.

Names of layers, of files and of classes, source lines, messages of torch and arguments that are echoed are *data*. Data
goes through :func:`printable` on its way into a line; whole texts go through :func:`inert` on their way out.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["inert", "inert_json", "printable", "printable_pieces", "printable_prose"]

_JOINERS = "\u200c\u200d"
# scripts without capitals, marks, emoji and their skin tones: there a joiner shapes what is seen
_JOINED = frozenset({"Lo", "Lm", "Mn", "Mc", "So", "Sk"})
_CODE = re.compile(r"(`[^`]*`)")

_COLOUR = r"\x1b\[[0-9;]*m"
_LINE_END = re.compile(r"(\n)")
_KEPT = re.compile(rf"(\n|{_COLOUR})")
# `##[error]`, `##vso[...]`, `##teamcity[...]`: a runner looks for them anywhere in a line
_BRACKET_COMMAND = re.compile(r"#(?=#\w*\[)")
# `::error file=...::`; `::: net.py:7`, with which the place of a further file begins, is none
_COLON_COMMAND = re.compile(
    rf"^((?:[^\S\n]|{_COLOUR})*):(?=(?:{_COLOUR})*:(?!(?:{_COLOUR})*:(?:{_COLOUR})*[ ]))", re.MULTILINE
)


def printable(text: str) -> str:
    r"""Data as it may stand in a line: what is not seen, moves the cursor or turns text around is written as an escape.

    Control characters, line breaks, marks of direction, invisible characters and lone surrogates become ``\n``,
    ``\x1b``, ``\u202e``, as Python writes them; blanks of other widths become a blank, and ``##[``, a command to who
    reads the log wherever it stands, becomes ``\x23#[``. Everything else is as it was, in every script, emoji included.
    Doing it twice changes nothing more.
    """
    if text.isprintable() and "##" not in text:
        return text
    return "".join(printable_pieces(text))


def printable_pieces(text: str) -> list[str]:
    """For each character of a text what stands for it in :func:`printable`, so that columns can be found again."""
    pieces = [
        character if character.isprintable() else _shown(text, index, character) for index, character in enumerate(text)
    ]
    for found in _BRACKET_COMMAND.finditer(text):
        pieces[found.start()] = r"\x23"
    return pieces


def _shown(text: str, index: int, character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    if character in _JOINERS and _is_joined(text[index - 1 : index]) and _is_joined(text[index + 1 : index + 2]):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _is_joined(character: str) -> bool:
    return bool(character) and unicodedata.category(character) in _JOINED


def printable_prose(text: str) -> str:
    """Sentences with data in them: line breaks stay, but not those in backticks, where data stands. Tabs are blanks."""
    if text.isprintable() and "##" not in text:
        return text
    pieces = _CODE.split(text)
    for index, piece in enumerate(pieces):
        if index % 2:
            pieces[index] = printable(piece)
        else:
            lines = piece.replace("\r\n", "\n").replace("\t", "    ").split("\n")
            pieces[index] = "\n".join(map(printable, lines))
    return "".join(pieces)


def inert(text: str, *, has_colour: bool = False) -> str:
    r"""A whole text on its way out, after it was laid out and wrapped: no line of it drives a terminal or a CI runner.

    A line that begins with ``::`` would be a command to the runner that reads the log: ``\x3a:`` stands there instead.
    Line breaks stay, and with ``has_colour`` the escape sequences that set colours.
    """
    shown = text
    if "##" in text or not text.replace("\n", "").isprintable():
        pieces = _KEPT.split(text) if has_colour else _LINE_END.split(text)
        shown = "".join(piece if index % 2 else _visible(piece) for index, piece in enumerate(pieces))
    return _COLON_COMMAND.sub(r"\1\\x3a", shown)


def _visible(text: str) -> str:
    """As :func:`printable`, but blanks keep their width: those that a drawing is laid out with are not data."""
    pieces = zip(text, printable_pieces(text), strict=True)
    return "".join(character if unicodedata.category(character) == "Zs" else piece for character, piece in pieces)


def inert_json(text: str) -> str:
    r"""JSON text with the same values when it is read, and ``\u001b`` for every character that is not printable."""
    if not text.replace("\n", "").isprintable():
        text = "".join(
            character if character == "\n" or character.isprintable() else _in_json(character) for character in text
        )
    return _BRACKET_COMMAND.sub(r"\\u0023", text)


def _in_json(character: str) -> str:
    digits = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[start : start + 4]}" for start in range(0, len(digits), 4))
