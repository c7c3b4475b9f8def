"""What a command must not replace with what it writes."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from gradflow.cli import main
from gradflow.cli.outputs import Outputs
from gradflow.errors import RenderError, UsageError

NET = """
import helper
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 2, 3)
        self.b = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def build(config=""):
    return Net()


def score(output):
    return output.sum()


def image():
    return torch.ones(1, 1, 6, 6)
"""
CHECK = "check net.py:Net --layer a --input-shape 1,1,6,6"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    for name in ("helper.py", "score.py"):
        (tmp_path / name).write_text("def score(output):\n    return output.sum()\n", encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "prog.py").write_text("print('it was run')\n", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        f"{CHECK} --output net.py",
        f"{CHECK} --output ./sub/../net.py",
        f"{CHECK} --output link.json",
        f"{CHECK} --output hard.json",
        f"{CHECK} --score score.py:score --output score.py",
        "check net.py:build --model-arg config=config.json --input-shape 1,1,6,6 --output config.json",
        "check net:build --input-shape 1,1,6,6 --output net.py",
        "audit net.py:Net --input net.py:image --loss score.py:score --output score.py",
        "run --output prog.py prog.py",
        "run --output prog.py -m prog",
        "run --output config.json prog.py --config config.json",
        "run --output config.json prog.py --config=config.json",
        "render config.json --output config.json",
    ],
)
@pytest.mark.parametrize("force", ["", " --force"])
def test_what_a_command_reads_is_never_an_output(
    command: str, force: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "link.json").symlink_to("net.py")
    os.link("net.py", "hard.json")
    before = kept(project)
    verb, rest = command.split(" ", 1)
    assert main(shlex.split(f"{verb}{force} {rest}")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""  # nothing has run
    assert captured.err.startswith("error: `")
    assert "is read by this command" in captured.err
    assert kept(project) == before


def test_the_map_of_one_of_several_layers_is_an_output_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("L", (6, 6)).save("cam-a.png")
    before = kept(project)
    command = "check net.py:Net --layer a --layer b --image cam-a.png --cam cam.png --force"
    assert main(command.split()) == 2
    assert "`cam-a.png` is read by this command" in capsys.readouterr().err
    assert kept(project) == before


def test_a_map_whose_name_shows_late_replaces_nothing_either(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cam-a.png").write_text("mine", encoding="utf-8")
    assert main("check net.py:Net --layer ? --input net.py:image --score net.py:score --cam cam.png".split()) == 2
    assert "`cam-a.png` exists and was not written by gradflow" in capsys.readouterr().err
    assert Path("cam-a.png").read_text(encoding="utf-8") == "mine"
    assert Path("cam-b.png").exists()


def test_a_module_that_the_users_code_imports_is_kept_even_when_forced(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(project)
    assert main(f"{CHECK} --output helper.py".split()) == 2
    assert "was not written by gradflow" in capsys.readouterr().err
    assert main(f"{CHECK} --output helper.py --force".split()) == 2
    assert "is read by this command" in capsys.readouterr().err
    assert kept(project) == before


@pytest.mark.parametrize(
    "output",
    [
        *(f"--output r{suffix}" for suffix in (".json", ".txt", ".md", ".html", ".sarif", ".any")),
        "--format concise --output r.txt",
        *(f"--svg r{suffix}" for suffix in (".svg", ".dot", ".png", ".pdf")),
        "--cam r.png",
    ],
)
def test_a_command_may_be_repeated_and_a_foreign_file_stays(
    output: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(output.rpartition(" ")[2])
    command = f"check net.py:Net --layer a --input net.py:image --score net.py:score {output}".split()
    assert main(command) == 0
    assert main(command) == 0
    path.write_text("my own words about gradflow\n", encoding="utf-8")
    capsys.readouterr()
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f"error: `{path}` exists and was not written by gradflow\n"
        "  help: pass `--force` to replace it, or name another file\n"
    )
    assert path.read_text(encoding="utf-8") == "my own words about gradflow\n"
    assert main([*command, "--force"]) == 0
    assert main(command) == 0


@pytest.mark.parametrize("suffix", [".json", ".txt", ".md", ".any"])
def test_an_audit_may_be_repeated_and_a_foreign_file_stays(suffix: str, project: Path) -> None:
    command = f"audit net.py:Net --input net.py:image --output r{suffix}".split()
    assert main(command) == main(command) == 0
    Path(f"r{suffix}").write_text("mine", encoding="utf-8")
    assert main(command) == 2
    assert Path(f"r{suffix}").read_text(encoding="utf-8") == "mine"
    assert main([*command, "--force"]) == 0


def test_the_other_verbs_ask_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{CHECK} --output r.json".split()) == 0
    for command in ("render r.json -o {}", "run --output {} prog.py"):
        Path("mine.md").write_text("mine", encoding="utf-8")
        assert main(command.format("mine.md").split()) == 2
        assert "it was run" not in capsys.readouterr().out
        assert Path("mine.md").read_text(encoding="utf-8") == "mine"
        verb, rest = command.format("mine.md").split(" ", 1)
        assert main([verb, "--force", *rest.split()]) == 0
        assert main(command.format("mine.md").split()) == 0


def test_an_array_is_replaced_only_when_forced(project: Path) -> None:
    command = "check net.py:Net --layer a --input net.py:image --score net.py:score --cam r.npy".split()
    assert [main(command), main(command), main([*command, "--force"])] == [0, 2, 0]


def test_a_file_that_came_while_the_command_ran_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    outputs = Outputs([path], reads=[], force=False)
    path.write_text("of the program", encoding="utf-8")
    with pytest.raises(RenderError, match="was not written by gradflow"):
        outputs.write(path, b"ours")
    assert path.read_text(encoding="utf-8") == "of the program"


def test_no_file_is_written_twice(tmp_path: Path) -> None:
    path, link = tmp_path / "r.json", tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(UsageError, match="would be written twice"):
        Outputs([path, link], reads=[], force=False)
    outputs = Outputs([path], reads=[], force=False)
    outputs.write(path, json.dumps({}).encode())
    with pytest.raises(UsageError, match="would be written twice"):
        outputs.write(link, b"again")
    assert path.read_text(encoding="utf-8") == "{}"


def test_a_device_takes_several(tmp_path: Path) -> None:
    null = Path(os.devnull)
    outputs = Outputs([null, null], reads=[null], force=False)
    outputs.write(null, b"a")
    outputs.write(null, b"b")
    assert null.is_char_device()


def test_a_path_is_where_the_user_was(project: Path) -> None:
    Path("prog.py").write_text("import os\nos.chdir('sub')\n", encoding="utf-8")
    try:
        assert main(["run", "--output", "r.json", "prog.py"]) == 0
    finally:
        os.chdir(project)
    assert Path("r.json").exists()
    assert list(Path("sub").iterdir()) == []


def test_a_working_folder_that_is_gone_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.chdir("sub")
    Path("../sub").resolve().rmdir()
    try:
        assert main(["check", str(project / "net.py:Net"), "--output", "r.json"]) == 2
    finally:
        os.chdir(project)
    assert capsys.readouterr().err == "error: cannot write `r.json`: the working folder is gone\n"
