"""Rules for what only a running program shows: pure functions over an :class:`Observation`."""
