"""Why something is not known of a gradient that was asked for."""
