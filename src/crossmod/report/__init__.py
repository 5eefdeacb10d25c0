"""crossmod report."""
