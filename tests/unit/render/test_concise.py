from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType

import pytest

from gradflow.render.concise import render_concise

pytestmark = pytest.mark.usefixtures("in_root")


def test_one_line_per_finding(examples: ModuleType) -> None:
    error, warning, verdict = render_concise(examples.several_layers()).splitlines()
    assert error == "fixtures/render/neck.py:14:20: error GF101 detach: no gradient reaches `layer4` from class 281"
    assert warning.startswith("fixtures/render/gate.py:6:13: warning GF401 partial-detach: one of two paths from ")
    assert verdict == "gradflow: connected: a gradient reaches `head.fc` from score[281] (tabby)"


def test_finding_without_a_line(examples: ModuleType) -> None:
    assert render_concise(examples.layer_not_called()).startswith("gradflow: error GF301 layer-not-called: ")


def test_verdict_without_a_finding(examples: ModuleType) -> None:
    assert render_concise(examples.healthy()) == (
        "gradflow: connected: a gradient reaches `layer4.1.conv2` from score[281] (tabby)\n"
    )
    assert render_concise(examples.not_determined()).startswith("gradflow: broken: ")


def test_line_is_one_line_whatever_the_message_holds(examples: ModuleType) -> None:
    diagnostic = replace(examples.DETACH, message="a\nb\x1b[0m\rc")
    text = render_concise(replace(examples.detach(), diagnostics=(diagnostic,)))
    assert re.fullmatch(r"[^\n\r\x1b]+\n", text)
