"""crossmod nets."""
