"""crossmod preprocess."""
