"""Calls that torch hands to no function mode, replaced so that they are told: ``set_``, ``as_subclass``, ``apply``."""
