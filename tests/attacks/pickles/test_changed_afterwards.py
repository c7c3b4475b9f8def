"""What is looked at when it is made, and changed before the pickle ends: a dictionary in the memo is still open."""

from __future__ import annotations

import pytest

from tests.attacks.commands import assert_refused
from tests.attacks.opcodes import EMPTY_DICT, linear, named, number, ordered, several, text, write_pickle

KEEP, FETCH, SET, DROP = b"q\x07", b"h\x07", b"s", b"0"


def changed(model, key, value):
    """A model, and then an entry more in what has been kept while it was written."""
    return model + FETCH + key + value + SET + DROP


CHANGED = {
    "a hook": (linear(_forward_hooks=ordered() + KEEP), number(0), named("torch.nn.functional", "relu")),
    "a hook that is a class": (
        linear(_forward_pre_hooks=ordered() + KEEP),
        number(0),
        named("torch.nn.modules.normalization", "LayerNorm"),
    ),
    "a member that is no module": (linear(_modules=EMPTY_DICT + KEEP), text("x"), number(1)),
    "a member without a name": (linear(_modules=EMPTY_DICT + KEEP), number(1), linear()),
    "a buffer that is no tensor": (linear(_buffers=EMPTY_DICT + KEEP), text("x"), several(number(1))),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_module_that_is_changed_after_it_was_restored_is_refused(cli, tmp_path, canary, case):
    write_pickle(tmp_path / "m.pt", changed(*CHANGED[case]))
    assert_refused(cli("check", "m.pt", "--layer", "auto", "--input-shape", "1,5"), canary)
