"""What happens in a program that is observed, as plain data."""
