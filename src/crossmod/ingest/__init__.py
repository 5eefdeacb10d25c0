"""crossmod ingest."""
