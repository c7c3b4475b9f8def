"""How gradflow behaves as a guest in somebody else's process: whose error it was, who steps aside, whose turn it is."""
