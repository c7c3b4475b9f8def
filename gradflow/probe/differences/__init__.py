"""Where a gradient that is compared with the score begins to differ."""
