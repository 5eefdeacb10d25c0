"""crossmod training."""
