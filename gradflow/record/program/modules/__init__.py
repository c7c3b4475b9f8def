"""Modules of the program: where they are made, which of them run, and what they hold."""
