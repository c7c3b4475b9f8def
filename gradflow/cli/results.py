"""Showing a report and writing the files that were asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gradflow.cli.failure import FAILED, report_failure
from gradflow.cli.formats import show
from gradflow.cli.outputs import Outputs
from gradflow.cli.printing import say
from gradflow.errors import GradflowError
from gradflow.output.formats import said_of_file
from gradflow.printable import printable
from gradflow.render import file_content
from gradflow.report import Report

__all__ = ["map_path", "present"]

_REFUSED = 1


def present(
    report: Report,
    outputs: Outputs,
    *,
    format_: str,
    output: Path | None,
    pictures: Sequence[Path],
    cams: Sequence[Path],
) -> int:
    """Write the maps, show the report, draw the pictures; returns the exit status.

    With several layers, each has its own map: ``cam.png`` becomes ``cam-layer3.png`` and ``cam-layer4.png``; the
    picture is of the layer that the report is about, the first that is not connected. A file that cannot be written
    does not keep the others from being.
    """
    desk = _Desk(outputs)
    # the maps first: the report says where they are
    shown = _write_cams(report, cams, desk)
    desk.attempt(functools.partial(show, shown, format_, output, outputs), output)
    for path in pictures:
        desk.write(path, functools.partial(file_content, shown, path))
    refused = [each for each in shown.reports if cams and each.cam is None and each.target.kind == "layer"]
    map_files = {name for each in shown.reports if each.cam is not None for name in each.cam.files}
    # the text names the maps itself, and why there is none where the verdict does not tell
    is_text = format_ == "text" and output is None
    formats = {output: format_}
    written = [
        said_of_file(path, formats.get(path, "")) for path in desk.written if not (is_text and str(path) in map_files)
    ]
    untold = [each for each in refused if not (is_text and each.cam_refusal)]
    for line in [*_refusals(untold, has_others=bool(report.others)), *written]:
        say(printable(line))
    for failure in desk.failures:
        report_failure(failure)
    if desk.failures:
        return FAILED
    return _REFUSED if refused else shown.exit_code


class _Desk:
    """Does one piece of writing after the other, and remembers what came of each."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.written: list[Path] = []
        self.failures: list[GradflowError] = []

    def write(self, path: Path, make: Callable[[], bytes]) -> bool:
        """Make the content of a file and write it; whether it went well."""
        return self.attempt(lambda: self._outputs.write(path, make()), path)

    def attempt(self, write: Callable[[], object], path: Path | None) -> bool:
        """Write; whether it went well. ``path`` is ``None`` for stdout."""
        try:
            write()
        except GradflowError as error:
            self.failures.append(error)
            return False
        if path is not None:
            self.written.append(path)
        return True


def _write_cams(report: Report, cams: Sequence[Path], desk: _Desk) -> Report:
    """The report with the names of the maps that were written, of its own layer and of the others."""
    files: dict[int, list[str]] = {}
    for path in cams:
        for index, (each, own_path) in enumerate(_own_paths(report, path)):
            if each.cam is not None:
                from gradflow.cam.overlay import cam_content

                if desk.write(own_path, functools.partial(cam_content, each.cam, own_path)):
                    files.setdefault(index, []).append(str(own_path))
    first, *others = (_with_files(each, files.get(index, [])) for index, each in enumerate(report.reports))
    return replace(first, others=tuple(others))


def _with_files(report: Report, files: Sequence[str]) -> Report:
    if report.cam is None or not files:
        return report
    return replace(report, cam=replace(report.cam, files=(*report.cam.files, *files)))


def _own_paths(report: Report, path: Path) -> Iterator[tuple[Report, Path]]:
    """Each layer's report, with the file that is its own."""
    for each in report.reports:
        yield each, map_path(path, each.target.name) if report.others else path


def map_path(path: Path, layer: str) -> Path:
    """The file of one layer's map, of several: ``cam.png`` and ``layer4`` give ``cam-layer4.png``."""
    # `encoder.ln` in a file name is fine, a wildcard or a slash is not
    part = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in layer) or "model"
    return path.with_name(f"{path.stem}-{part}{path.suffix}")


_WHY_REFUSED = {
    "connected": "its output is no map",
    "zero": "the gradient is zero everywhere",
    "nan": "the gradient is not finite",
    "wrong": "the gradient is not the true derivative",
}


def _refusals(refused: Sequence[Report], *, has_others: bool) -> Iterator[str]:
    for report in refused:
        of = f" of `{report.target.name}`" if has_others else ""
        why = report.cam_refusal or _WHY_REFUSED.get(report.verdict, "the path is not connected")
        yield f"no Grad-CAM{of} was written: {why}"
