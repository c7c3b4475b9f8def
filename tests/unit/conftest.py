"""What unit tests of several parts share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def networks() -> ModuleType:
    """The module of hand-made flow graphs, shaped as real networks."""
    path = Path(__file__).parent / "example_networks.py"
    spec = importlib.util.spec_from_file_location("example_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
