"""crossmod evaluation."""
