"""Make the pictures of the README and the tutorial, from a real run on a shipped model: `poe pictures`."""

from __future__ import annotations

import re
from pathlib import Path

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.render.terminal_picture import export_terminal_svg

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MODEL, LAYER = "fixtures/broken/detached_neck.py:build", "backbone.layer4"


def main() -> None:
    report = check_workload(load_workload(Request(model=MODEL)), [LAYER])
    IMAGES.mkdir(exist_ok=True)
    report.save(IMAGES / "graph.svg")
    command = f"gradflow check {MODEL} --layer {LAYER}"
    picture = export_terminal_svg(report, "gradflow", command=command)
    # rich links fonts from the web; a picture in a repository should not load anything
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (IMAGES / "terminal.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
