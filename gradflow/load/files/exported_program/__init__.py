"""Checks what a ``.pt2`` archive holds and writes it anew, so that torch only ever meets what was checked."""
