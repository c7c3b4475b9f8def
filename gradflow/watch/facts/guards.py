"""Tests for a gradient that never found one: what a program does if it is there never ran, and nothing is raised."""

from __future__ import annotations

from functools import cached_property

from gradflow.recording.program.events import GradRead
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.observation import Observation

__all__ = ["Guards"]


class Guards:
    """What is looked up once for all reads of ``.grad`` of a program."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def is_in_vain(self, read: GradRead) -> bool:
        """Whether a test of a leaf that requires grad found none, as all at its place did, and none ever came there.

        A loop over parameters passes over those that are frozen or unused: it finds the others. What gets a gradient
        in another pass is tested for one before, or after it was cleared.
        """
        if read.measured.arrived or not (read.is_leaf and read.requires_grad) or read.site in self._open:
            return False
        return before_writes(self._observation.recording, read.value) not in self._reached

    @cached_property
    def _open(self) -> frozenset[int]:
        """The places at which a gradient was found."""
        return frozenset(read.site for read in self._observation.program.reads if read.measured.arrived)

    @cached_property
    def _reached(self) -> frozenset[int]:
        recording = self._observation.recording
        arrived = {value for backward in self._observation.program.backwards for value in backward.arrived}
        return frozenset(before_writes(recording, value) for value in arrived)
