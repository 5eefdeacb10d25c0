"""Training runs where only torch, Fabric and numpy are installed, as on a rented GPU machine."""

import json
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPT = """
import json, sys
from pathlib import Path

refused = set(json.loads(sys.argv[1]))


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            return None
        return self.finder.find_spec(name, path, target)


sys.meta_path = [Without(finder) for finder in sys.meta_path]

from crossmod.settings import TaskSettings
from crossmod.training import checkpoint
from crossmod.training.loop import TrainRequest, train

request = json.loads(sys.argv[2])
out = Path(sys.argv[3])
stores = [Path(store) for store in request["stores"]]
for method, settings in request["methods"].items():
    request = TrainRequest(
        task=TaskSettings(sources=("T1w", "T2w"), target="FLAIR"),
        model={"method": method, "settings": settings, "training": {"epochs": 1}},
        train_manifests=tuple(stores[:2]),
        validation_manifests=tuple(stores[2:]),
        seed=0,
        preprocess={},
    )
    train(request, out / f"{method}.pt", out / f"{method}.tsv", out / "resume")
    checkpoint.load_model(out / f"{method}.pt", device="cpu")
"""


def required(name: str) -> set[str]:
    """A distribution and everything that it requires, directly or not."""
    found, queue = set(), [name]
    while queue:
        name = canonicalize_name(queue.pop())
        if name in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):
            needs = [Requirement(need) for need in requires(name) or ()]
            queue += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return found


def test_training_needs_torch_fabric_and_numpy_alone(stores: list[Path], tmp_path: Path) -> None:
    kept = set().union(*map(required, ("torch", "lightning-fabric", "numpy")))
    refused = [
        module
        for module, owners in packages_distributions().items()
        if module != "crossmod" and not kept & set(map(canonicalize_name, owners))
    ]
    assert {"pydantic", "yaml", "nibabel", "pandas", "scipy", "ants"} <= set(refused)
    networks = ("unet", "pix2pix", "fd-gan", "milr", "sgan")
    methods = {**{name: {"width": 4} for name in networks}, "linear-regression": {}}
    request = {"stores": [str(store) for store in stores], "methods": methods}
    command = [sys.executable, "-c", SCRIPT, json.dumps(refused), json.dumps(request)]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == sorted(methods)
