"""What of a layer is looked at."""
