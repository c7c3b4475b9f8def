"""Print what gradflow and its tests need, as pyproject.toml says, without what brings a torch of its own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HEAVY = {"torch", "torchvision", "timm", "captum", "accelerate", "lightning", "torchcam"}

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in (*project["dependencies"], *project["optional-dependencies"]["test"]):
    if re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0] not in HEAVY:
        print(requirement)
