"""A TorchScript archive is a program: it neither runs nor writes nor prints for somebody who did not ask for that."""

from __future__ import annotations

import io
import json

import pytest
import torch
from torch import nn

from tests.attacks.archives import quietly, records, with_line, write_records, write_two_faced
from tests.attacks.commands import assert_one_error, assert_refused, assert_refused_or_harmless


@pytest.mark.parametrize("form", ["torch. save(x, PATH)", "ops.aten.save(x, PATH)", "torch.save(x, PATH)"])
def test_torchscript_that_writes_a_file_is_refused(cli, tmp_path, scripted, canary, form):
    write_records(tmp_path / "m.pt", with_line(scripted, "_q = " + form.replace("PATH", f'"{canary}"')))
    assert_refused(cli("check", "m.pt", "--param", "a.weight", "--input-shape", "2,5"), canary)


def test_torchscript_code_under_another_case_is_looked_through(cli, tmp_path, scripted, canary):
    evil = with_line(scripted, f'_q = torch.save(x, "{canary}")')
    write_records(tmp_path / "m.pt", {name.replace("/code/", "/CODE/"): data for name, data in evil.items()})
    assert_refused(cli("check", "m.pt", "--param", "a.weight", "--input-shape", "2,5"), canary)


def test_a_two_faced_torchscript_archive_does_not_run(cli, tmp_path, scripted, canary):
    write_two_faced(tmp_path / "m.pt", scripted, with_line(scripted, f'_q = torch.save(x, "{canary}")'))
    assert_refused_or_harmless(cli("check", "m.pt", "--param", "a.weight", "--input-shape", "2,5"), canary)


def test_torchscript_does_not_print_into_the_report(cli, tmp_path, scripted):
    write_records(tmp_path / "m.pt", with_line(scripted, 'print("\\033[31mHELLO")'))
    done = cli("check", "m.pt", "--param", "a.weight", "--input-shape", "2,5", "--format", "json")
    assert "\x1b" not in done.text
    if done.status != 2:
        json.loads(done.out)


@pytest.fixture(scope="session")
def big_script():
    file = io.BytesIO()
    with quietly():
        model = nn.Sequential(nn.Linear(2000, 2000, bias=False), nn.Linear(2000, 3, bias=False))
        torch.jit.save(torch.jit.script(model), file)
    return records(file.getvalue())


@pytest.mark.parametrize("kept", [8, 8_000_000, 15_999_996])
@pytest.mark.parametrize("verb", ["check", "audit"])
def test_torchscript_with_a_short_record_is_damaged(cli, tmp_path, big_script, kept, verb):
    """torch maps the record, and reads past its end."""
    name = next(name for name, data in big_script.items() if len(data) == 16_000_000)
    write_records(tmp_path / "m.pt", big_script | {name: big_script[name][:kept]})
    wanted = ("--param", "0.weight") if verb == "check" else ()
    assert_one_error(cli(verb, "m.pt", "--input-shape", "1,2000", *wanted))


def test_a_layer_of_a_torchscript_archive_is_answered_in_plain_words(cli, tmp_path, scripted):
    write_records(tmp_path / "m.pt", scripted)
    assert_one_error(cli("check", "m.pt", "--layer", "a", "--input-shape", "2,5"))


@pytest.mark.parametrize("kept", [8, 15_999_996])
def test_torchscript_with_a_short_record_is_damaged_for_whoever_trusts_it(cli, tmp_path, big_script, kept):
    """The user's word is for the code, not for the memory behind a record."""
    name = next(name for name, data in big_script.items() if len(data) == 16_000_000)
    write_records(tmp_path / "m.pt", big_script | {name: big_script[name][:kept]})
    assert_one_error(cli("check", "m.pt", "--trust", "--input-shape", "1,2000", "--param", "0.weight"))


def test_torchscript_that_writes_a_file_can_do_so_for_whoever_trusts_it(cli, tmp_path, scripted, canary):
    """The attack is real: the tests beside this one can fail."""
    write_records(tmp_path / "m.pt", with_line(scripted, f'_q = ops.aten.save(x, "{canary}")'))
    cli("check", "m.pt", "--trust", "--param", "a.weight", "--input-shape", "2,5")
    assert canary.exists()
