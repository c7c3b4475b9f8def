"""After an exception: what the frames that it left, the source around them, and autograd's own graph still tell."""
