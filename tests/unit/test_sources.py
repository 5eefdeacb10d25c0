from pathlib import Path

import pytest

import crossmod
from crossmod.methods import method_names
from crossmod.sources import PLUMBING, STAGES, closure, stage_sources


def names(stage: str, method: str | None = None) -> set[str]:
    root = Path(crossmod.__file__).parent
    return {Path(path).relative_to(root).as_posix() for path in stage_sources(stage, method)}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_sources_that_exist(stage: str) -> None:
    files = stage_sources(stage)
    assert files
    assert all(Path(path).is_file() for path in files)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_shown_decides_no_result(stage: str) -> None:
    shown = ("cli/", "progress.py", "doctor.py", "machine.py", "estimate.py", "locks.py")
    assert not [name for name in names(stage) if name.startswith(shown)]


def test_a_model_depends_on_its_own_method_and_no_other() -> None:
    for method in method_names():
        module = method.replace("-", "_")
        found = names("train", method)
        assert {f"methods/{module}_settings.py", "training/loop.py"} <= found
        others = {f"methods/{m.replace('-', '_')}.py" for m in method_names()}
        # An affine copy is linear regression on one source, and built on it.
        shared = {"methods/linear_regression.py"} if method == "copy-source" else set()
        assert others & found == {f"methods/{module}.py"} | shared


def test_imports_are_followed_into_other_packages() -> None:
    assert "nets/patchgan.py" in names("train", "pix2pix")
    assert "nets/patchgan.py" not in names("train", "unet")
    assert "io.py" in names("preprocess")
    assert "report/page.html" in names("report")


def test_plumbing_is_left_out_and_named_rightly() -> None:
    assert not PLUMBING & closure("crossmod.preprocess.session")
    for module in PLUMBING:
        path = Path(__file__).parents[2] / "src" / Path(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
