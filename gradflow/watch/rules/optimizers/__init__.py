"""What an optimizer holds, and what it should."""
