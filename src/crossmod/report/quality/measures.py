"""What is measured of sessions and scans, and beyond which limits a session is flagged.

Limits come from what is known of brains and scanners or from the phantom; the reasons, and the one
that was moved after real scans, stand in docs/how-to/check-preprocessing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """One column of the table.

    Attributes
    ----------
    id : str
        Key in the file of measures.
    name, unit : str
        For readers.
    format : str
        Of a value.
    meaning : str
        One sentence.
    least, most : float or None
        Limits beyond which a session is flagged.
    fault : str
        What may be wrong beyond them.
    outlier : {"low", "high", "both", "none"}
        Which outliers of the group are flagged.
    """

    id: str
    name: str
    unit: str
    format: str
    meaning: str
    least: float | None = None
    most: float | None = None
    fault: str = ""
    outlier: Literal["low", "high", "both", "none"] = "none"

    def text(self, value: float | None) -> str:
        """A value for readers; a dash where there is none."""
        return "-" if value is None else format(value, self.format)

    @property
    def limits(self) -> str:
        """Limits in words; empty without."""
        parts = [f"below {self.least:g}" if self.least is not None else ""]
        parts.append(f"above {self.most:g}" if self.most is not None else "")
        return " or ".join(part for part in parts if part)


OF_SESSION = (
    Measure(
        *("brain_volume_ml", "Brain volume", "ml", ".0f", "Volume of the brain mask."),
        *(900, 2000, "the mask may miss a part or hold other tissue", "both"),
    ),
    Measure(
        *("template_overlap", "Template overlap", "", ".3f"),
        "Dice overlap of the brain mask with the template's, laid over it by three scales.",
        least=0.88,
        fault="the mask may have a wrong shape, or the brain an unusual one",
        outlier="low",
    ),
)
OF_SCAN = (
    Measure(
        *("nmi_before", "NMI before", "", ".3f"),
        "Normalized mutual information with the reference in the brain, as the headers place it.",
    ),
    Measure(
        *("nmi_after", "NMI", "", ".3f"),
        "Normalized mutual information with the reference in the brain, registered: 1 to 2.",
        outlier="low",
    ),
    Measure(
        *("peak_share", "NMI around", "", ".2f"),
        "Mean NMI above 1 at poses 4 mm and 4 degrees away, over that of the registration.",
        most=0.83,
        fault="the registration may have failed",
        outlier="high",
    ),
    Measure(
        *("brain_agreement", "Brain agreement", "", ".3f"),
        "Dice overlap of the brain found in this scan alone with that most scans agree on.",
        least=0.9,
        fault="the scans do not show the same brain",
        outlier="low",
    ),
    Measure(
        *("edge_overlap", "Edge overlap", "", ".2f"),
        "Share of the strongest edges in the brain that lie on those of the reference.",
        least=0.75,
        fault="the registration or the brain mask may have failed",
        outlier="low",
    ),
    Measure(
        *("snr", "SNR", "", ".1f"),
        "Median of the brain over the noise, from the finest diagonal differences.",
        least=5,
        fault="noise hides structure",
        outlier="low",
    ),
    Measure(
        *("snr_air", "SNR, air", "", ".1f"),
        "Median of the brain over the noise of the air; only where air is Rayleigh noise.",
        least=5,
        fault="noise hides structure",
        outlier="low",
    ),
    Measure(
        *("cnr", "CNR", "", ".2f"),
        "Difference of gray and white matter over their standard deviation.",
        outlier="low",
    ),
    Measure(
        *("residual_bias_percent", "Residual bias", "%", ".1f"),
        "Standard deviation of the smooth field left in white matter.",
        most=10,
        fault="shading of the coil is left",
        outlier="high",
    ),
    Measure(
        *("edge_contrast", "Mask edge", "", ".2f"),
        "Contrast across the outline of the brain mask, over the range of the brain.",
        outlier="low",
    ),
    Measure(
        *("clipped_percent", "Clipped", "%", ".2f", "Share of the head at the greatest value."),
        most=0.1,
        fault="the scan was cut off at its greatest value",
    ),
    Measure(
        *("coverage_percent", "Coverage", "%", ".1f", "Share of the brain that the scan shows."),
        least=95,
        fault="a part of the brain is missing",
    ),
    Measure(
        *("gray_levels", "Gray levels", "", ".0f", "Distinct values of the raw scan."),
        least=65,
        fault="contrast is coarse",
    ),
)
ON_GROUP_PAGE = (
    "nmi_after",
    "edge_overlap",
    "snr",
    "cnr",
    "residual_bias_percent",
    "edge_contrast",
)
"""Columns of every scan on the page of all sessions; the others have a column where they flag."""
