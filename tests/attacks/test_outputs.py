"""Outputs never destroy inputs, nor what somebody has protected."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.attacks.archives import Small
from tests.attacks.commands import assert_one_error

OVER_INPUT = {
    "model": ("check m.pt --layer 0 --input-shape 2,5 --output m.pt", "m.pt"),
    "model as a drawing": ("check m.pt --layer 0 --input-shape 2,5 --svg m.pt.svg", "m.pt.svg"),
    "source": ("check net.py:Net --layer a --input-shape 2,5 --output net.py", "net.py"),
    "source, other spelling": ("check net.py:Net --layer a --input-shape 2,5 --output ./sub/../net.py", "net.py"),
    "input": ("check net.py:Net --layer a --input x.pt --output x.pt", "x.pt"),
    "weights": ("check w.pt --arch net.py:Net --layer a --input-shape 2,5 --output w.pt", "w.pt"),
    "picture": ("check net.py:Picture --layer c --image p.png --cam p.png", "p.png"),
    "audit": ("audit m.pt --input-shape 2,5 --output m.pt", "m.pt"),
}


@pytest.mark.parametrize("more", [(), ("--force",)], ids=["", "forced"])
@pytest.mark.parametrize("case", OVER_INPUT)
def test_an_output_over_an_input_is_refused(cli, tmp_path, net, picture, case, more):
    command, name = OVER_INPUT[case]
    (tmp_path / "sub").mkdir()
    torch.save(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), tmp_path / "m.pt")
    (tmp_path / "m.pt.svg").symlink_to("m.pt")
    torch.save(torch.ones(2, 5), tmp_path / "x.pt")
    torch.save(Small().state_dict(), tmp_path / "w.pt")
    before = (tmp_path / name).read_bytes()
    done = cli(*command.split(), *more)
    assert (tmp_path / name).read_bytes() == before, f"overwritten; status {done.status}, {done.text[:200]}"
    assert_one_error(done)


CHECK_NET = ("check", "net.py:Net", "--layer", "a", "--input-shape", "2,5")


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_write_protected_file_is_not_replaced(cli, tmp_path, net, mode):
    """The folder may be written to, so a rename would work; and root may write to every file."""
    target = tmp_path / "report.json"
    target.write_text("precious", encoding="utf-8")
    target.chmod(mode)
    done = cli(*CHECK_NET, "--output", "report.json", "--force")
    assert target.read_text(encoding="utf-8") == "precious", done.text
    assert_one_error(done)


def test_a_loop_of_links_as_output_is_one_error(cli, tmp_path, net):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert_one_error(cli(*CHECK_NET, "--output", "one"))


def test_a_name_that_is_too_long_is_one_error(cli, net):
    assert_one_error(cli(*CHECK_NET, "--output", "x" * 300 + ".json"))


def test_a_model_in_the_home_of_nobody_is_one_error(cli):
    assert_one_error(cli("check", "~nosuchuser/x.pt", "--layer", "0"))


def test_a_closed_stdout_is_no_bug(cli, net):
    done = cli(*CHECK_NET, closed=True)
    assert done.status in (0, 2), done.text
    assert "bug in gradflow" not in done.text
    assert "Traceback" not in done.text
