"""From a trained model and preprocessed sessions to synthetic volumes on two grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from crossmod.bids_dataset import sidecar_path
from crossmod.data.store import Store, context_channels
from crossmod.delivery import resample_brain
from crossmod.errors import ContractError, InputError
from crossmod.files import write_json
from crossmod.intensity import Normalizer
from crossmod.io import Image, header_from, read_image, write_image
from crossmod.methods import declaration
from crossmod.paths import synthetic_volume
from crossmod.planes import to_volume
from crossmod.provenance import cohort_scale, describe_synthetic, sidecar
from crossmod.settings import Modality
from crossmod.slices import covered_brain, normalize
from crossmod.spatial import inverted
from crossmod.status import Status, describe_outputs, guarded, read_status, write_batch
from crossmod.stored_transforms import to_raw

if TYPE_CHECKING:
    from crossmod.training.checkpoint import LoadedModel

STAGE = "synthesize"


@dataclass(frozen=True)
class PreparedSession:
    """One preprocessed session, opened.

    Attributes
    ----------
    status : Status
        What preprocessing says.
    status_file : path
        Where it says so.
    store : Store
        Slices of the same session.
    brain : Image
        Brain mask on the common grid, bool.
    """

    status: Status
    status_file: Path
    store: Store
    brain: Image

    @classmethod
    def open(cls, status_file: Path, manifest_file: Path) -> PreparedSession:
        """Open both sides of a session.

        Raises
        ------
        InputError
            If preprocessing or slicing failed (with their reason), or the two do not belong
            together.
        """
        status, store = read_status(status_file), Store.open(manifest_file)
        if status.session != store.session:
            problem = f"belongs to {store.session}, not to {status.session}"
            raise InputError(manifest_file, problem, "give both lists in the same order")
        if not status.ok or not store.ok:
            reason = status.reason or store.reason
            raise InputError(status.session, f"failed before ({reason})", "mend that first")
        mask = read_image(status.path("brain", status_file), dtype=np.uint8)
        if mask.data.shape != store.geometry.volume_shape:
            problem = "is not made from the volumes that the status lists"
            raise InputError(manifest_file, problem, "delete it and slice again")
        return cls(status, status_file, store, mask.with_data(mask.data > 0))

    @property
    def reference(self) -> Modality:
        """Modality whose grid synthetic images are delivered on."""
        return cast(Modality, self.status.details["reference"])


def synthesize_batch(
    checkpoint: Path,
    sessions: Sequence[tuple[Path, Path]],
    output_root: Path,
    status_file: Path,
    batch_size: int = 16,
) -> list[Status]:
    """Synthesize the target of one model for a batch of sessions.

    Parameters
    ----------
    checkpoint : path
        Trained model.
    sessions : sequence of (path, path)
        Status file of preprocessing and manifest of the slice store, one pair per session.
    output_root : path
        Derivative that takes the images, at or below the folder of `status_file`.
    status_file : path
        Batch status to write.
    batch_size : int
        Slices per call of the network.

    Returns
    -------
    list of Status
        In the order of `sessions`; `outputs` of one that went well are `normalized` and
        `synthetic`.

    Raises
    ------
    ContractError
        If the checkpoint cannot be used.
    InputError
        If a status file or manifest is missing or malformed.
    """
    from crossmod.training.checkpoint import load_model

    model = load_model(checkpoint)
    write_json(output_root / "dataset_description.json", describe_synthetic(model))
    statuses = []
    for preprocessed, manifest in sessions:
        key = read_status(preprocessed).session

        def work(
            key: str = key, preprocessed: Path = preprocessed, manifest: Path = manifest
        ) -> Status:
            reason = read_status(preprocessed).reason or Store.open(manifest).reason
            if reason:
                return Status(STAGE, key, "failed", reason)
            session = PreparedSession.open(preprocessed, manifest)
            check_contract(model, session)
            paths = _write_session(model, session, output_root, batch_size)
            # Sidecars are no outputs: they name the code, and an edit of a comment there must
            # not have every image scored again.
            outputs = describe_outputs(status_file, paths)
            sources = list(model.contract.sources_in(session.store.modalities))
            details = {"target": model.contract.target, "sources": sources}
            return Status(STAGE, key, outputs=outputs, details=details)

        _remove_outputs(output_root, key, cast(Modality, model.contract.target))
        statuses.append(guarded(STAGE, key, work))
    write_batch(status_file, statuses)
    return statuses


def check_contract(model: LoadedModel, session: PreparedSession) -> None:
    """Refuse a session that does not fit what the model was trained on.

    Raises
    ------
    ContractError
        If a source is missing, or slices or preprocessing differ.
    """
    store, geometry = session.store, session.store.geometry
    where = str(store.path)
    model.contract.check(
        store.modalities, geometry, where, part=declaration(model.method).takes_part
    )
    found = store.manifest["preprocessed"]["hash"]
    if found != model.contract.preprocess_hash:
        problem = f"was preprocessed with settings {found}, "
        problem += f"the model was trained on {model.contract.preprocess_hash}"
        raise ContractError(where, problem, "preprocess with the model's settings")


def predict(
    model: LoadedModel, session: PreparedSession, batch_size: int = 16
) -> NDArray[np.float32]:
    """Synthetic volume on the common grid.

    Parameters
    ----------
    model : LoadedModel
        Model with `resolution` `network` (given the slices of the store) or `native` (given
        whole sections of the common grid, which only models without a fixed size take).
    session : PreparedSession
        Session that fits the model's contract.
    batch_size : int
        Slices per call of the network.

    Returns
    -------
    array, shape (X, Y, Z), float32
        Values in [0, 1], 0 outside the brain mask.
    """
    store, contract = session.store, model.contract
    native = model.resolution == "native"
    if native:
        array = _native_sections(session, contract.sources)
        rows = list(range(len(contract.sources)))
    else:
        array, rows = _source_slices(store, contract.sources)
    # What is made in the standard scale is in the normalized scale of the average training session.
    curves = store.curves(contract.sources, contract.standard)
    count = array.shape[1]
    slices = np.empty((count, *array.shape[2:]), dtype=np.float32)
    for start in range(0, count, batch_size):
        indices = np.arange(start, min(start + batch_size, count))
        channels = context_channels(array, rows, indices, contract.context, curves)
        slices[indices] = model.synthesize(channels)[:, 0]
    values = np.clip((slices + 1) / 2, 0, 1)
    if native:
        volume = np.zeros(session.brain.data.shape, dtype=np.float32)
        volume[..., store.first_slice : store.first_slice + count] = values.transpose(1, 2, 0)
    else:
        volume = to_volume(values, store.geometry, store.first_slice)
    return np.where(session.brain.data, volume, np.float32(0))


def _source_slices(store: Store, sources: Sequence[str]) -> tuple[NDArray[np.floating], list[int]]:
    """Slices (modalities, slices, H, W), and the rows of the sources; 0 for one that is missing."""
    if set(sources) <= set(store.modalities):
        return store.array, store.rows(sources)
    present = [name for name in sources if name in store.modalities]
    array = np.zeros((len(sources), *store.array.shape[1:]), store.array.dtype)
    array[[sources.index(name) for name in present]] = store.array[store.rows(present)]
    return array, list(range(len(sources)))


def _native_sections(session: PreparedSession, sources: Sequence[str]) -> NDArray[np.float32]:
    """Normalized sections (sources, slices, X, Y) of the common grid, the run of the store."""
    store = session.store
    section = slice(store.first_slice, store.first_slice + len(store))
    stacks = []
    for name in sources:
        volume = read_image(session.status.path(name, session.status_file)).data
        covered = covered_brain(session.status, session.status_file, name, session.brain)
        values = normalize(volume[..., section], store.normalizers[name], covered[..., section])
        stacks.append(values.transpose(2, 0, 1))
    return np.stack(stacks)


def deliver(
    volume: NDArray[np.float32],
    session: PreparedSession,
    scale: tuple[float, float],
    header: Any = None,
) -> Image:
    """Bring a synthetic volume onto the grid of the reference scan, in the cohort's scale.

    Parameters
    ----------
    volume : array, shape (X, Y, Z)
        Values in [0, 1] on the common grid, 0 outside the brain.
    session : PreparedSession
        Tells the grids and the transform between them.
    scale : (float, float)
        Intensities that 0 and 1 stand for.
    header : nibabel.Nifti1Header, optional
        Header of the reference scan; by default that of the preprocessed reference, which keeps
        form codes and units.

    Returns
    -------
    Image
        Shape, orientation and affine of the reference scan, float32, 0 outside the brain.
    """
    details, reference = session.status.details, session.reference
    raw = details["raw"][reference]
    raw_affine = np.array(raw["affine"], dtype=np.float64)
    to_common = to_raw(session.status, session.status_file, reference).inverse()
    to_voxel = to_common.following(raw_affine).then(inverted(session.brain.affine))
    shape = tuple(raw["shape"][:3])
    values, inside = resample_brain(volume, session.brain.data, to_voxel, shape)
    data = np.where(inside, Normalizer(*scale).invert(np.clip(values, 0, 1)), np.float32(0))
    if header is None:
        header = header_from(raw["header"])
    return Image(data, raw_affine, header)


def _write_session(
    model: LoadedModel, session: PreparedSession, root: Path, batch_size: int
) -> dict[str, Path]:
    """Write both images and their sidecars; paths of the images by name."""
    key, target = session.status.session, cast(Modality, model.contract.target)
    volume = predict(model, session, batch_size)
    images = {
        "normalized": Image(volume, session.brain.affine, session.brain.header),
        "synthetic": deliver(volume, session, cohort_scale(model)),
    }
    paths = {name: synthetic_volume(root, key, target, name) for name in images}
    for name, image in images.items():
        write_image(paths[name], image, description=f"synthetic {target}")
        write_json(sidecar_path(paths[name]), sidecar(model, session.status, name))
    return paths


def _remove_outputs(root: Path, key: str, target: Modality) -> None:
    """Remove what an earlier run left, so that a session that fails now leaves no image."""
    for kind in ("normalized", "synthetic"):
        image = synthetic_volume(root, key, target, kind)
        for path in (image, sidecar_path(image)):
            path.unlink(missing_ok=True)
