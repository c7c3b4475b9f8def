"""Ways through the record: from the target to the score."""
