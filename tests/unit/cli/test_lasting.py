"""The garbage collector is kept from torch's own objects, in a process of gradflow's own only."""

from __future__ import annotations

import gc
import subprocess
import sys

from gradflow.cli.lasting import loading_torch

_OWN = """
import gc
from gradflow.cli.lasting import loading_torch
with loading_torch():
    assert not gc.isenabled()
    import torch
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
_FAILS = """
import gc
from gradflow.cli.lasting import loading_torch
try:
    with loading_torch():
        raise ImportError("no torch")
except ImportError:
    print(gc.isenabled())
"""


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_what_a_process_of_its_own_loads_is_never_looked_through() -> None:
    assert _printed(_OWN) == "True True"


def test_the_collector_works_again_also_when_torch_cannot_be_loaded() -> None:
    assert _printed(_FAILS) == "True"


def test_a_process_that_has_torch_already_is_left_alone() -> None:
    import torch  # noqa: F401

    frozen = gc.get_freeze_count()
    with loading_torch():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
