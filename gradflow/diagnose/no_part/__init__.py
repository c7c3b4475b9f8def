"""Words for targets that take no part in the score."""
