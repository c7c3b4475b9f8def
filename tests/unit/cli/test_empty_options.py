"""An option that is given empty, as by a variable of the shell that is not set, is not passed over."""

from __future__ import annotations

import argparse

import pytest

from gradflow.cli.options import (
    add_input_options,
    add_model_options,
    add_run_options,
    add_score_options,
    request_of,
)
from gradflow.errors import UsageError


def request(*words: str) -> object:
    parser = argparse.ArgumentParser()
    for add in (add_model_options, add_input_options, add_score_options, add_run_options):
        add(parser)
    return request_of(parser.parse_args(["net.py:Net", *words]))


@pytest.mark.parametrize("option", ["--weights", "--arch", "--image", "--select", "--score"])
def test_an_empty_option_is_a_usage_error(option: str) -> None:
    with pytest.raises(UsageError, match=f"`{option}` is empty"):
        request(option, "")
    assert request(option, "x") != request()
