"""Training speed in slices/s by method, width, size, batch size, precision and layout.

    python benchmarks/train_speed.py --threads 1 --widths 8 16 --sizes 64 96
    python benchmarks/train_speed.py --device cuda --widths 64 --sizes 256 --batches 4 16 32 \
        --precisions 32-true bf16-mixed --channels-last 0 1

Steps are taken on random slices that already lie in memory: what reading costs, the progress lines
of `crossmod train` show. The median of some steps is given, after some to warm up.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import time

import torch
from lightning_fabric import Fabric

from crossmod.methods.base import GradientMethod, Inputs
from crossmod.methods.registry import build

COLUMNS = ("method", "width", "size", "batch", "precision", "channels_last", "slices/s", "MB")


def measure(
    fabric: Fabric, method: GradientMethod, batch: dict[str, torch.Tensor], steps: int
) -> tuple[float, float]:
    """Slices/s, and peak memory of the device in MB (0 on a CPU)."""
    cuda = fabric.device.type == "cuda"
    durations = []
    for step in range(steps + 3):
        began = time.perf_counter()
        method.training_step(batch)
        if cuda:
            torch.cuda.synchronize()
        if step >= 3:
            durations.append(time.perf_counter() - began)
    memory = torch.cuda.max_memory_allocated() / 1e6 if cuda else 0.0
    return len(batch["source"]) / statistics.median(durations), memory


def prepare(options: argparse.Namespace, case: tuple) -> tuple[Fabric, GradientMethod, dict]:
    """One configuration, ready to step."""
    name, width, size, batch_size, precision, channels_last = case
    fabric = Fabric(accelerator=options.device, devices=1, precision=precision)
    fabric.launch()
    inputs = Inputs(("T1w", "T2w"), 0, size)
    method = build(name, {"width": width}, inputs)
    assert isinstance(method, GradientMethod)
    optimizers = method.make_optimizers()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for key, network in method.networks.items():
        network = network.to(memory_format=layout)
        if options.compile:
            network = torch.compile(network)
        method.networks[key], method.optimizers[key] = fabric.setup(network, optimizers[key])
    method.backward = fabric.backward
    source = torch.rand(batch_size, inputs.channels, size, size).contiguous(memory_format=layout)
    batch = {"source": source, "target": torch.rand(batch_size, 1, size, size)}
    return fabric, method, fabric.to_device(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["unet", "pix2pix"])
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--batches", type=int, nargs="+", default=[4])
    parser.add_argument("--precisions", nargs="+", default=["32-true"])
    parser.add_argument("--channels-last", type=int, nargs="+", default=[0], choices=(0, 1))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    where = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor()
    print(f"torch {torch.__version__}, {options.device} {where}, {options.threads} threads")
    print("\t".join(COLUMNS))
    cases = itertools.product(
        options.methods,
        options.widths,
        options.sizes,
        options.batches,
        options.precisions,
        options.channels_last,
    )
    for case in cases:
        fabric, method, batch = prepare(options, case)
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        speed, memory = measure(fabric, method, batch, options.steps)
        print("\t".join([*(str(value) for value in case), f"{speed:.1f}", f"{memory:.0f}"]))


if __name__ == "__main__":
    main()
