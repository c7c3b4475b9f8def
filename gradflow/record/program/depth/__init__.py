"""How deep the graphs of a program are, and what may be touched of them."""
