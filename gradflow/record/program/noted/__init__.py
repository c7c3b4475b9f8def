"""What observers note of events that go on; a recording gets what has become of each when that is taken."""
