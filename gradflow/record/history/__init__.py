"""Where values of a run come from, asked while it is recorded."""
