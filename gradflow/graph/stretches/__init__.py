"""How a target's values go through a recording, stretch by stretch; stretches that targets share are walked once."""
