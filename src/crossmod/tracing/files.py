"""The story of one file, for each kind of file that crossmod writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossmod.bids_dataset import sidecar_path
from crossmod.errors import InputError
from crossmod.files import read_json
from crossmod.hashing import hash_file
from crossmod.io import read_header
from crossmod.settings import MODALITIES
from crossmod.spatial import Points, apply
from crossmod.status import read_status
from crossmod.tracing.chain import Row, Session, file_grid, numbers, origin_texts, short
from crossmod.tracing.owner import Owner, check_hash, find_owner, session_of

WIDTH = 14
Voxel = Sequence[int] | None


def trace(path: Path | str, voxel: Voxel = None) -> str:
    """Tell how a file came to be.

    Parameters
    ----------
    path : path
        Volume, mask, transform, slice store, checkpoint or synthetic image of a study.
    voxel : three int, optional
        Also tell where this voxel of a volume lies in the raw scans it was made from.

    Returns
    -------
    str
        Plain text, no line break at the end.

    Raises
    ------
    InputError
        If crossmod did not write the file, it changed since, or something that is needed to tell
        of it is missing.
    ContractError
        If a checkpoint cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "does not exist", "check the path")
    if path.suffix == ".pt":
        return _without_voxel(path, voxel, _checkpoint(path))
    if path.name.endswith(("_slices.json", "_slices.npy")):
        return _without_voxel(path, voxel, _slices(path))
    owner = find_owner(path)
    if owner is None:
        return _without_study(path, voxel)
    stage = owner.status.stage
    if stage not in TOLD_BY:
        problem = f"was written by the stage {stage}, which makes no images"
        raise InputError(path, problem, f"see {owner.status_file.name}")
    return TOLD_BY[stage](path, owner, voxel)


def _without_voxel(path: Path, voxel: Voxel, text: str) -> str:
    if voxel is not None:
        raise InputError(path, "is no volume", "leave out --voxel")
    return text


def _section(title: str, rows: Sequence[Row]) -> str:
    return "\n".join([title, *(f"  {name:{WIDTH}} {text}".rstrip() for name, text in rows)])


def _joined(sections: Sequence[str]) -> str:
    return "\n\n".join(sections)


def _index(path: Path, voxel: Sequence[int]) -> Points:
    """A voxel of a file as numbers."""
    shape = read_header(path).shape
    if any(not 0 <= i < n for i, n in zip(voxel, shape, strict=True)):
        problem = f"has no voxel {' '.join(map(str, voxel))}, but {' x '.join(map(str, shape))}"
        raise InputError(path, problem, "count from 0")
    return np.array(voxel, dtype=np.float64)


def _world(path: Path, index: Points) -> Points:
    place: Points = apply(read_header(path).affine, index[None])[0]
    return place


def _voxel_section(voxel: Sequence[int], rows: Sequence[Row]) -> str:
    return _section(f"voxel {' '.join(map(str, voxel))}", rows)


def _preprocessed(path: Path, owner: Owner, voxel: Voxel) -> str:
    session, name = Session(owner), owner.output
    if name == "quality":
        problem = "holds measures of quality control, no image"
        raise InputError(path, problem, "see docs/how-to/check-preprocessing.md")
    if name.startswith("xfm-"):
        return _without_voxel(path, voxel, _transform(path, owner))
    if name == "figure" or name.startswith("picture-"):
        return _without_voxel(path, voxel, _figure(path, owner))
    title = f"{path.name}, {short(owner.status.outputs[name]['sha256'])}"
    key, reference = owner.status.session, owner.detail("reference")
    modality, sources = name.removeprefix("fov-"), [name]
    on_grid = [("grid", file_grid(path)), ("space", session.space_text())]
    if name in MODALITIES:
        text, rows = f"preprocessed {name} of {key}", session.scan_rows(name)
    elif name == "brain":
        how = "at least half a voxel after linear interpolation"
        found = ("mask", f"{session.mask_text()}; {how}")
        rows = [found, *session.transform_rows(reference), *on_grid]
        text, sources = f"brain mask of {key}", [reference]
    elif name == "lesion":
        text = f"union of all lesion labels of {key}, each by nearest neighbor"
        rows, sources = on_grid, list(owner.detail("raw"))
    else:
        text = f"voxels of the brain of {key} that {modality} covers"
        rows, sources = session.scan_rows(modality)[:-2], [modality]
    sections = [f"{title}\n{text}", _section("from", rows)]
    if voxel is not None:
        world = _world(path, _index(path, voxel))
        place = ("world", f"{numbers(world)} mm (RAS)")
        sections.append(_voxel_section(voxel, [place, *session.place_rows(sources, world)]))
    return _joined(sections)


def _transform(path: Path, owner: Owner) -> str:
    content: dict[str, Any] = read_json(sidecar_path(path), "run the study again")
    title = f"{path.name}, {short(owner.status.outputs[owner.output]['sha256'])}"
    text = f"{content['Type']} transform of {owner.status.session}"
    rows = [("direction", content["Direction"]), ("coordinates", content["Coordinates"])]
    for end, file in content["EstimatedOn"].items():
        rows.append((end.lower(), f"{file['Name']}, {short(file['SHA256'])}"))
    if not content["EstimatedOn"]:
        rows.append(("estimated", "nothing: the headers were trusted"))
    software = ", ".join(f"{name} {version}" for name, version in content["Software"].items())
    return _joined([f"{title}\n{text}", _section("from", [*rows, ("software", software)])])


def _figure(path: Path, owner: Owner) -> str:
    title = f"{path.name}, {short(owner.status.outputs[owner.output]['sha256'])}"
    one = owner.output.removeprefix("picture-")
    names = ", ".join(m for m in MODALITIES if m in owner.status.outputs and one in (m, "figure"))
    return f"{title}\npicture of {names} of {owner.status.session} on the common grid"


def _model_rows(content: dict[str, Any]) -> list[Row]:
    model = content["Model"]
    return [
        ("method", model["Method"]),
        ("checkpoint", short(model["SHA256"])),
        ("settings", f"{model['SettingsHash']}, split {model['SplitHash']}"),
        ("code", f"{model['Code']} trained, {content['CodeHash']} synthesized"),
    ]


def _synthetic(path: Path, owner: Owner, voxel: Voxel) -> str:
    content: dict[str, Any] = read_json(sidecar_path(path), "synthesize it again")
    key, sources = owner.status.session, owner.status.details["sources"]
    wanted = set(content["SourcesSHA256"])
    found = session_of(path, key, content["Model"]["PreprocessHash"], wanted)
    session = Session(found)
    title = f"{path.name}, {short(owner.status.outputs[owner.output]['sha256'])}"
    text = f"synthetic {content['Modality']} of {key}, made by a model, not acquired"
    sections = [f"{title}\n{text}", _section("model", _model_rows(content))]
    sections += [_section(f"source {name}", session.scan_rows(name)) for name in sources]
    delivered = owner.output == "synthetic"
    sections.append(_section("result", _result_rows(path, content, session, delivered)))
    if voxel is not None:
        index = _index(path, voxel)
        world = session.from_delivered(index) if delivered else _world(path, index)
        rows = [("world", f"{numbers(_world(path, index))} mm (RAS)")]
        rows += [("common", f"{numbers(world)} mm (RAS) of the common grid")] if delivered else []
        sections.append(_voxel_section(voxel, [*rows, *session.place_rows(sources, world)]))
    return _joined(sections)


def _without_study(path: Path, voxel: Voxel) -> str:
    """An image of `crossmod synthesize`, of which nothing but the sidecar was kept."""
    beside = sidecar_path(path)
    content: dict[str, Any] = read_json(beside) if beside.is_file() else {}
    if "Model" not in content:
        problem = "is listed by no status file of crossmod"
        raise InputError(path, problem, "name a file that crossmod wrote, where it wrote it")
    if voxel is not None:
        problem = "was made outside of a study, which keeps no transforms"
        raise InputError(path, problem, "leave out --voxel")
    files = zip(content["Sources"], content["SourcesSHA256"], strict=True)
    sources = [("raw scan", f"{name}, {short(sha256)}") for name, sha256 in files]
    low, high = content["Scale"]["Low"], content["Scale"]["High"]
    result = [
        ("grid", f"{file_grid(path)}, that of {content['SpatialReference']}"),
        *_scale_rows(low, high),
    ]
    text = f"synthetic {content['Modality']}, made by a model, not acquired; not of a study"
    sections = [f"{path.name}, {short(hash_file(path))}\n{text}"]
    sections.append(_section("model", _model_rows(content)))
    return _joined([*sections, _section("from", sources), _section("result", result)])


def _scale_rows(low: float, high: float) -> list[Row]:
    width = high - low
    return [
        ("scale", f"value x {width:.6g} + {low:.6g}, of the training cohort; 0 outside"),
        ("back", f"(intensity - {low:.6g}) / {width:.6g}"),
    ]


def _converted(path: Path, owner: Owner, voxel: Voxel) -> str:
    title = f"{path.name}, {short(owner.status.outputs[owner.output]['sha256'])}"
    rows = [("", text) for text in origin_texts(owner.status, owner.output)]
    rows.append(("grid", file_grid(path)))
    sections = [f"{title}\n{owner.output} of {owner.status.session}", _section("from", rows)]
    if voxel is not None:
        place = numbers(_world(path, _index(path, voxel)))
        sections.append(_voxel_section(voxel, [("world", f"{place} mm (RAS)")]))
    return _joined(sections)


def _result_rows(
    path: Path, content: dict[str, Any], session: Session, delivered: bool
) -> list[Row]:
    if not delivered:
        return [("grid", f"{file_grid(path)}, the common one"), ("values", "0 to 1, 0 outside")]
    reference, scale = session.owner.detail("reference"), content["Scale"]
    back = session.transform_rows(reference)
    if back[0][1].startswith("1."):
        back = [("way back", "through the inverse of"), *(("", text) for _, text in back)]
    return [
        ("grid", f"{file_grid(path)}, that of the raw {reference} scan"),
        *back,
        ("interpolated", "linear inside the brain; thick slices take the mean across them"),
        *_scale_rows(scale["Low"], scale["High"]),
    ]


TOLD_BY = {"ingest": _converted, "preprocess": _preprocessed, "synthesize": _synthetic}


def _slices(path: Path) -> str:
    manifest_file = path.with_suffix(".json")
    manifest: dict[str, Any] = read_json(manifest_file, "slice the session again")
    array = manifest_file.with_suffix(".npy")
    if not array.is_file():
        raise InputError(array, "is gone", "slice the session again")
    check_hash(array, manifest["sha256"], manifest_file)
    key, settings = manifest["session"], manifest["preprocessed"]["hash"]
    folder = manifest_file.parent.parent / f"preproc-{settings}"
    status_file = folder / f"{key}_desc-preproc_status.json"
    session = Session(Owner(read_status(status_file), status_file))
    geometry = manifest["geometry"]
    last = manifest["first_slice"] + manifest["shape"][1] - 1
    rows = [
        ("array", f"{' x '.join(map(str, manifest['shape']))} {manifest['dtype']}: "
         "modality, slice, x, y"),
        ("slices", f"axial, {manifest['first_slice']} to {last} of the common grid"),
        ("pixels", f"from {geometry['crop_start']}, halved {geometry['halvings']} times"),
    ]  # fmt: skip
    sections = [f"{path.name}, {short(hash_file(path))}\nslices of {key}", _section("cut", rows)]
    sections += [_section(f"of {name}", session.scan_rows(name)) for name in manifest["modalities"]]
    return _joined(sections)


def _checkpoint(path: Path) -> str:
    from crossmod.data.contract import DataContract
    from crossmod.training.checkpoint import read

    content = read(path)
    if "contract" not in content or "method" not in content:
        raise InputError(path, "is no model", "name the checkpoint.pt of a run")
    contract = DataContract.from_dict(content["contract"], where=str(path))
    low, high = contract.cohort[contract.target]
    rows = [
        ("makes", f"{contract.target} of {' and '.join(contract.sources)}"),
        ("method", content["method"]),
        ("preprocessed", f"settings {contract.preprocess_hash}, space {contract.space}"),
        ("split", contract.split),
        ("scale", f"0 and 1 stand for {low:.6g} and {high:.6g} of the training cohort"),
        ("code", contract.code),
    ]
    return _section(f"{path.name}, {short(hash_file(path))}", rows)
