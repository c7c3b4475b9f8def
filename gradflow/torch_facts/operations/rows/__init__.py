"""The rows of the table of operations, by what one looks for."""
