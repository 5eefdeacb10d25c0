"""Training speed of crossmod's loop against bare PyTorch: python benchmarks/train_throughput.py.

Trains each method on slice stores through crossmod's loop and reader, and in turns (A B A B) in a
bare PyTorch loop: same networks, losses and optimizers, random tensors that lie on the device, no
Fabric, no reader, PyTorch's default algorithms. Other work on the machine hits both, so that the
median of the ratios is steadier than either speed; that of the processor times (`cpu_ratio`) is
steadier still, but misses waiting. The rate of matrix products is measured between the two.

    python benchmarks/train_throughput.py --width 8 --size 96 --batch 4
    python benchmarks/train_throughput.py --accelerator cuda --precision bf16-mixed --batch 16 \
        --channels-last --compile --steps 50 --save throughput.json

Without --width and --size methods have the size of the study seed-brats2015. Where only torch,
Fabric and numpy are installed, give --data the folder that --prepare has written elsewhere.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch

from crossmod.data.dataset import Shuffle
from crossmod.files import write_json
from crossmod.methods import declaration, method_names, settings_class
from crossmod.methods.base import GradientMethod
from crossmod.methods.registry import build
from crossmod.settings import TaskSettings
from crossmod.training.cost import cost
from crossmod.training.loop import open_job, set_up, train_epoch
from crossmod.training.reading import BatchReader
from crossmod.training.request import TrainRequest
from crossmod.training.seeding import make_deterministic

TASK = TaskSettings(sources=("T1w", "T2w"), target="FLAIR")
PAPER_METHODS = ("fd-gan", "pix2pix", "milr", "sgan")
FULL_SIZE = 256
VOLUME_SLICES = 155
SYNTHESIS_BATCH = 16
MATRIX_SECONDS = 0.3

LEAST_RATIO = 0.95
MOST_WAITING = 0.05
PAPER_SPEED = 10_080 / 600  # slices/s of FD-GAN's paper on a GTX 1080 Ti
LEAST_SPEED = 20 * PAPER_SPEED
MOST_SYNTHESIS_S = 1.0

COLUMNS = {
    "method": "{}",
    "slices_per_s": "{:.4g}",
    "bare_slices_per_s": "{:.4g}",
    "ratio": "{:.3f}",
    "cpu_ratio": "{:.3f}",
    "waiting": "{:.2%}",
    "flops_per_s": "{:.3g}",
    "of_matrix_rate": "{:.1%}",
    "peak_mb": "{:.0f}",
    "synthesis_s": "{:.3g}",
}


class Loop:
    """crossmod's loop on slice stores."""

    def __init__(self, name: str, options: argparse.Namespace, folder: Path) -> None:
        # Imported here: it takes seconds that --help and --prepare need not pay.
        from lightning_fabric import Fabric

        self.job = open_job(training_request(name, options, folder), folder / "resume")
        if self.job.contract.size != options.size:
            found = self.job.contract.size
            sys.exit(f"{folder}: holds slices of {found} px; give --size {found}")
        self.fabric = Fabric(
            accelerator=options.accelerator, devices=1, precision=options.precision
        )
        self.fabric.launch()
        make_deterministic(self.fabric.device.type)
        self.method = set_up(self.fabric, self.job)
        shuffle = Shuffle(len(self.job.training), 0, options.batch)
        self.reader = BatchReader(self.job.training, shuffle)
        self.steps_done = 0

    def take(self, steps: int) -> None:
        """Train some steps, as an epoch does."""
        make_deterministic(self.fabric.device.type)
        end = self.steps_done + steps
        train_epoch(self.fabric, self.method, self.reader, range(self.steps_done, end))
        self.steps_done = end


class Bare:
    """The same training as plain PyTorch, on one batch of random numbers."""

    def __init__(self, loop: Loop, options: argparse.Namespace) -> None:
        self.device, request, inputs = loop.fabric.device, loop.job.request, loop.job.inputs
        self.mixed = options.precision == "bf16-mixed"
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        method = cast(GradientMethod, build(request.method, request.model["settings"], inputs))
        for network in method.networks.values():
            network.to(self.device, memory_format=layout)
        method.optimizers = method.make_optimizers()
        if options.compile and self.device.type != "cpu":
            for name, network in method.networks.items():
                method.networks[name] = cast(torch.nn.Module, torch.compile(network))
        method.backward = self._backward
        self.method = method
        shape = (options.batch, inputs.channels, options.size, options.size)
        source = torch.rand(shape, device=self.device).contiguous(memory_format=layout)
        target = torch.rand((options.batch, 1, *shape[2:]), device=self.device)
        self.batch = {"source": 2 * source - 1, "target": 2 * target - 1}

    def _backward(self, loss: torch.Tensor) -> None:
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()

    def take(self, steps: int) -> None:
        """Train some steps."""
        torch.use_deterministic_algorithms(False)
        for _ in range(steps):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                self.method.training_step(self.batch)
        wait_for(self.device)


def training_request(name: str, options: argparse.Namespace, folder: Path) -> TrainRequest:
    """Request for the stores of a folder, training settings as in `seed-brats2015`."""
    own = settings_class(name)(**({"width": options.width} if options.width else {}))
    training = {
        "batch_size": options.batch,
        "slices": "middle",
        "precision": options.precision,
        "channels_last": options.channels_last,
        "compile": options.compile,
    }
    return TrainRequest(
        task=TASK,
        model={"method": name, "settings": own.to_dict(), "training": training},
        train_manifests=tuple(sorted(folder.glob("*_slices.json"))),
        validation_manifests=(),
        seed=0,
        preprocess={},
    )


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that passed, and seconds of processor time."""
    began, began_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - began_cpu


def matrix_rate(device: torch.device, precision: str) -> float:
    """FLOP/s of a product of square matrices in the precision of the convolutions."""
    # cuDNN rounds the factors of a float32 convolution to TF32 by default.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    number = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    left = torch.rand(number, number, device=device).to(dtype)
    products, seconds = 0, 0.0

    def multiply() -> None:
        for _ in range(4):
            left @ left
        wait_for(device)

    multiply()
    while seconds < MATRIX_SECONDS:
        seconds += timed(multiply)[0]
        products += 4
    return 2 * number**3 * products / seconds


def peak_mb(device: torch.device) -> float:
    """Most memory taken so far: on a GPU by tensors, else by this process, programs included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def synthesis_seconds(loop: Loop, options: argparse.Namespace) -> float:
    """Seconds of the network for a volume of 155 slices, from host to host."""
    shape = (options.volume_slices, loop.job.inputs.channels, options.size, options.size)
    source = 2 * torch.rand(shape) - 1

    def synthesize() -> None:
        for part in source.split(SYNTHESIS_BATCH):
            loop.method.synthesize(part.to(loop.fabric.device)).cpu()

    synthesize()
    return timed(synthesize)[0] * VOLUME_SLICES / options.volume_slices


def take_turns(loop: Loop, bare: Bare, flops: int, options: argparse.Namespace) -> dict[str, float]:
    """One turn of each loop; `flops` of a training slice."""
    slices = options.steps * options.batch
    waited = loop.reader.waited_s
    ours, ours_cpu = timed(lambda: loop.take(options.steps))
    waited = loop.reader.waited_s - waited
    rate = matrix_rate(loop.fabric.device, options.precision)
    theirs, theirs_cpu = timed(lambda: bare.take(options.steps))
    return {
        "slices_per_s": slices / ours,
        "bare_slices_per_s": slices / theirs,
        "ratio": theirs / ours,
        "cpu_ratio": theirs_cpu / ours_cpu,
        "waiting": waited / ours,
        "flops_per_s": flops * slices / ours,
        "of_matrix_rate": flops * slices / ours / rate,
    }


def measure(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything about one method, in a process of its own."""
    torch.set_num_threads(options.threads)
    loop = Loop(name, options, folder)
    device, model = loop.fabric.device, loop.job.request.model
    loop.take(options.warm_up)
    memory = peak_mb(device)  # before the bare networks are there
    bare = Bare(loop, options)
    bare.take(options.warm_up)
    flops = cost(model, len(TASK.sources), options.size)["flops_per_training_slice"]
    turns = [take_turns(loop, bare, flops, options) for _ in range(options.repeats)]
    return {
        "method": name,
        "width": model["settings"]["width"],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "flops_per_training_slice": flops,
        **{key: statistics.median(turn[key] for turn in turns) for key in turns[0]},
        "ratios": [turn["ratio"] for turn in turns],
        "peak_mb": memory,
        "synthesis_s": synthesis_seconds(loop, options),
    }


def targets(found: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """What one method should reach; `met` is None where this run cannot tell."""
    name = found["method"]
    own_width = settings_class(name)().to_dict()["width"]
    full = found["width"] == own_width and options.size == FULL_SIZE and found["device"] != "cpu"
    mixed = full and options.precision == "bf16-mixed"
    rows = [
        ("share of the bare loop's speed, at least", "ratio", LEAST_RATIO, True),
        ("share of time waiting for data, less than", "waiting", MOST_WAITING, True),
        ("seconds for a volume, GPU, full size, less than", "synthesis_s", MOST_SYNTHESIS_S, full),
    ]
    if name == "fd-gan":
        text = "slices/s, GPU, full size, bf16-mixed, at least"
        rows.append((text, "slices_per_s", LEAST_SPEED, mixed))
    result = []
    for text, key, limit, tells in rows:
        reached = found[key] >= limit if text.endswith("at least") else found[key] < limit
        met = reached if tells else None
        values = {"value": found[key], "limit": limit, "met": met}
        result.append({"method": name, "target": text, **values})
    return result


def show_targets(goals: list[dict[str, Any]]) -> None:
    words = {True: "met", False: "not met", None: "open: not measured by this run"}
    for goal in goals:
        value = "" if goal["met"] is None else f" ({goal['value']:.4g})"
        print(f"{goal['method']}: {goal['target']} {goal['limit']:g}: {words[goal['met']]}{value}")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = [name for name in method_names() if declaration(name).fitting == "gradient"]
    parser.add_argument("--methods", nargs="+", default=PAPER_METHODS, choices=known)
    parser.add_argument("--width", type=int, help="default: each method's own")
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="pixels along an edge")
    parser.add_argument("--batch", type=int, default=3, help="slices per step")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--accelerator", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch on the CPU")
    parser.add_argument("--compile", action="store_true", help="torch.compile; not on a CPU")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--steps", type=int, default=20, help="per turn of each loop")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before the first turn")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each loop")
    parser.add_argument(
        "--volume-slices",
        type=int,
        default=VOLUME_SLICES,
        help="slices to synthesize; fewer are scaled up to 155",
    )
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="write the stores and stop")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="stores that --prepare wrote")
    parser.add_argument("--save", type=Path, metavar="JSON")
    return parser.parse_args(arguments)


def prepare(folder: Path, size: int) -> None:
    from slice_stores import write_stores  # needs the whole of crossmod, not only training

    write_stores(folder, size)


def run(options: argparse.Namespace, folder: Path) -> None:
    print(f"torch {torch.__version__}, {options.threads} threads, {options.precision}")
    print("\t".join(COLUMNS), flush=True)
    results = []
    for name in options.methods:
        # A process each, so that peak memory is this method's; forked, which saves its imports.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
            found = process.submit(measure, name, options, folder).result()
        print("\t".join(form.format(found[key]) for key, form in COLUMNS.items()), flush=True)
        results.append(found)
    goals = [goal for found in results for goal in targets(found, options)]
    show_targets(goals)
    if options.save:
        known = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
        content = {"torch": torch.__version__, "options": known}
        write_json(options.save, {**content, "results": results, "targets": goals})


def main() -> None:
    options = parse()
    if options.prepare:
        prepare(options.prepare, options.size)
    elif options.data:
        run(options, options.data)
    else:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), options.size)
            run(options, Path(folder))


if __name__ == "__main__":
    main()
