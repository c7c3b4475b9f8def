"""What an experiment sees of a run, and may change."""
