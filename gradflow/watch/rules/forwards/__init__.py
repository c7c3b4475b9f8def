"""Rules about which forward pass something took part in."""
