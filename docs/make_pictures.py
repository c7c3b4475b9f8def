"""Make the pictures of the README and the tutorial, from real runs on what is shipped: `poe pictures`."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch
from gradflow.render.terminal_picture import export_terminal_svg
from gradflow.report import Report
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observing import observation_of

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MODEL, LAYER = "fixtures/broken/detached_neck.py:build", "backbone.layer4"
PROGRAM = "fixtures/programs/example_001_2_hook_detaches.py"


def main() -> None:
    report = check_workload(load_workload(Request(model=MODEL)), [LAYER])
    IMAGES.mkdir(exist_ok=True)
    report.save(IMAGES / "graph.svg")
    draw_terminal(report, "terminal.svg", f"gradflow check {MODEL} --layer {LAYER}")
    draw_terminal(explain(PROGRAM), "run.svg", f"gradflow run {PROGRAM}")


def explain(program: str) -> Report:
    watch = Watch()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run_program(watch, program, [], is_module=False)
    return explain_observation(observation_of(watch), program=program)


def draw_terminal(report: Report, name: str, command: str) -> None:
    picture = export_terminal_svg(report, "gradflow", command=command)
    # rich links fonts from the web; a picture in a repository should not load anything
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (IMAGES / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
