"""Quality control of a session: what is measured of its scans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crossmod.preprocess import quality_measures as measures
from crossmod.preprocess.appearance import Overlay, View
from crossmod.preprocess.bias_field import MODALITIES_WITHOUT_FIELD
from crossmod.preprocess.resampling import Grid, index_map
from crossmod.preprocess.state import Session
from crossmod.settings import Modality
from crossmod.spatial import inverted

FORMAT = "crossmod-quality-1"
WHITE_PRIOR = 0.75
DIGITS = 5


def assess(session: Session, overlay: Overlay, views: Mapping[Modality, View]) -> dict[str, Any]:
    """Measures and histograms of a session, for the pages of quality control.

    Parameters
    ----------
    session : Session
        With scans, transforms, normalizers and looks at the raw scans.
    overlay : Overlay
        The registered scans and the tissues of the template.
    views : dict of modality to View
        The registered scans on the common grid.

    Returns
    -------
    dict
        Plain JSON values, as docs/explanation/data-flow.md says; a measure that a scan does not
        have is left out.
    """
    scans = {m: _of_scan(session, overlay, m) for m in views}
    normalized = {
        m: session.normalizers[m].normalizer.apply(v.image.data[v.cover]) for m, v in views.items()
    }
    of_session = {
        "brain_volume_ml": session.checks["brain_volume_ml"],
        "template_overlap": overlay.priors.overlap,
    }
    return {
        "format": FORMAT,
        "session": _rounded(of_session),
        "scans": {m: _rounded(values) for m, values in scans.items()},
        "histograms": {
            m: {
                "head": session.looks[m].histogram,
                "brain": measures.histogram(values),
            }
            for m, values in normalized.items()
        },
    }


def _of_scan(session: Session, overlay: Overlay, modality: Modality) -> dict[str, float | None]:
    view, look = overlay.views[modality], session.looks[modality]
    tissues = overlay.tissues[modality]
    signal, noise = _signal_and_noise(session, overlay, modality)
    found: dict[str, float | None] = {
        "coverage_percent": 100 * float(view.cover.sum() / max(overlay.brain.sum(), 1)),
        "gray_levels": look.levels,
        "clipped_percent": look.clipped_percent,
        "snr": signal / noise if noise else None,
        "snr_air": signal / look.air_sd if look.air_sd else None,
        "cnr": measures.contrast_to_noise(tissues) if tissues else None,
        "edge_contrast": measures.edge_contrast(view.image.data, overlay.brain),
    }
    if tissues and modality not in MODALITIES_WITHOUT_FIELD:
        white = np.zeros_like(overlay.brain)
        white[overlay.brain] = overlay.priors.white > WHITE_PRIOR
        white &= view.cover
        values, places = view.image.data[white], np.argwhere(white)
        found["residual_bias_percent"] = measures.residual_bias_percent(values, places)
    if modality != session.reference:
        fixed = overlay.views[session.reference]
        region = fixed.cover & view.cover
        found["edge_overlap"] = measures.edge_overlap(fixed.image.data, view.image.data, region)
        for name in ("nmi_before", "nmi_after", "peak_share"):
            found[name] = session.checks.get(f"{name}-{modality}")
    found["brain_agreement"] = session.checks.get(f"brain_agreement-{modality}")
    return found


def _signal_and_noise(
    session: Session, overlay: Overlay, modality: Modality
) -> tuple[float, float | None]:
    """Median of the brain, and the noise there, on the grid that the scan was acquired on."""
    from scipy import ndimage

    scan = session.scans[modality]
    # The two axes with the smallest voxels first: slices are thick.
    order = np.argsort(scan.spacing_mm, kind="stable")
    data = np.transpose(scan.data, order)
    to_brain = index_map(overlay.grid, Grid.of(scan), inverted(session.affines[modality]))
    # Blocks of 2 x 2 voxels: index of the block -> of the scan's voxel -> of the brain's.
    to_scan = np.zeros((4, 4))
    for axis, (source, size) in enumerate(zip(order, (2, 2, 1), strict=True)):
        to_scan[source, axis] = size
        to_scan[source, 3] = (size - 1) / 2
    to_scan[3, 3] = 1
    matrix = to_brain @ to_scan
    shape = (data.shape[0] // 2, data.shape[1] // 2, data.shape[2])
    cover = (overlay.views[modality].cover).astype(np.uint8)
    region = (
        ndimage.affine_transform(
            cover, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=0, mode="constant"
        )
        > 0
    )
    even = data[: 2 * shape[0] : 2, : 2 * shape[1] : 2]
    signal = float(np.median(even[region])) if region.any() else 0.0
    return signal, measures.noise_sd(data, region)


def _rounded(values: Mapping[str, float | None]) -> dict[str, float]:
    """Measures that there are, to five digits."""
    return {name: float(f"{v:.{DIGITS}g}") for name, v in values.items() if v is not None}
