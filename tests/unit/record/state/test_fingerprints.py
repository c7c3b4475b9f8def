"""Fingerprints of bytes."""

from __future__ import annotations

import random

import pytest
import torch

from gradflow.record.state.fingerprints import fingerprint


@pytest.mark.parametrize("size", [1, 7, 8191, 8192, 8193, 100_003])
def test_equal_bytes_have_one_and_any_change_has_another(size: int) -> None:
    numbers = random.Random(size)
    content = torch.tensor(list(numbers.randbytes(size)), dtype=torch.uint8)
    found = fingerprint(content)
    assert fingerprint(content.clone()) == found
    for place in {0, size - 1, *(numbers.randrange(size) for _ in range(50))}:
        changed = content.clone()
        changed[place] ^= 1 << numbers.randrange(8)
        assert fingerprint(changed) != found


def test_places_count() -> None:
    content = torch.arange(30_000).view(torch.uint8)
    found = fingerprint(content)
    assert fingerprint(content.roll(8)) != found
    assert fingerprint(content.roll(8192)) != found
    assert fingerprint(content.flip(0)) != found


def test_constants_count() -> None:
    """A sum of exclusive ors would not see these."""
    zeros = torch.zeros(4096, dtype=torch.float32).view(torch.uint8)
    ones = torch.ones(4096, dtype=torch.float32).view(torch.uint8)
    assert fingerprint(zeros) != fingerprint(ones)


def test_drawing_the_weights_leaves_random_numbers_alone() -> None:
    before = random.getstate(), torch.get_rng_state()
    fingerprint(torch.zeros(20_000, dtype=torch.uint8))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_memory_that_is_read_can_be_resized_afterwards() -> None:
    content = torch.arange(5_001, dtype=torch.uint8)
    fingerprint(content)
    assert content.untyped_storage().resizable()
