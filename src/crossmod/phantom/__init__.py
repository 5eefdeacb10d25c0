"""crossmod phantom."""
