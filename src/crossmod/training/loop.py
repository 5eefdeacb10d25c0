"""The one training loop, for all methods; read it from top to bottom.

    request -> data -> method -> epochs of steps -> validation -> resume state -> checkpoint

Devices, precision and several GPUs are Lightning Fabric's. What a step is, is the method's. The
loop asks one thing of a method: whether it learns by steps or is fitted at once.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from crossmod.data.contract import DataContract
from crossmod.data.dataset import Shuffle, SliceDataset
from crossmod.errors import ConfigError
from crossmod.methods import declaration
from crossmod.methods.base import ClassicalMethod, GradientMethod, Inputs, Method
from crossmod.methods.registry import build
from crossmod.training import checkpoint, resume
from crossmod.training.curve import Curve
from crossmod.training.reading import BatchReader
from crossmod.training.request import TrainRequest, make_contract
from crossmod.training.resume import Progress
from crossmod.training.seeding import make_deterministic, seed_everything
from crossmod.training.validation import validation_psnr

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["TrainRequest", "train"]

SAVE_EVERY_S = 20.0
FIT_BATCH = 16


@dataclass(frozen=True)
class Job:
    """A request with its data opened.

    Attributes
    ----------
    request : TrainRequest
        What to train.
    contract : DataContract
        What the model will be good for.
    training, validation : SliceDataset
        Data.
    resume_dir : path
        Where the resume state lies.
    """

    request: TrainRequest
    contract: DataContract
    training: SliceDataset
    validation: SliceDataset
    resume_dir: Path

    @property
    def inputs(self) -> Inputs:
        """What the method is built for."""
        return Inputs(self.contract.sources, self.contract.context, self.contract.size)

    def new_method(self) -> Method:
        """The method, weights drawn from the seed."""
        seed_everything(self.request.seed)
        return build(self.request.method, self.request.model["settings"], self.inputs)


def train(request: TrainRequest, output: Path, curve: Path, resume_dir: Path) -> None:
    """Train or fit one model.

    Parameters
    ----------
    request : TrainRequest
        What to train.
    output : path
        Checkpoint to write.
    curve : path
        Table of losses and validation scores to write.
    resume_dir : path
        Folder of the resume state; removed when the training is complete. A training killed at
        any moment goes on from there, on a CPU to the same bits.

    Raises
    ------
    CrossmodError
        If the settings or the data cannot be trained on.
    """
    job = open_job(request, resume_dir)
    print(
        f"{request.method}: {request.task.id}, {len(job.training)} slices of "
        f"{len(job.training.members)} sessions, {len(job.validation.members)} for validation, "
        f"seed {request.seed}",
        file=sys.stderr,
    )
    if declaration(request.method).fitting == "classical":
        _fit(job, output, curve)
    else:
        _launch(job, output, curve)
    shutil.rmtree(resume_dir, ignore_errors=True)


def open_job(request: TrainRequest, resume_dir: Path) -> Job:
    """Open the data of a request.

    Raises
    ------
    CrossmodError
        If there is no session to train on, or the sessions do not belong together.
    """
    settings = request.training
    training = SliceDataset(request.train_manifests, request.task, settings)
    manifests, standard = request.validation_manifests, training.standard
    validation = SliceDataset(manifests, request.task, settings, "validation", standard)
    contract = make_contract(request, training, validation)
    return Job(request, contract, training, validation, resume_dir)


def _fit(job: Job, output: Path, curve_path: Path) -> None:
    """Fit once; validate once."""
    method = cast(ClassicalMethod, job.new_method())
    method.fit(job.training.passes(FIT_BATCH))
    curve = Curve(epochs=1)
    if job.validation.members:
        curve.add(1, 1, "validation", {"psnr": validation_psnr(method, job.validation, "cpu")})
    curve.show(1, len(job.training))
    _write_outputs(job, method.state_dict(), kept_epoch=1, output=output)
    curve.write(curve_path)


def _launch(job: Job, output: Path, curve_path: Path) -> None:
    """Start one process per device and train."""
    # Imported here: it takes seconds, which fitting at once and synthesis need not pay.
    from lightning_fabric import Fabric

    settings = job.request.training
    if settings.keep == "best" and not job.validation.members:
        problem = "is 'best', but there is no validation session to judge by"
        raise ConfigError("training.keep", problem, "set split.validation, or keep 'last'")
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        # Spawned from here rather than from the command line: the stage's lock is held once.
        strategy="ddp_spawn" if settings.devices > 1 else "auto",
        precision=settings.precision,
    )
    fabric.launch(partial(_run, job=job, output=output, curve_path=curve_path))


def _run(fabric: Fabric, job: Job, output: Path, curve_path: Path) -> None:
    """Train on one of the devices, from start or resume state to checkpoint."""
    settings = job.request.training
    make_deterministic(fabric.device.type)
    method = set_up(fabric, job)
    shuffle = Shuffle(len(job.training), job.request.seed, settings.batch_size * fabric.world_size)
    reader = BatchReader(job.training, shuffle, fabric.global_rank, fabric.world_size)
    steps = settings.steps_per_epoch or -(-shuffle.length // shuffle.batch_size)
    progress = resume.load(job.resume_dir, job.request.hash, fabric, method)
    curve = Curve(settings.epochs, progress.rows)
    saved = time.monotonic()
    for epoch in range(progress.epochs_done, settings.epochs):
        seed_everything(job.request.seed, epoch, fabric.global_rank)
        method.begin_epoch(epoch)
        factor = method.learning_rate_factor(epoch, settings.epochs)
        for optimizer in method.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        losses = train_epoch(fabric, method, reader, range(epoch * steps, (epoch + 1) * steps))
        progress.epochs_done = done = epoch + 1
        curve.add(done, done * steps, "train", losses)
        _check_finite(losses, done)
        if fabric.is_global_zero:
            if done % settings.validate_every == 0 or done == settings.epochs:
                _validate(fabric, job, method, progress, curve)
            if time.monotonic() - saved >= SAVE_EVERY_S and done < settings.epochs:
                resume.save(job.resume_dir, job.request.hash, fabric, method, progress)
                saved = time.monotonic()
            curve.show(done, steps * shuffle.batch_size, reader.waited_s)
        fabric.barrier()
    if fabric.is_global_zero:
        best = settings.keep == "best"
        weights = progress.best_weights if best else method.state_dict()
        kept_epoch = progress.best_epoch if best else settings.epochs
        _write_outputs(job, weights, kept_epoch, output)
        curve.write(curve_path)


def set_up(fabric: Fabric, job: Job) -> GradientMethod:
    """The method on its device, networks and optimizers wrapped by Fabric."""
    settings = job.request.training
    method = cast(GradientMethod, job.new_method())
    optimizers = method.make_optimizers()
    for name, network in method.networks.items():
        if settings.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile and fabric.device.type != "cpu":
            network = cast(torch.nn.Module, torch.compile(network))
        method.networks[name], method.optimizers[name] = fabric.setup(network, optimizers[name])
    method.backward = fabric.backward
    return method


def train_epoch(
    fabric: Fabric, method: GradientMethod, reader: BatchReader, steps: range
) -> dict[str, float]:
    """Take `steps`; mean losses over steps and devices."""
    sums: dict[str, Tensor] = {}
    for batch in reader.batches(steps):
        for name, loss in method.training_step(fabric.to_device(batch)).items():
            # Summed on the device: to read a value, the host would have to wait for it.
            sums[name] = sums[name] + loss if name in sums else loss
    totals = {name: cast(Tensor, fabric.all_reduce(total)) for name, total in sums.items()}
    return {name: float(total) / len(steps) for name, total in totals.items()}


def _check_finite(losses: dict[str, float], epoch: int) -> None:
    """Stop a training that has diverged, before it costs more hours."""
    wrong = [name for name, value in losses.items() if not math.isfinite(value)]
    if wrong:
        problem = f"the losses {', '.join(wrong)} became infinite or NaN in epoch {epoch}"
        raise ConfigError("training", problem, "lower learning_rate or use precision 32-true")


def _validate(
    fabric: Fabric, job: Job, method: GradientMethod, progress: Progress, curve: Curve
) -> None:
    """Score whole volumes, if there are any; remember the best weights if they will be kept."""
    if not job.validation.members:
        return
    psnr = validation_psnr(method, job.validation, fabric.device)
    step = curve.rows[-1][1]
    curve.add(progress.epochs_done, step, "validation", {"psnr": psnr})
    if job.request.training.keep == "best" and psnr > progress.best_psnr:
        progress.best_psnr, progress.best_epoch = psnr, progress.epochs_done
        progress.best_weights = checkpoint.on_cpu(method.state_dict())


def _write_outputs(
    job: Job, weights: dict[str, dict[str, Tensor]], kept_epoch: int, output: Path
) -> None:
    """Write the checkpoint."""
    request = job.request
    gradient = declaration(request.method).fitting == "gradient"
    checkpoint.write(
        output,
        {
            "format": checkpoint.FORMAT,
            "method": request.method,
            "settings": request.model["settings"],
            "training": request.model.get("training", {}),
            "contract": job.contract.to_dict(),
            "seed": request.seed,
            "epochs": request.training.epochs if gradient else 1,
            "kept_epoch": kept_epoch,
            "code": job.contract.code,
            "weights": checkpoint.on_cpu(weights),
        },
    )
