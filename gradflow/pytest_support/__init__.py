"""What the pytest plugin does once a test has something to do with gradients; loaded only then."""
