"""What a recording says of what it does not have."""

from __future__ import annotations

from gradflow.recording import Completeness, Gap

THREAD = Gap(why="another thread", events=frozenset({"backward passes"}), missed=2)
END = Gap(why="stepped aside", detail="after 40 operations")


def test_without_a_gap_all_was_seen() -> None:
    assert Completeness().has_all("operations", "backward passes", "steps")
    assert Completeness().is_to_the_end


def test_a_gap_in_one_kind_of_event_is_none_in_another() -> None:
    completeness = Completeness(gaps=(THREAD,))
    assert completeness.lacks("backward passes") == (THREAD,)
    assert not completeness.has_all("steps", "backward passes")
    assert completeness.has_all("steps", "operations")
    assert completeness.is_to_the_end


def test_what_ends_early_lacks_all_kinds() -> None:
    completeness = Completeness(gaps=(THREAD, END))
    assert completeness.lacks("steps") == (END,)
    assert not completeness.has_all("operations")
    assert not completeness.is_to_the_end


def test_a_gap_that_can_reach_some_values_is_none_for_the_others() -> None:
    some = Gap(why="another thread", events=frozenset({"optimizers"}), values=frozenset({3, 4}))
    completeness = Completeness(gaps=(some, THREAD))
    assert completeness.has_all("optimizers", of=(1, 2))
    assert not completeness.has_all("optimizers", of=(2, 3))
    assert not completeness.has_all("optimizers")
    assert not completeness.has_all("backward passes", of=(1,))  # which it can reach is not known
