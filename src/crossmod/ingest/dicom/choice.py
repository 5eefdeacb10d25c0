"""Which series of a session stands for a modality."""

from __future__ import annotations

from crossmod.ingest.dicom.modality import modality_of, why_left_out
from crossmod.ingest.dicom.series import Series, fault
from crossmod.settings import Modality

_TWICE = 2


def candidates(
    series: list[Series],
) -> tuple[dict[Modality, list[Series]], list[tuple[str, str]], list[str]]:
    """Series by modality, and what is left out.

    Parameters
    ----------
    series : list of Series
        Those of one session.

    Returns
    -------
    usable : dict of modality to list of Series
    unused : list of (str, str)
        Series (its `id`) and the reason.
    notes : list of str
        What was recognized by its description alone.
    """
    usable: dict[Modality, list[Series]] = {}
    unused, notes = list[tuple[str, str]](), list[str]()
    for one in series:
        why = why_left_out(one.header)
        modality, grounds = (None, why) if why else modality_of(one.header)
        if modality is None:
            unused.append((one.id, f"not used, {grounds}"))
            continue
        usable.setdefault(modality, []).append(one)
        if grounds == "description":
            notes.append(f"series {one.id} taken for {modality} by its description alone")
    return usable, unused, notes


def choose(choices: list[Series]) -> tuple[list[Series], list[tuple[str, str]]]:
    """One of several series of a modality, if a simple rule tells it.

    In this order: the only one without a fault; the only 3-D acquisition; the one with at least
    twice as many slices as any other.

    Returns
    -------
    chosen : list of Series
        One, or all where no rule decides.
    remarks : list of (str, str)
        Series that were passed over, with the reason.
    """
    rest, remarks = choices, list[tuple[str, str]]()
    sound = [one for one in rest if not fault(one)]
    if len(sound) < len(rest) and sound:
        remarks += [(one.id, f"not used, {fault(one)}") for one in rest if fault(one)]
        rest = sound
    solid = [one for one in rest if one.header.volumetric]
    if len(rest) > 1 and len(solid) == 1:
        return solid, remarks + _passed_over(rest, solid[0], "is the only 3-D acquisition")
    ranked = sorted(rest, key=lambda one: -one.images)
    if len(rest) > 1 and ranked[0].images >= _TWICE * ranked[1].images:
        return ranked[:1], remarks + _passed_over(rest, ranked[0], "has more slices")
    return rest, remarks


def _passed_over(choices: list[Series], best: Series, why: str) -> list[tuple[str, str]]:
    return [(one.id, f"not used, series {best.id} {why}") for one in choices if one is not best]
