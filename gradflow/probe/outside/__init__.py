"""Values that come into the record from where nothing was recorded."""
