"""Calls that torch tells nobody of: a Function's, of ``set_``, into a subclass, past the hooks of a module."""
