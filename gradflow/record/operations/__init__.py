"""How operations become rows: what they are given and give, and which tensor is which value."""
