"""What the user's functions keep in dictionaries and caches of their own, and what of it a run has left there."""
