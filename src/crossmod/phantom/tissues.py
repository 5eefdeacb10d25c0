"""What tissues are made of: relaxation times, water, density, tracer uptake, contrast agent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Label of a tissue in `desc-tissue_dseg`."""

    AIR = 0
    CSF = 1
    GREY = 2
    WHITE = 3
    SKIN = 4
    FAT = 5
    MUSCLE = 6
    BONE = 7
    MARROW = 8
    BLOOD = 9
    MUCOSA = 10
    VITREOUS = 11
    LENS = 12
    DURA = 13
    CORE = 14
    OEDEMA = 15
    RIM = 16
    PLAQUE = 17


LESIONS = (Tissue.CORE, Tissue.OEDEMA, Tissue.RIM, Tissue.PLAQUE)
# Labels of the lesion map, in the order of LESIONS.
LESION_LABELS = {Tissue.CORE: 1, Tissue.OEDEMA: 2, Tissue.RIM: 3, Tissue.PLAQUE: 4}


@dataclass(frozen=True)
class Properties:
    """Physical properties of one tissue.

    Attributes
    ----------
    t1_ms : (float, float)
        Longitudinal relaxation time at 1.5 T and 3 T.
    t2_ms : float
        Transverse relaxation time (1.5 T and 3 T differ little beside the spread of subjects).
    density : float
        Proton density relative to water.
    agent_mmol : float
        Concentration of gadolinium after injection, mmol/l.
    hounsfield : float
        CT number.
    uptake : float
        FDG, standardized uptake value.
    """

    t1_ms: tuple[float, float]
    t2_ms: float
    density: float
    agent_mmol: float
    hounsfield: float
    uptake: float


# Sources by number in docs/explanation/phantom.md. Values for which no measurement is named there
# are set by plausibility.
PROPERTIES: dict[Tissue, Properties] = {
    Tissue.AIR: Properties((1000, 1000), 1, 0, 0, -1000, 0),
    Tissue.CSF: Properties((4300, 4380), 2100, 1.0, 0, 8, 0.4),
    Tissue.GREY: Properties((1197, 1607), 97, 0.82, 0.01, 38, 7.0),
    Tissue.WHITE: Properties((646, 838), 71, 0.70, 0.005, 29, 2.4),
    Tissue.SKIN: Properties((900, 1000), 40, 0.75, 0.05, 45, 0.7),
    Tissue.FAT: Properties((343, 382), 68, 0.90, 0.005, -95, 0.3),
    Tissue.MUSCLE: Properties((1008, 1412), 47, 0.80, 0.05, 55, 0.8),
    Tissue.BONE: Properties((250, 250), 0.5, 0.20, 0, 1250, 0.3),
    Tissue.MARROW: Properties((549, 586), 49, 0.60, 0.02, 350, 0.8),
    Tissue.BLOOD: Properties((1441, 1932), 280, 0.85, 1.0, 45, 1.5),
    Tissue.MUCOSA: Properties((1100, 1400), 90, 0.85, 0.35, 45, 1.5),
    Tissue.VITREOUS: Properties((4200, 4280), 1200, 0.98, 0, 8, 0.3),
    Tissue.LENS: Properties((1000, 1200), 30, 0.70, 0, 75, 0.5),
    Tissue.DURA: Properties((900, 1100), 20, 0.40, 0.20, 60, 0.7),
    Tissue.CORE: Properties((2200, 2600), 350, 0.93, 0.02, 14, 0.8),
    Tissue.OEDEMA: Properties((1100, 1400), 150, 0.83, 0.01, 20, 1.8),
    Tissue.RIM: Properties((1200, 1550), 115, 0.84, 0.60, 40, 8.5),
    Tissue.PLAQUE: Properties((1050, 1350), 150, 0.80, 0.02, 23, 1.8),
}

# Relaxivities of gadobutrol in plasma at 1.5 T and 3 T, l/(mmol s).
T1_RELAXIVITY = {1.5: 4.78, 3.0: 4.97}
T2_RELAXIVITY = {1.5: 6.1, 3.0: 7.1}
FIELDS_TESLA = (1.5, 3.0)


@dataclass(frozen=True)
class SubjectTissues:
    """Tissue values of one subject, indexed by label.

    Attributes
    ----------
    field_tesla : float
        Field strength of the scanner.
    t1_ms, t2_ms, density : array, shape (labels,)
        The table's values times the subject's own deviations.
    agent_mmol, hounsfield, uptake : array, shape (labels,)
        As in `Properties`, with deviations.
    """

    field_tesla: float
    t1_ms: np.ndarray
    t2_ms: np.ndarray
    density: np.ndarray
    agent_mmol: np.ndarray
    hounsfield: np.ndarray
    uptake: np.ndarray


def draw_tissues(random: np.random.Generator) -> SubjectTissues:
    """Scanner field and tissue values of one subject.

    Relaxation times deviate by 4 % (T1) and 5 % (T2), the spread between healthy subjects in the
    sources; lesions, which differ more, by three times as much.
    """
    field = FIELDS_TESLA[int(random.integers(2))]
    table = [PROPERTIES[tissue] for tissue in Tissue]
    spread = np.array([3.0 if tissue in LESIONS else 1.0 for tissue in Tissue])

    def deviating(values: list[float], sd: np.ndarray | float) -> np.ndarray:
        return np.array(values) * np.exp(
            np.clip(random.standard_normal(len(table)), -2.5, 2.5) * sd
        )

    at_field = FIELDS_TESLA.index(field)
    spread_t1, spread_t2 = 0.04 * spread, 0.05 * spread
    return SubjectTissues(
        field_tesla=field,
        t1_ms=deviating([p.t1_ms[at_field] for p in table], spread_t1),
        t2_ms=deviating([p.t2_ms for p in table], spread_t2),
        density=np.minimum(deviating([p.density for p in table], 0.02), 1.0),
        agent_mmol=deviating([p.agent_mmol for p in table], 0.25),
        hounsfield=deviating([p.hounsfield for p in table], 0.04),
        uptake=deviating([p.uptake for p in table], 0.15),
    )
