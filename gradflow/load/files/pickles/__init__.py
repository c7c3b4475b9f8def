"""Pickles as data: a machine that knows the opcodes, and lists of what a pickle may name.

What is checked is what is loaded: there is one reader, and nothing that it makes is made a second time by another.
"""
