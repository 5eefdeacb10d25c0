"""crossmod losses."""
