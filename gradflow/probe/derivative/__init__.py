"""Autograd's derivative held against how the score itself moves."""
