"""A small finished study, made by code: what the report reads, without any stage having run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crossmod.evaluation.summary import SummaryRequest, summarize
from crossmod.evaluation_settings import EvaluationSettings
from crossmod.files import write_rows, write_table
from crossmod.io import Image, write_image
from crossmod.paths import PreprocessedPaths, RunPaths, synthetic_volume
from crossmod.report.request import Description, ReportRequest, RunFiles
from crossmod.status import Status, describe_outputs, write_batch, write_status

SHAPE = (36, 44, 30)
AFFINE = np.array([[4.0, 0, 0, -70], [0, 4, 0, -95], [0, 0, 4, -50], [0, 0, 0, 1]])
GRADIENT = {"unet": 24.4, "pix2pix": 23.6}
NULLS = {"brain-mean": 14.8, "copy-t1w": 16.1, "copy-t2w": 19.3, "linear": 21.0}
METHODS = {"copy-t1w": "copy-source", "copy-t2w": "copy-source", "linear": "linear-regression"}
HOSTILE = "<script>alert('reason')</script> & \"co\""


@dataclass(frozen=True)
class Shape:
    """What kind of study to make."""

    subjects: int = 14
    tested: int = 9
    gradient: tuple[str, ...] = ("unet", "pix2pix")
    nulls: tuple[str, ...] = ("brain-mean", "copy-t1w", "copy-t2w", "linear")
    tasks: tuple[tuple[tuple[str, ...], str], ...] = ((("T1w", "T2w"), "FLAIR"),)
    seeds: tuple[int, ...] = (0,)
    folds: int = 1
    lesions: bool = True
    faults: bool = True
    external: bool = True
    figures: bool = True
    volume: tuple[int, int, int] = SHAPE
    experiments: bool = False


class StudyMaker:
    """Write the files of a study below a folder."""

    def __init__(self, root: Path, shape: Shape) -> None:
        self.root, self.shape = root, shape
        self.results = root / "results" / "demo"
        self.people = [f"sub-{i:02d}" for i in range(1, shape.subjects + 1)]
        self.failed = self.people[2] if shape.faults else ""
        self.lacking = self.people[1] if shape.faults else ""
        self.settings = {
            "study": "demo",
            "data_dir": str(root / "raw"),
            "evaluation": {
                "primary": {"model": None, "control": None},
                "bootstrap": 200,
                "experiments": self._experiments() if shape.experiments else [],
            },
        }

    def request(self) -> ReportRequest:
        """Make everything and tell where it lies."""
        self.preproc = self.root / "derivatives" / "demo" / "preproc-0123abcd"
        preprocessed = tuple(self._session(i, key) for i, key in enumerate(self.people))
        split = self._index()
        runs = tuple(self._runs())
        self._tables(split)
        benchmarks = self._benchmarks()
        return ReportRequest(
            name="demo",
            title="FLAIR from T1w and T2w <demo>",
            settings=self.settings,
            primary_model=(*self.shape.gradient, *self.shape.nulls)[0],
            index=self.results / "index",
            tables=self.results / "tables",
            runs=runs,
            output=self.results / "report" / "index.html",
            preprocessed=preprocessed,
            benchmarks=benchmarks,
            command="snakemake --cores all --configfile config/studies/demo.yaml",
            description=Description((("Data", f"Of {HOSTILE} [1]."),), (f"{HOSTILE}, 2020.",)),
        )

    def _experiments(self) -> list[dict[str, Any]]:
        """All trained models and a null of the first task, beside made-up published numbers."""
        sources, target = self.shape.tasks[0]
        task = f"{'+'.join(sources)}-to-{target}"
        published = {"unet": {"psnr": [26.0, 1.9], "ssim": [0.9, 0.02]}}
        published["pix2pix"] = {"psnr": [27.0, 2.1]}
        rows = [
            {"model": model, "task": task, "published": published.get(model, {})}
            for model in (*self.shape.gradient, "linear")
        ]
        rows[0]["label"] = f"U-Net {HOSTILE}"
        return [
            {
                "title": f"Methods {HOSTILE}",
                "rows": rows,
                "control": rows[0]["label"],
                "baseline": "brain-mean",
                "publication": f"Some paper {HOSTILE}",
                "publication_slices": 2_016_000,
            }
        ]

    def role(self, person: str, fold: int) -> str:
        """Role of a participant in a fold."""
        shape, place = self.shape, self.people.index(person)
        if shape.external and place == shape.subjects - 1:
            return "external"
        if shape.folds > 1:
            return "test" if place % shape.folds == fold else "train"
        return (
            "test" if place < shape.tested else ("validation" if place == shape.tested else "train")
        )

    def modalities(self) -> list[str]:
        """Of all tasks."""
        return list(dict.fromkeys(m for s, t in self.shape.tasks for m in (*s, t)))

    def _head(self, number: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Brain mask, normalized volumes by modality and lesion mask of one subject."""
        shape = self.shape.volume
        rng = np.random.default_rng(number)
        axes = [np.linspace(-1, 1, n) for n in shape]
        x, y, z = np.meshgrid(*axes, indexing="ij")
        wobble = 0.04 * np.sin(3 * y + number) + 0.03 * np.cos(4 * z)
        radius = np.sqrt((x / 0.72) ** 2 + (y / 0.86) ** 2 + (z / 0.8) ** 2) + wobble
        brain = radius < 1
        white = (radius < 0.72) & (np.abs(x) > 0.05)
        # One ventricle is longer than the other, so that a mirrored picture shows.
        ventricle = ((np.abs(x) - 0.13) / 0.08) ** 2 + ((y - 0.05) / (0.25 + 0.15 * (x > 0))) ** 2
        fluid = ((ventricle < 1) & (np.abs(z) < 0.45)) | (radius > 0.94)
        lesion = ((x - 0.33) / 0.14) ** 2 + ((y - 0.4) / 0.17) ** 2 + ((z - 0.2) / 0.3) ** 2 < 1
        levels = {"T1w": (0.5, 0.85, 0.1, 0.4), "T2w": (0.55, 0.35, 0.95, 0.8)}
        levels["FLAIR"] = (0.6, 0.45, 0.08, 0.95)
        volumes = {}
        for name in self.modalities():
            gray, w, csf, bad = levels.get(name, (0.5, 0.6, 0.3, 0.7))
            volume = np.where(fluid, csf, np.where(white, w, gray))
            volume = np.where(lesion, bad, volume) + rng.normal(0, 0.02, shape)
            volumes[name] = np.where(brain, np.clip(volume, 0, 1), 0).astype(np.float32)
        return brain, volumes, lesion & brain

    def _session(self, number: int, key: str) -> Path:
        paths = PreprocessedPaths(self.preproc, key)
        if key == self.failed:
            reason = f"{self.root}/raw/{key}_T1w.nii.gz: {HOSTILE}"
            write_status(paths.status, Status("preprocess", key, "failed", reason))
            return paths.status
        brain, volumes, lesion = self._head(number)
        written: dict[str, Path] = {"brain": paths.brain_mask("T1w")}
        write_image(written["brain"], Image(brain.astype(np.uint8), AFFINE))
        for name, volume in volumes.items():
            if key == self.lacking and name == self.shape.tasks[0][1]:
                continue
            written[name] = paths.volume(name, "T1w")  # type: ignore[arg-type]
            write_image(written[name], Image(volume * 800 + 10 * brain, AFFINE))
        if self.shape.lesions:
            written["lesion"] = paths.lesion_mask("T1w")
            write_image(written["lesion"], Image(lesion.astype(np.uint8), AFFINE))
        if self.shape.figures:
            written["figure"] = paths.figure
            _picture(paths.figure, volumes)
        scale = {name: {"low": 10.0, "high": 810.0} for name in volumes}
        raw = {name: {"name": f"{key}_{name}.nii.gz", "sha256": f"{number:064d}"} for name in scale}
        notes = ["T2w covers 92 % of the brain"] if number == 4 else []
        details: dict[str, Any] = {"normalizers": scale, "raw": raw, "notes": notes}
        outputs = describe_outputs(paths.status, written)
        write_status(paths.status, Status("preprocess", key, "ok", "", outputs, details))
        return paths.status

    def _index(self) -> pd.DataFrame:
        scans, sessions, split = [], [], []
        target = self.shape.tasks[0][1]
        for key in self.people:
            sessions.append({"participant_id": key, "session_key": key, "status": "present"})
            for name in self.modalities():
                row = {"participant_id": key, "session_key": key, "modality": name}
                row |= {"status": "present", "path": f"{key}/anat/{key}_{name}.nii.gz"}
                if key == self.lacking and name == target:
                    row |= {"status": "missing", "reason": "no file", "path": ""}
                if self.shape.faults and key == self.people[3] and name == "T2w":
                    row |= {"status": "excluded", "reason": "empty file"}
                scans.append(row)
            for fold in range(self.shape.folds):
                split.append({"participant_id": key, "fold": fold, "role": self.role(key, fold)})
        index = self.results / "index"
        columns = ("participant_id", "session_key", "modality", "status", "reason", "path")
        write_rows(index / "scans.tsv", columns, scans)
        columns = ("participant_id", "session_key", "group", "status", "reason")
        write_rows(index / "sessions.tsv", columns, sessions)
        write_rows(index / "split.tsv", ("participant_id", "fold", "role"), split)
        lone = {"participant_id": "sub-98", "remark": "no scan in the folder"}
        rows = [lone] if self.shape.faults else []
        write_rows(index / "remarks.tsv", ("participant_id", "path", "remark"), rows)
        lost = {"session_key": self.people[-1], "modality": "T2w", "reason": "no task makes T2w"}
        rows = [lost] if self.shape.faults else []
        write_rows(index / "unserved.tsv", ("session_key", "modality", "reason"), rows)
        return pd.DataFrame(split)

    def _runs(self) -> list[RunFiles]:
        self.scores: list[dict[str, Any]] = []
        runs = []
        for sources, target in self.shape.tasks:
            task = f"{'+'.join(sources)}-to-{target}"
            for model in (*self.shape.gradient, *self.shape.nulls):
                seeds = self.shape.seeds if model in GRADIENT else (0,)
                for fold in range(self.shape.folds):
                    for seed in seeds:
                        method = METHODS.get(model, model)
                        paths = RunPaths(self.results, f"{task}/{model}/fold-{fold}_seed-{seed}")
                        run = RunFiles(
                            *(task, sources, target, model, method, model in NULLS, fold, seed),
                            curve=self._curve(paths, model, seed),
                            batches=(paths.synthetic_batch("000"),),
                            scored=(paths.scored_batch("000"),),
                            benchmark=self.root / "logs" / "training" / f"{model}.tsv",
                            cost={"parameters": 1_234_567} if model in GRADIENT else None,
                            batch_size=4 if model in GRADIENT else None,
                        )
                        self._batch(run, paths)
                        runs.append(run)
        return runs

    def _batch(self, run: RunFiles, paths: RunPaths) -> None:
        made, scored = [], []
        for number, key in enumerate(self.people):
            role = self.role(key, run.fold)
            if not (role == "test" or (role == "external" and run.fold == 0)):
                continue
            if key == self.failed:
                reason = f"{self.root}/raw/{key}_T1w.nii.gz: {HOSTILE}"
                made.append(Status("synthesize", key, "failed", reason))
                continue
            brain, volumes, _ = self._head(number)
            level = {**GRADIENT, **NULLS}[run.model]
            rng = np.random.default_rng([number, run.seed, len(run.model)])
            noise = rng.normal(0.03, 10 ** (-level / 20), brain.shape)
            image = np.where(brain, np.clip(volumes[run.target] + noise, 0, 1), 0)
            file = synthetic_volume(paths.synthetic, key, run.target, "normalized")  # type: ignore[arg-type]
            write_image(file, Image(image.astype(np.float32), AFFINE))
            outputs = describe_outputs(run.batches[0], {"normalized": file})
            made.append(Status("synthesize", key, "ok", "", outputs))
            if key == self.lacking and run.target == self.shape.tasks[0][1]:
                why = {"scored": False, "reason": f"no acquired {run.target}"}
                scored.append(Status("evaluate", key, "ok", "", {}, why))
            else:
                self._score(run, key, level + rng.normal(0, 0.5) - 0.25 * (number % 5))
        write_batch(run.batches[0], made)
        write_batch(run.scored[0], scored)

    def _score(self, run: RunFiles, key: str, psnr: float) -> None:
        keys = {"participant": key, "session": key, "task": run.task, "model": run.model}
        keys |= {"fold": run.fold, "seed": run.seed}
        first = (*self.shape.gradient, *self.shape.nulls)[0]
        variants = ("", "shift-1", "blur-1", "scale-0.9") if run.model == first else ("",)
        regions = ("brain", "lesion", "healthy") if self.shape.lesions else ("brain",)
        cells = [(variant, region, "brain-v1") for variant in variants for region in regions]
        cells += [("", "brain", "brain-v1-deploy"), ("", "slice", "seed-v1")]
        for variant, region, protocol in cells:
            value = psnr - 2.0 * bool(variant) - (region == "lesion") + 4 * (protocol == "seed-v1")
            metrics = {"psnr": value, "ssim": 1 - 2.2 * 10 ** (-value / 20)}
            metrics |= {"nrmse": 3 * 10 ** (-value / 20), "mae": 0.7 * 10 ** (-value / 20)}
            if region == "brain":
                metrics["ms-ssim-4"] = 1 - 1.1 * 10 ** (-value / 20)
            row = {**keys, "variant": variant, "region": region, "protocol": protocol}
            self.scores += [
                {**row, "metric": m, "value": v, "voxels": 999} for m, v in metrics.items()
            ]

    def _curve(self, paths: RunPaths, model: str, seed: int) -> Path:
        losses = {"unet": ["l1"], "pix2pix": ["generator_adversarial", "l1", "discriminator"]}
        rows = []
        for epoch in range(1, 31 if model in losses else 0):
            for place, name in enumerate(losses[model]):
                value = (1 + place) * np.exp(-epoch / 12) + 0.1 + 0.01 * np.sin(epoch + seed)
                row = {"epoch": epoch, "step": epoch * 40, "split": "train", "name": name}
                rows.append({**row, "value": f"{value:.6g}"})
            if epoch % 5 == 0:
                value = GRADIENT[model] - 6 * np.exp(-epoch / 9) + 0.2 * seed
                row = {"epoch": epoch, "step": epoch * 40, "split": "validation", "name": "psnr"}
                rows.append({**row, "value": f"{value:.6g}"})
        if rows:
            write_rows(paths.curve, ("epoch", "step", "split", "name", "value"), rows)
        return paths.curve

    def _tables(self, split: pd.DataFrame) -> None:
        tables = self.results / "tables"
        names = ("scores", "summary", "comparisons", "experiments")
        write_table(self.root / "all.tsv", pd.DataFrame(self.scores))
        models = (*self.shape.gradient, *self.shape.nulls)
        summarize(
            SummaryRequest(
                (self.root / "all.tsv",),
                EvaluationSettings.model_validate({**self.settings["evaluation"]}),
                split,
                tuple((model, model in NULLS) for model in models),
                *(tables / f"{name}.tsv" for name in names),
                tables / "metrics.json",
            )
        )

    def _benchmarks(self) -> dict[str, tuple[Path, ...]]:
        found: dict[str, tuple[Path, ...]] = {}
        for stage, seconds in (("preprocess", "11.5"), ("train", "131.2"), ("evaluate", "2.0")):
            files = []
            for number in range(3):
                path = self.root / "logs" / stage / f"{number}.tsv"
                memory = "-" if number == 2 else f"{900 + number}.5"
                write_rows(path, ("s", "h:m:s", "max_rss"), [{"s": seconds, "max_rss": memory}])
                files.append(path)
            found[stage] = (*files, self.root / "logs" / stage / "never-ran.tsv")
        return found


def _picture(path: Path, volumes: dict[str, np.ndarray]) -> None:
    from PIL import Image as Pillow

    middle = [np.rot90(v[:, :, v.shape[2] // 2]) for v in volumes.values()]
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray((np.hstack(middle) * 255).astype(np.uint8)).save(path)


def make_study(root: Path, shape: Shape | None = None) -> ReportRequest:
    """Write a study below `root`."""
    return StudyMaker(root, shape or Shape()).request()
