"""What `dir(gradflow)` lists is there, and looking loads nothing."""

from __future__ import annotations

import subprocess
import sys

import gradflow


def test_every_public_name_is_listed_and_there() -> None:
    listed = dir(gradflow)
    assert set(gradflow.__all__) <= set(listed)
    assert listed == sorted(set(listed))
    assert all(hasattr(gradflow, name) for name in listed)


def test_listing_loads_nothing() -> None:
    code = (
        "import sys, gradflow; before = set(sys.modules); names = dir(gradflow);"
        "assert 'check' in names and 'explain' in names;"
        "print(sorted(set(sys.modules) - before), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] False"
