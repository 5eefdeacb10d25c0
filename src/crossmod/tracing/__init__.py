"""How a voxel of any file that crossmod wrote came to be, in words."""

from crossmod.tracing.files import trace

__all__ = ["trace"]
