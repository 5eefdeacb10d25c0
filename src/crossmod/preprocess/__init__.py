"""From raw scans to aligned, bias-corrected, brain-extracted volumes on a common grid."""

from crossmod.preprocess.annotations import Annotations
from crossmod.preprocess.session import preprocess_session, run

__all__ = ["Annotations", "preprocess_session", "run"]
