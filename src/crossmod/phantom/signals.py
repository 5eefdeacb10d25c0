"""What a scanner measures: signal equations, CT numbers, tracer uptake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossmod.phantom.anatomy import Anatomy
from crossmod.phantom.tissues import T1_RELAXIVITY, T2_RELAXIVITY, SubjectTissues, Tissue
from crossmod.settings import Modality

Sequence = Literal["spin-echo", "inversion-recovery", "spoiled-gradient-echo", "ct", "pet"]
SEQUENCES: dict[Modality, Sequence] = {
    "T1w": "spoiled-gradient-echo",
    "T1ce": "spoiled-gradient-echo",
    "T2w": "spin-echo",
    "FLAIR": "inversion-recovery",
    "PDw": "spin-echo",
    "CT": "ct",
    "PET": "pet",
}
PARENCHYMA = (Tissue.GREY, Tissue.WHITE)
# Trains of refocusing pulses keep fat bright (Henkelman et al., JMRI 1994); flowing blood has
# left the slice before it is refocused.
FAT_T2_FACTOR = 1.8
FLOW_VOID = 0.12
# T2* of tissue relative to its T2; at these short echo times it matters little.
T2_STAR_SHARE = 0.7


@dataclass(frozen=True)
class Protocol:
    """Settings of one scan.

    Attributes
    ----------
    sequence : str
        Kind of acquisition.
    tr_ms, te_ms, ti_ms, flip_deg : float
        Repetition, echo and inversion time, flip angle; 0 where they do not apply.
    agent : bool
        Whether the contrast agent was given.
    """

    sequence: Sequence
    tr_ms: float = 0.0
    te_ms: float = 0.0
    ti_ms: float = 0.0
    flip_deg: float = 90.0
    agent: bool = False


def draw_protocol(random: np.random.Generator, modality: Modality) -> Protocol:
    """Settings within the usual clinical range; the inversion time nearly nulls CSF."""
    sequence = SEQUENCES[modality]
    if sequence == "spoiled-gradient-echo":
        tr, te = random.uniform(16, 26), random.uniform(2.5, 5.5)
        flip = random.uniform(18, 28)
        return Protocol(sequence, tr, te, flip_deg=flip, agent=modality == "T1ce")
    if modality == "T2w":
        return Protocol(sequence, random.uniform(3800, 6000), random.uniform(85, 110))
    if modality == "PDw":
        return Protocol(sequence, random.uniform(2500, 4000), random.uniform(12, 28))
    if modality == "FLAIR":
        tr, te = random.uniform(8000, 10500), random.uniform(90, 125)
        fluid_t1 = 4340.0
        null = fluid_t1 * np.log(2 / (1 + np.exp(-tr / fluid_t1)))
        return Protocol(sequence, tr, te, ti_ms=float(null * random.uniform(0.96, 1.03)))
    return Protocol(sequence)


def spin_echo(density: NDArray, t1: NDArray, t2: NDArray, protocol: Protocol) -> NDArray:
    """Spin-echo signal: PD (1 - exp(-TR/T1)) exp(-TE/T2)."""
    return density * (1 - np.exp(-protocol.tr_ms / t1)) * np.exp(-protocol.te_ms / t2)


def inversion_recovery(density: NDArray, t1: NDArray, t2: NDArray, protocol: Protocol) -> NDArray:
    """Magnitude signal: PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)."""
    recovered = 1 - 2 * np.exp(-protocol.ti_ms / t1) + np.exp(-protocol.tr_ms / t1)
    return density * np.abs(recovered) * np.exp(-protocol.te_ms / t2)


def spoiled_gradient_echo(
    density: NDArray, t1: NDArray, t2: NDArray, protocol: Protocol, transmit: NDArray | float = 1.0
) -> NDArray:
    """Ernst's steady state: PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE/T2*), E1 = exp(-TR/T1).

    `transmit` multiplies the flip angle a.
    """
    angle = np.deg2rad(np.float32(protocol.flip_deg)) * transmit
    e1 = np.exp(-protocol.tr_ms / t1)
    steady = np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1)
    return density * steady * np.exp(-protocol.te_ms / (T2_STAR_SHARE * t2))


def with_agent(
    t1: NDArray, t2: NDArray, agent_mmol: float | NDArray, field_tesla: float
) -> tuple[NDArray, NDArray]:
    """Relaxation times with contrast agent: 1/T' = 1/T + r c."""
    r1, r2 = T1_RELAXIVITY[field_tesla] / 1000, T2_RELAXIVITY[field_tesla] / 1000
    return 1 / (1 / t1 + r1 * agent_mmol), 1 / (1 / t2 + r2 * agent_mmol)


class Simulator:
    """Noise-free images of one head.

    Parameters
    ----------
    anatomy : Anatomy
        The head.
    tissues : SubjectTissues
        Its tissue values.
    """

    def __init__(self, anatomy: Anatomy, tissues: SubjectTissues) -> None:
        self.anatomy, self.tissues = anatomy, tissues

    def image(self, protocol: Protocol) -> NDArray[np.float32]:
        """Image on the anatomy grid: a.u. for MR, HU for CT, SUV for PET."""
        anatomy = self.anatomy
        if protocol.sequence in ("ct", "pet"):
            table = self.tissues.hounsfield if protocol.sequence == "ct" else self.tissues.uptake
        else:
            table = self._signal_table(protocol)
        image = table.astype(np.float32)[anatomy.labels]
        if protocol.sequence != "ct":
            image *= anatomy.head_texture
        brain = np.zeros(len(anatomy.inside), dtype=np.float32)
        for tissue, fraction in anatomy.fractions.items():
            self._add(brain, tissue, fraction, protocol, table)
        image.ravel()[anatomy.inside] = brain
        return image

    def _signal_table(self, protocol: Protocol) -> NDArray:
        """Signal of every label without texture."""
        tissues = self.tissues
        t1, t2, density = tissues.t1_ms, tissues.t2_ms.copy(), tissues.density.copy()
        if protocol.agent:
            t1, t2 = with_agent(t1, t2, tissues.agent_mmol, tissues.field_tesla)
        if protocol.sequence != "spoiled-gradient-echo":
            t2[Tissue.FAT] *= FAT_T2_FACTOR
            density[Tissue.BLOOD] *= FLOW_VOID
        return _signal(density, t1, t2, protocol)

    def _add(
        self, brain: NDArray, tissue: Tissue, fraction: NDArray, protocol: Protocol, table: NDArray
    ) -> None:
        """Add the share of one tissue; lesions are worked out where they are only."""
        if tissue == Tissue.CSF:
            brain += np.float32(table[tissue]) * fraction
            return
        where = slice(None) if tissue in PARENCHYMA else np.flatnonzero(fraction)
        brain[where] += fraction[where] * self._textured(tissue, where, protocol, table)

    def _textured(
        self, tissue: Tissue, where: slice | NDArray, protocol: Protocol, table: NDArray
    ) -> NDArray:
        """Signal of one tissue of the brain, texture included."""
        anatomy, tissues = self.anatomy, self.tissues
        if protocol.sequence == "ct":
            # Denser tissue holds less water: CT follows the water content, weakly.
            return np.float32(table[tissue]) * (2 - anatomy.density[where])
        if protocol.sequence == "pet":
            # Uptake varies with its own pattern; the density texture serves as its source.
            return np.float32(table[tissue]) * anatomy.density[where] ** 4
        t1 = np.float32(tissues.t1_ms[tissue]) * anatomy.t1[where]
        t2 = np.float32(tissues.t2_ms[tissue]) * anatomy.t2[where]
        if tissue == Tissue.GREY:
            t1, t2 = t1 * anatomy.deep_t1[where], t2 * anatomy.deep_t2[where]
        if protocol.agent:
            agent = float(tissues.agent_mmol[tissue])
            t1, t2 = with_agent(t1, t2, agent, tissues.field_tesla)
        density = np.float32(tissues.density[tissue]) * anatomy.density[where]
        # Flip angles vary in space with the wavelength in the head: at 3 T, hardly at 1.5 T.
        varies = tissues.field_tesla > 2
        transmit: NDArray | float = anatomy.transmit[where] if varies else 1.0
        return _signal(density, t1, t2, protocol, transmit)


def _signal(
    density: NDArray, t1: NDArray, t2: NDArray, protocol: Protocol, transmit: NDArray | float = 1.0
) -> NDArray:
    if protocol.sequence == "spin-echo":
        return spin_echo(density, t1, t2, protocol)
    if protocol.sequence == "inversion-recovery":
        return inversion_recovery(density, t1, t2, protocol)
    return spoiled_gradient_echo(density, t1, t2, protocol, transmit)
