"""Whether a trial repair has mended what it was meant to."""
