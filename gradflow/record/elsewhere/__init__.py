"""What runs where operations are not recorded."""
