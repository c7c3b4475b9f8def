"""Names from files do not drive a terminal, a log or a page."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn

from tests.attacks.archives import Evaluated, saved
from tests.attacks.sources import DECLARED

ESCAPES = "a\x1b[2J\x1b[H\x1b]0;owned\x07\x1b[8m\n::error file=a::from the model file\n"


@pytest.mark.parametrize("command", ["layers m.pt", "check m.pt --layer auto", "audit m.pt"])
def test_names_from_a_file_do_not_drive_the_terminal(cli, tmp_path, command):
    model = nn.Sequential()
    model.add_module(ESCAPES, nn.Linear(5, 4))
    model.add_module("b", nn.Linear(4, 3))
    torch.save(model, tmp_path / "m.pt")
    done = cli(*command.split(), "--input-shape", "2,5")
    assert "bug in gradflow" not in done.text
    assert not {"\x1b", "\x07"} & set(done.text), done.text
    assert not [line for line in done.text.splitlines() if line.lstrip().startswith("::")], done.text


ODD_NAME = "a\x1b[2J\x07\n::error file=a::x `<img src=x>"
FILES = {
    "good.pt": lambda: saved(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))),
    "weights.pt": lambda: saved(nn.Linear(5, 4).state_dict()),
    "evil.pt": lambda: saved(Evaluated("1")),
    "old.pt": lambda: saved(Evaluated("1"), legacy=True),
    "half.pt": lambda: saved(nn.Linear(5, 4))[:300],
    "text.pt": lambda: b"hello",
    "empty.pt": lambda: b"",
    "a.safetensors": lambda: b"\x02" + bytes(7) + b"{]",
    "a.pt2": lambda: b"PK\3\4",
    "a.png": lambda: b"\x89PNG",
    "a.py": lambda: b"raise ValueError('\x1b[2J')",
}


@pytest.mark.parametrize("verb", ["check", "layers", "audit"])
def test_the_name_of_a_file_does_not_drive_the_terminal(cli, tmp_path, verb):
    for name, content in FILES.items():
        (tmp_path / f"{ODD_NAME}{name}").write_bytes(content())
    shape = ("--input-shape", "2,5")
    commands = [(verb, f"{ODD_NAME}{name}{':Net' if name.endswith('.py') else ''}", *shape) for name in FILES]
    commands += [
        (verb, f"{ODD_NAME}nowhere.pt"),
        (verb, ODD_NAME),
        (verb, f"{ODD_NAME}:Net"),
        (verb, f"timm:{ODD_NAME}"),
    ]
    for done in cli.each(commands):
        assert "bug in gradflow" not in done.text, done.text
        assert not {"\x1b", "\x07"} & set(done.text), done.text
        assert not [line for line in done.text.splitlines() if line.lstrip().startswith("::")], done.text


@pytest.mark.parametrize("form", ["text", "concise", "json", "markdown", "html", "sarif"])
def test_no_form_of_a_report_lets_a_name_act(cli, tmp_path, form):
    model = nn.Sequential()
    model.add_module(ESCAPES + "<script>x</script>", nn.Linear(5, 4))
    model.add_module("b", nn.Linear(4, 3))
    torch.save(model, tmp_path / "m.pt")
    done = cli("check", "m.pt", "--layer", "auto", "--input-shape", "2,5", "--format", form)
    assert done.status == 0, done.text
    assert not {"\x1b", "\x07"} & set(done.text), done.text
    assert not [line for line in done.text.splitlines() if line.lstrip().startswith("::")], done.text
    if form == "html":
        assert "<script>x" not in done.out


@pytest.mark.parametrize("verb", ["check", "pytest"])
def test_names_from_pyproject_do_not_drive_the_terminal(cli, tmp_path, net, verb):
    declared = DECLARED.replace("models.good", f"models.{json.dumps(ESCAPES)}")
    (tmp_path / "pyproject.toml").write_text(declared.replace('["a"]', '["nowhere"]'), encoding="utf-8")
    done = cli("check") if verb == "check" else cli.pytest()
    assert not {"\x1b", "\x07"} & set(done.text), done.text[-600:]
    assert not [line for line in done.text.splitlines() if line.startswith("::error file=a")], done.text[-600:]


def test_a_backtick_in_a_name_does_not_end_the_code_in_markdown(cli, tmp_path):
    name = "`<img src=x>"
    source = f"""import torch
from torch import nn

from tests.attacks.sources import DECLARED

NAME = {name!r}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module(NAME, nn.Linear(5, 4))
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(self._modules[NAME](x).detach())
"""
    (tmp_path / "net.py").write_text(source, encoding="utf-8")
    done = cli("check", "net.py:Net", "--layer", name, "--input-shape", "2,5", "--format", "markdown")
    assert done.status == 1, done.text
    for line in done.out.splitlines():
        assert "<img" not in outside_code(line), line


def outside_code(line):
    """A line of Markdown without its code spans: a run of backticks up to the next run of the same length."""
    runs = list(re.finditer(r"`+", line))
    kept, at = "", 0
    while runs:
        opening = runs.pop(0)
        closing = next((run for run in runs if len(run.group()) == len(opening.group())), None)
        if closing is None:
            continue
        kept += line[at : opening.start()]
        at = closing.end()
        runs = [run for run in runs if run.start() >= at]
    return kept + line[at:]
