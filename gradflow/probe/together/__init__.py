"""Many questions of one run, each answered as if it had been asked alone."""
