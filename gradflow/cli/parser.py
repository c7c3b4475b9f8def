"""argparse as gradflow uses it: errors are ours, examples stay as written, help fits narrow terminals."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gradflow.errors import UsageError
from gradflow.output.named import output_path

__all__ = ["Parser", "one_of", "path_with"]

_WIDEST = 100


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`UsageError` instead of leaving the program, and takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        defaults: dict[str, Any] = {"formatter_class": HelpFormatter, "allow_abbrev": False}
        super().__init__(**defaults | settings)

    @property
    def options(self) -> tuple[str, ...]:
        """Every option it knows, such as ``--layer``."""
        return tuple(self._option_string_actions)

    def twins(self, option: str) -> tuple[str, ...]:
        """Every spelling of an option that it knows, ``-o`` and ``--output``; none where it does not know it."""
        action = self._option_string_actions.get(option)
        return () if action is None else tuple(action.option_strings)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments."""
        raise UsageError(message, hint=f"`{self.prog} --help` shows what is possible")


class HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal; lines that start with a space, such as examples, stay as they are."""

    def __init__(self, prog: str, **settings: Any) -> None:
        width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        super().__init__(prog, **{"max_help_position": 26, "width": width} | settings)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        return "\n\n".join(self._fill_paragraph(paragraph, width, indent) for paragraph in paragraphs)

    @staticmethod
    def _fill_paragraph(paragraph: str, width: int, indent: str) -> str:
        if any(line.startswith(" ") for line in paragraph.splitlines()):
            return textwrap.indent(paragraph, indent)
        return textwrap.fill(" ".join(paragraph.split()), width, initial_indent=indent, subsequent_indent=indent)


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """An argument type that accepts only these names and says so; for ``type=``."""

    def accept(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"`{text}` is not one of {', '.join(names)}")
        return text

    return accept


def path_with(suffixes: Sequence[str]) -> Callable[[str], Path]:
    """An argument type that accepts only files to write with one of these suffixes and says so; for ``type=``."""

    def accept(text: str) -> Path:
        path = output_path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"`{text}` does not end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
        return path

    return accept
