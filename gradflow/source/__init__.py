"""The source of what runs, read for places and for words."""
