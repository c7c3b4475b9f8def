"""How gradflow behaves as a guest in somebody else's process: whose error it was, one check at a time, Ctrl-C."""
