"""What was checked is what is loaded, also where another file takes its place meanwhile."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.attacks.archives import evil_inputs, record_name, records, with_line, write_records

# at the first record that is read: the archive has been looked over by then
SWAPPED = """
import os, sys
import gradflow.cli
from gradflow.load.files.archive import Archive

real = Archive.fill

def swapped(*args, **kwargs):
    if os.path.exists("foreign"):
        os.replace("foreign", "model{suffix}")
    return real(*args, **kwargs)

Archive.fill = swapped
sys.exit(gradflow.cli.main({command!r}))
"""

OPENED = """
import os, sys
import gradflow.cli

count = 0

def watch(event, args):
    global count
    if event == "open" and str(args[0]).endswith("model{suffix}"):
        count += 1
        if count == {turn} and os.path.exists("foreign"):
            os.replace("foreign", "model{suffix}")

sys.addaudithook(watch)
sys.exit(gradflow.cli.main({command!r}))
"""


def write_pair(folder, kind, exported, scripted, canary):
    """A benign file, and a foreign one that is put in its place; returns the command."""
    if kind == "torch.export.load":
        good = records(exported)
        write_records(folder / "model.pt2", good)
        write_records(
            folder / "foreign", good | {record_name(good, "data/sample_inputs/model.pt"): evil_inputs(canary)}
        )
        return ".pt2", ["check", "model.pt2", "--layer", "a"]
    if kind == "torch.jit.load":
        write_records(folder / "model.pt", scripted)
        write_records(folder / "foreign", with_line(scripted, f'_q = torch.save(x, "{canary}")'))
        return ".pt", ["check", "model.pt", "--param", "a.weight", "--input-shape", "2,5"]
    torch.save(nn.Sequential(nn.Linear(5, 3)), folder / "model.pt")
    foreign = nn.Sequential()
    foreign.add_module("foreign", nn.Linear(5, 3))
    torch.save(foreign, folder / "foreign")
    return ".pt", ["layers", "model.pt", "--input-shape", "2,5"]


@pytest.mark.parametrize("kind", ["torch.export.load", "torch.jit.load", "torch.load"])
def test_a_file_that_is_swapped_after_the_check_is_not_loaded(cli, tmp_path, exported, scripted, canary, kind):
    suffix, command = write_pair(tmp_path, kind, exported, scripted, canary)
    if kind == "torch.jit.load":  # else nothing of it is read
        command.append("--trust")
    done = cli.script(SWAPPED.format(suffix=suffix, command=command))
    assert not (tmp_path / "foreign").exists(), "it was not swapped"
    assert not canary.exists()
    assert "bug in gradflow" not in done.text
    assert not any(line.startswith("foreign ") for line in done.out.splitlines()), done.out


@pytest.mark.parametrize("kind", ["torch.export.load", "torch.jit.load"])
@pytest.mark.parametrize("turn", [2, 3])
def test_a_file_that_is_swapped_between_two_openings_is_not_loaded(
    cli, tmp_path, exported, scripted, canary, kind, turn
):
    suffix, command = write_pair(tmp_path, kind, exported, scripted, canary)
    done = cli.script(OPENED.format(turn=turn, suffix=suffix, command=command))
    assert not (tmp_path / "foreign").exists(), "it was not swapped"
    assert not canary.exists()
    assert "bug in gradflow" not in done.text
