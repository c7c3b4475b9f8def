"""Whole models of every family of torchvision and timm are saved and loaded again, without trust.

Some of them, others with each commit; all with ``GRADFLOW_EVERY_FAMILY=1``.
"""

from __future__ import annotations

import io
import os
import random
import sys
from pathlib import Path

import pytest
import torch

from gradflow.load.files.archive import Archive
from gradflow.load.files.pickles.reading import read_archived

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.sampling import commit_number

torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")

# torch names the method that FasterNet puts in the place of `forward` by `getattr`
REFUSED = "timm.models.fasternet"
SAMPLE = 24


def names():
    """One model of each torchvision builder, and the first, middle and last of each timm module."""
    found = [("torchvision", name) for name in torchvision.models.list_models() if not name.startswith("quantized")]
    families = {}
    for name in timm.list_models():
        families.setdefault(timm.model_entrypoint(name).__module__, []).append(name)
    for module, members in families.items():
        if module != REFUSED:
            found += [("timm", name) for name in {members[0], members[len(members) // 2], members[-1]}]
    return sorted(found)


def built(library, name):
    if library == "timm":
        return timm.create_model(name)
    has_backbone = any(part in name for part in ("rcnn", "retina", "fcos", "ssd", "deeplab", "fcn", "lraspp"))
    return torchvision.models.get_model(name, weights=None, **({"weights_backbone": None} if has_backbone else {}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_whole_models_come_back():
    every = names()
    seed = commit_number()
    chosen = every if os.environ.get("GRADFLOW_EVERY_FAMILY") else random.Random(seed).sample(every, SAMPLE)
    failed = {}
    for library, name in chosen:
        try:
            with torch.device("meta"):
                model = built(library, name)
        except NotImplementedError:  # it draws its widths from real numbers
            model = built(library, name)
        file = io.BytesIO()
        torch.save(model, file)
        try:
            found = read_archived(Archive(file, name))
            assert type(found) is type(model)
            assert list(found.state_dict()) == list(model.state_dict())
        except Exception as error:  # noqa: BLE001 - all of them are told together
            failed[name] = f"{type(error).__name__}: {error}"
    assert not failed, f"seed {seed}: {failed}"
