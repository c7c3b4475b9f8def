"""The source of what runs: its text, for places and for words."""
