"""Apply a trained model to scans that belong to no study.

Apart from `crossmod.synthesis`, so that an edit of preprocessing does not count as an edit of the
study's synthesis stage, which takes preprocessed sessions as they are.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from crossmod.bids_dataset import sidecar_path
from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.errors import ContractError, InputError
from crossmod.files import write_json
from crossmod.io import read_header, write_image
from crossmod.methods import declaration
from crossmod.paths import PreprocessedPaths
from crossmod.provenance import cohort_scale, sidecar
from crossmod.settings import Modality
from crossmod.slices import make_store
from crossmod.status import log_done, write_status
from crossmod.synthesis import PreparedSession, deliver, predict

if TYPE_CHECKING:
    from crossmod.training.checkpoint import LoadedModel

KEY = "sub-new"


def synthesize_scans(
    checkpoint: Path,
    scans: Mapping[Modality, Path],
    output: Path,
    work_dir: Path | None = None,
) -> None:
    """Make the missing scan of a new subject.

    Parameters
    ----------
    checkpoint : path
        Trained model.
    scans : mapping of modality to path
        The sources that the model needs (some of them, if its method is content with that), no
        others.
    output : path
        NIfTI file to write, on the reference scan's own grid; a `.json` sidecar lies beside it.
    work_dir : path, optional
        Folder for intermediate files, which are removed; by default the system's.

    Raises
    ------
    ContractError
        If the model cannot be used, or the scans are not those it needs.
    InputError
        If a scan cannot be used, or the output would overwrite an input.
    """
    _check_output(output, [checkpoint, *scans.values()])
    from crossmod.training.checkpoint import load_model

    model = load_model(checkpoint)
    _check_sources(model, checkpoint, scans)
    with tempfile.TemporaryDirectory(prefix="crossmod-", dir=work_dir) as folder:
        session = _prepare(model, checkpoint, scans, Path(folder))
        volume = predict(model, session)
        header: Any = read_header(scans[session.reference]).header
        image = deliver(volume, session, cohort_scale(model), header)
        content = sidecar(model, session.status, "synthetic")
    write_image(output, image, description=f"synthetic {model.contract.target}")
    write_json(sidecar_path(output), content)


def _check_output(output: Path, inputs: list[Path]) -> None:
    if not output.name.endswith((".nii", ".nii.gz")):
        raise InputError(output, "is no NIfTI name", "end it with .nii.gz")
    if output.is_dir():
        raise InputError(output, "is a folder", "name a file")
    taken = {path.resolve() for path in inputs}
    for path in (output, sidecar_path(output)):
        if path.resolve() in taken:
            raise InputError(path, "would overwrite an input", "choose another output")


def _check_sources(model: LoadedModel, checkpoint: Path, scans: Mapping[Modality, Path]) -> None:
    contract = model.contract
    if not declaration(model.method).serves(contract.sources, scans):
        missing = [name for name in contract.sources if name not in scans]
        problem = f"needs {' and '.join(contract.sources)} to make {contract.target}, "
        problem += f"{' and '.join(missing)} not given"
        remedy = f"add {' '.join(f'--{name.lower()} FILE' for name in missing)}"
        raise ContractError(checkpoint, problem, remedy)
    extra = [name for name in scans if name not in contract.sources]
    if extra:
        problem = f"makes {contract.target} of {' and '.join(contract.sources)} alone"
        raise ContractError(checkpoint, problem, f"leave out --{extra[0].lower()}")


def _prepare(
    model: LoadedModel, checkpoint: Path, scans: Mapping[Modality, Path], folder: Path
) -> PreparedSession:
    """Preprocess and slice new scans as the model's training data were."""
    from crossmod.preprocess.session import Annotations, preprocess_session

    contract = model.contract
    try:
        settings = PreprocessSettings(**contract.preprocess)
    except (ValidationError, TypeError) as error:
        problem = f"was trained on data preprocessed otherwise than this version can ({error})"
        raise ContractError(checkpoint, problem, "train the model again") from None
    paths = PreprocessedPaths(folder / "preprocessed", KEY)
    began = time.monotonic()
    status = preprocess_session(paths, dict(scans), Annotations((), ()), settings)
    log_done(status.stage, KEY, began)
    write_status(paths.status, status)
    for name in contract.sources_in(scans):
        if name not in status.outputs:
            reasons = [status.reason] if status.reason else status.details.get("notes", [])
            problem = f"could not be preprocessed ({'; '.join(reasons)})"
            raise InputError(scans[cast(Modality, name)], problem, "check the scan")
    manifest_file = folder / "slices" / f"{KEY}_slices.json"
    cut = {"size": contract.size, "fit": contract.fit, "halvings": contract.halvings}
    slicing = SliceSettings.model_validate(cut)
    manifest = make_store(paths.status, manifest_file, slicing, settings)
    if manifest["verdict"] != "ok":
        first = next(iter(scans.values()))
        raise InputError(first, f"cannot be sliced ({manifest['reason']})", "check the scan")
    return PreparedSession.open(paths.status, manifest_file)
