"""crossmod: cross-modality brain image synthesis studies."""

__version__ = "0.1.0"
