"""Findings of an audit that speak of many parameters at once."""
