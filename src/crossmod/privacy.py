"""What of headers, sidecars and tables may reach an output: lists of what is allowed.

Everything else is left behind, known or not: names, dates, accession numbers, institutions, free
text. A key belongs here only if its value describes the scan or the person coarsely and says
neither who nor where nor when.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nibabel as nib

_FORMS = """
sform_code srow_x srow_y srow_z qform_code quatern_b quatern_c quatern_d
qoffset_x qoffset_y qoffset_z pixdim xyzt_units
"""
HEADER_FIELDS = tuple(_FORMS.split())
"""Fields of NIfTI headers that are passed on: where voxels lie."""

PARTICIPANT_COLUMNS = ("age", "sex", "handedness", "group", "diagnosis", "grade")
"""Columns on participants that are passed on."""

# Of sidecars, in the words of BIDS; DICOM names of the same where BIDS has none. Each key has a
# kind: a number, an amount, yes or no, or words of a list of its own. There is no free text.
_NUMBERS = """
MagneticFieldStrength ImagingFrequency RepetitionTime EchoTime InversionTime FlipAngle EchoNumber
EchoTrainLength NumberOfAverages SliceThickness SpacingBetweenSlices PixelBandwidth
PercentSampling PercentPhaseFOV ParallelReductionFactorInPlane PartialFourier KVP XRayTubeCurrent
ExposureTime ScanStart InjectionStart FrameTimesStart FrameDuration ImageDecayCorrectionTime
ReconMethodParameterValues ReconFilterSize
"""
_AMOUNTS = "InjectedRadioactivity InjectedMass SpecificRadioactivity"
_FLAGS = "NonlinearGradientCorrection SkullStripped ImageDecayCorrected"
_MOST = 100_000  # of numbers but amounts: more would be a date, or a time since an epoch

_MAKERS = """
siemens healthineers healthcare ge medical systems philips toshiba mec canon hitachi united
imaging uih bruker biospin mediso cti cps ctimi shimadzu esaote fonar neusoft samsung varian
agilent
"""
_MODELS = """
magnetom prisma fit skyra trio triotim verio aera avanto espree symphony sonata harmony vision
allegra vida sola lumina altea amira essenza impact concerto spectra terra cima connectom numaris
achieva ingenia intera gyroscan panorama elition ambition dstream evolution nt signa discovery
optima hdx hdxt hde excite genesis architect premier pioneer voyager artist explorer brivo horizon
mr355 mr360 mr450 mr450w mr750 mr750w vantage titan galan orian centurian atlas echelon oasis
airis umr omega jupiter biograph mmr mct truepoint truev quadra ecat exact high resolution
research tomograph hrrt hr advance gemini tf ingenuity vereos guardian celesteion cartesion umi
pet ct mr ste st rx vct iq mi columbia nanopet nanoscan somatom definition sensation emotion force
drive edge flash perspective scope lightspeed brightspeed revolution ultra pro plus apex
brilliance ict mx8000 idt big bore aquilion prime asteion activion alexion scenaria 16 20 32 40 64
128 256 320 360 450 530 560 570 580 590 600 610 660 690 710 750 760 770 780 790 880 890 3t 5t 7t
xr xq xt
"""
_IMAGE_TYPES = """
original derived primary secondary axial sagittal coronal oblique localizer m p r i o f w ip op se
ir ffe tse epi fm fil nd norm dis2d dis3d sh csa mpr mip minip mosaic mfsplit mean magnitude phase
real imaginary image none volume reformatted projection resampled average subtraction water fat in
out opp inphase outphase t1 t2 pd map adc fa tracew diffusion perfusion asl rcbv rcbf swi mnip
fmri static dynamic gated whole body recon emission transmission
"""
_UNITS = """
bq kbq mbq gbq ci mci uci μci nci kg g mg ug μg ng mol mmol umol μmol nmol pmol l ml ul μl mm cm s
sec seconds min minutes iterations 1 suv suvbw suvlbm counts cps arbitrary none unitless percent
"""
_RECONSTRUCTIONS = """
2d 3d point spread function modelling modeling time of flight osem op aw uw nac ac psf tof fbp drp
3drp rp ramla lor blob os vpfx vpfxs vphd vphds qcfx fore mlem map dift sharpir truex ultrahd hd
iterative filtered back backprojection projection reprojection ordered subset subsets expectation
maximization maximum likelihood algorithm vendor with and none 1i 2i 3i 4i 5i 6i 8i 10i 12i 16i 4s
8s 12s 14s 16s 18s 20s 21s 24s 28s 32s
"""
_FILTERS = """
shepp logan hann hanning hamming gaussian gauss butterworth parzen ramp box metz cosine median all
pass filter none postfilter xyz xy z axial transaxial
"""
_CORRECTIONS = """
ct mr mrac based measured calculated transmission scan 137cs 68ge cs ge corrected none yes no ac
dixon ute zte atlas segmented attenuation correction map model
"""
_TRACERS = """
11c 13n 15o 18f 64cu 68ga 82rb 89zr 124i c n o f fdg fluorodeoxyglucose flt fet met methionine
fluoroethyltyrosine fluorothymidine fdopa dopa fmiso faza choline pib pittsburgh compound b
florbetapir florbetaben flutemetamol av45 av1451 t807 flortaucipir mk6240 mk 6240 pi2620 pi 2620
ro948 raclopride fallypride dasb cimbi 36 pk11195 pbr28 dpa714 dpa 714 er176 ucb j ucbj water
ammonia rubidium acetate psma dotatate dotatoc dotanoc fes naf flumazenil way100635 way 100635
az10419369 sb207145 altanserin
"""
_NUCLIDES = "c11 n13 o15 f18 cu64 ga68 rb82 zr89 i124 11c 13n 15o 18f 64cu 68ga 82rb 89zr 124i"
_TERMS = {
    "Manufacturer": _MAKERS,
    "ManufacturersModelName": _MAKERS + _MODELS,
    "ImageType": _IMAGE_TYPES,
    "Modality": "mr ct pt",
    "MRAcquisitionType": "1d 2d 3d",
    "PulseSequenceType": """
        mprage spgr fspgr flash bravo tfe ffe tse fse se gre ir flair space cube vista vibe haste
        spin gradient echo turbo fast spoiled inversion recovery prepared magnetization 2d 3d""",
    "ScanningSequence": "se ir gr ep rm",
    "SequenceVariant": "sk mtc ss trss sp mp osp none",
    "ScanOptions": "per rg cg ppg fc pff pfp sp fs none",
    "ContrastBolusIngredient": "iodine gadolinium carbon dioxide barium xenon",
    "ConvolutionKernel": "standard soft bone detail lung edge smooth sharp brain head none",
    "Units": _UNITS,
    "TracerName": _TRACERS,
    "TracerRadionuclide": _NUCLIDES,
    "InjectedRadioactivityUnits": _UNITS,
    "InjectedMassUnits": _UNITS,
    "SpecificRadioactivityUnits": _UNITS,
    "ModeOfAdministration": "bolus infusion and constant",
    "AcquisitionMode": "list mode listmode static dynamic gated whole body step shoot and 2d 3d",
    "ReconMethodName": _RECONSTRUCTIONS,
    "ReconMethodParameterLabels": """
        subsets subset iterations iteration none lower upper energy threshold zoom""",
    "ReconMethodParameterUnits": _UNITS,
    "ReconFilterType": _FILTERS,
    "AttenuationCorrection": _CORRECTIONS,
}
_WORDS = {key: frozenset(words.split()) for key, words in _TERMS.items()}
_LIMITS = {**dict.fromkeys(_NUMBERS.split(), _MOST), **dict.fromkeys(_AMOUNTS.split(), math.inf)}
SIDECAR_KEYS = frozenset({*_WORDS, *_LIMITS, *_FLAGS.split()})
"""Keys of sidecars that are passed on if their value is of the key's kind."""


def allowed_sidecar(content: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a sidecar that may be written, in the order of the alphabet.

    A value, or each of a list, is what its key asks for: a finite number, which is below 100,000
    unless it tells an amount of tracer; yes or no; or a text made of known words of that key alone.
    Other values are left out: no name, date or sentence can be made of these.

    Parameters
    ----------
    content : mapping
        A sidecar in the words of BIDS, wherever it comes from.
    """
    keys = sorted(SIDECAR_KEYS & content.keys())
    return {key: content[key] for key in keys if _is_plain(key, content[key])}


def _is_plain(key: str, value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(key, entry) for entry in value)
    if isinstance(value, str):
        words = re.findall(r"[^\W_]+", value.casefold())
        return bool(words) and _WORDS.get(key, frozenset()).issuperset(words)
    if isinstance(value, bool):
        return key in _FLAGS.split()
    return isinstance(value, int | float) and abs(value) < _LIMITS.get(key, 0)


def allowed_participant(row: Mapping[str, str]) -> dict[str, str]:
    """The columns on a participant that may be written; empty values are left out."""
    return {name: row[name] for name in PARTICIPANT_COLUMNS if row.get(name)}


def allowed_header(header: nib.Nifti1Header | None) -> nib.Nifti1Header | None:
    """A new header with the fields of `HEADER_FIELDS`; unknown units of space become mm.

    Description, names, intent and header extensions are free text and stay behind.
    """
    if header is None:
        return None
    import nibabel as nib

    clean: Any = nib.Nifti1Header()
    for field in HEADER_FIELDS:
        clean[field] = header[field]
    try:
        space, time = clean.get_xyzt_units()
    except KeyError:  # a number that stands for no unit
        space, time = "unknown", "unknown"
    clean.set_xyzt_units("mm" if space == "unknown" else space, time)
    return clean
