"""A model folder or a training run -> a model folder of any precision, with a parity report."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from affectkit import models
from affectkit.align import align, take_whole
from affectkit.engines import open_engine
from affectkit.errors import EngineError, ModelError, SourceError
from affectkit.export.card import card_of_copy
from affectkit.export.describe import READOUT_NAME, describe_folder
from affectkit.export.folders import check_folder, put_in_place
from affectkit.export.graph_cleanup import tidied, with_constant_weights
from affectkit.export.parity import ParityReport, compare_models
from affectkit.export.precision import to_half, to_int8, widened
from affectkit.export.readout import write_readout
from affectkit.export.runs import export_runs
from affectkit.export.triton import write_triton
from affectkit.export.verify import problems, read_golden, verify
from affectkit.faces.opening import open_detector
from affectkit.faces.tracked_frames import track, whole_pictures
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.models import FRAME_NAME, GOLDEN_NAME, SPEC_NAME, TEMPORAL_NAME, ModelFolder, sha256
from affectkit.sources.opening import open_source
from affectkit.spec import ModelSpec, Precision
from affectkit.train.checkpoints import load_checkpoint
from affectkit.train.crops import crop_all
from affectkit.train.evaluate import ask
from affectkit.train.faces import FaceSet
from affectkit.train.reading import read_set
from affectkit.train.runs import checkpoints_of, spec_of
from affectkit.train.splits import Split, select_split
from affectkit.types import Array, CroppedFrame, UInt8

Target = Literal["onnx", "readout", "tensorrt", "triton"]

PARITY_NAME = "parity.json"
CALIBRATION = 512
"""Faces that the ranges of int8 are found by."""
CARD_NAME = "MODEL_CARD.md"
RUN_CARD = """\
# {name}

Exported from a training run with `affectkit export`. Write here what it was trained on, what its labels are, how good
it is on data that nothing was chosen on, where it fails, and under which licence it may be used.
"""


def open_original(model: str | os.PathLike[str], scratch: Path) -> ModelFolder:
    """The float32 model folder behind a name, a folder, or training runs, which are exported into ``scratch`` first.

    Raises:
        ModelError: it is missing, damaged, or not in float32.
    """
    runs = checkpoints_of(model)
    if runs:
        name = Path(os.path.abspath(model)).name
        target = scratch / name
        export_runs(runs, target, name=name, licence="unknown", trained_on=(), card=RUN_CARD.format(name=name))
        return models.load(target)
    folder = models.load(model)
    if folder.spec.precision != "fp32":
        raise ModelError(f"{model}: is {folder.spec.precision} already; export from its float32 original")
    return folder


def export_model(
    model: str | os.PathLike[str],
    folder: Path,
    *,
    precision: Precision = "fp32",
    target: Target = "onnx",
    calibration: UInt8 | None = None,
    labelled: tuple[str, FaceSet] | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> ParityReport:
    """Write a model folder of another precision beside a report of what that changed.

    Args:
        model: name of an embedded model, a model folder, a training run, or a folder of students' runs.
        folder: the model folder to write.
        target: ``readout``: with a second graph that decodes (:mod:`affectkit.export.readout`); ``tensorrt``: int8 as
            TensorRT reads it, see :func:`affectkit.export.precision.to_int8`; ``triton``: a model repository
            (:mod:`affectkit.export.triton`) instead of the model folder.
        calibration: (N, S, S, C) real faces; int8 needs them.
        labelled: what they are in words, and labelled faces to compare decisions and metrics on.
        name: of the new model; None: the original's with the precision.

    Raises:
        EngineError: the result is over the tolerance of its precision; nothing is left behind.
        OutputError: the folder exists, or cannot be written.
        ModelError: the original is missing, damaged, or not in float32.
    """
    mark, kind = ("model.json", "model repository") if target == "triton" else (SPEC_NAME, "model folder")
    check_folder(folder, overwrite=overwrite, mark=mark, kind=kind)
    if precision == "int8" and calibration is None:
        raise EngineError("int8 needs real faces to find its ranges by: give --faces SOURCE, or a labelled set")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        original = open_original(model, Path(scratch))
        partial = Path(scratch) / "result" / folder.name
        partial.mkdir(parents=True)
        _convert(original, partial, precision, target == "tensorrt", calibration)
        spec = dataclasses.replace(
            original.spec,
            name=name or (original.spec.name if precision == "fp32" else f"{original.spec.name}-{precision}"),
            precision=precision,
            frame_model=None,  # what another model's frame.onnx becomes is this model's own
            metrics={},
        )
        if target == "readout":
            write_readout(partial / FRAME_NAME, partial / READOUT_NAME, spec, read_golden(original.golden)["faces"])
        report, spec = _compare(original, partial, spec, labelled)
        over = report.problems()
        if over:
            raise EngineError(f"{folder.name}: {precision} differs too much from float32: {'; '.join(over)}")
        (partial / PARITY_NAME).write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
        _write_spec(partial, spec)
        finished = models.load(partial)
        if target == "triton":
            write_triton(finished, folder, overwrite=overwrite)
            return report
        over = problems(verify(finished, device="tensorrt"), precision) if target == "tensorrt" else []
        if over:
            raise EngineError(f"{folder.name}: TensorRT's answers differ too much from torch's: {'; '.join(over)}")
        put_in_place(partial, folder)
    return report


def check_tensorrt() -> None:
    """Fail early where TensorRT cannot run.

    Raises:
        MissingDependency: it is not installed.
        DeviceUnavailable: there is no GPU.
    """
    importlib.import_module("affectkit.engines.trt")  # says what is missing
    from affectkit.engines.cuda import select_gpu

    select_gpu(0)


def spec_of_model(model: str | os.PathLike[str]) -> ModelSpec:
    """What a model folder or a training run expects, without exporting it."""
    runs = checkpoints_of(model)
    if not runs:
        return models.load(model).spec
    return spec_of([load_checkpoint(run) for run in runs], name=str(model))


def faces_of(model: str | os.PathLike[str], source: str, *, aligned: bool = False, most: int = CALIBRATION) -> UInt8:
    """Aligned faces (N, S, S, C) of a video, picture or folder, evenly over it, cut as the model wants them.

    Raises:
        SourceError: it cannot be read, or no face is in it.
    """
    spec = spec_of_model(model).input
    frames = open_source(source).frames()
    if aligned:
        crops: Iterator[CroppedFrame] = take_whole(whole_pictures(frames), spec)
    else:
        crops = align(track(frames, Tracker(open_detector(), TrackingConfig())), spec)
    found: list[UInt8] = []
    step = 1
    for k, frame in enumerate(crops):  # a long video: keep every 2nd, 4th ... frame so that memory stays bounded
        if k % step == 0:
            found += list(frame.crops)
        if len(found) >= 2 * most:
            found, step = found[::2], 2 * step
    if not found:
        raise SourceError(f"{source}: no face was found in it")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return np.stack([found[i] for i in chosen])


def labelled_part(
    model: str | os.PathLike[str],
    labels: Path,
    images: Path,
    landmarks: Path | None,
    split: Split,
    *,
    precision: Precision,
) -> tuple[tuple[str, FaceSet], UInt8 | None]:
    """A labelled part to compare on, in words and faces; for int8 also faces of the part that training takes.

    Raises:
        SourceError: a file is missing or damaged, or the part is empty.
    """
    everything = read_set(labels, images, landmarks)
    part = select_split(everything, split)
    if not len(part):
        raise SourceError(f"{labels}: no row belongs to the part {split!r}")
    calibration = None
    if precision == "int8":
        others = select_split(everything, "train")
        rows = range(0, len(others), max(1, len(others) // CALIBRATION))
        spec = spec_of_model(model).input
        if len(rows):
            calibration = crop_all(others, rows, spec)
    return (f"{labels.name}, part {split}", part), calibration


def _convert(
    original: ModelFolder, partial: Path, precision: Precision, for_tensorrt: bool, calibration: UInt8 | None
) -> None:
    """Write the networks and the golden file."""
    source, target = original.frame_onnx, partial / FRAME_NAME
    if precision == "fp16":
        to_half(source, target)
    elif precision == "int8":
        assert calibration is not None
        to_int8(source, target, calibration, for_tensorrt=for_tensorrt)
    else:
        onnx.save(tidied(widened(onnx.load(str(source)))), str(target))
    if original.temporal_onnx is not None:
        # The recurrent part costs next to nothing, and its state remembers every rounding: it stays float32.
        onnx.save(with_constant_weights(onnx.load(str(original.temporal_onnx))), str(partial / TEMPORAL_NAME))
    shutil.copyfile(original.golden, partial / GOLDEN_NAME)


def _compare(
    original: ModelFolder, partial: Path, spec: ModelSpec, labelled: tuple[str, FaceSet] | None
) -> tuple[ParityReport, ModelSpec]:
    """How far the new model is from its original, with card and model.json written; the spec has the new metrics."""
    golden = _golden(original, partial)
    report = compare_models(spec, golden)
    _write_spec(partial, spec)
    if labelled is not None:
        where, faces = labelled
        before, after = ask(original.path, faces), ask(partial, faces)
        report = compare_models(spec, golden, (where, faces, before, after))
        spec = dataclasses.replace(spec, metrics={where: report.metrics[spec.precision]})
    card = original.path / CARD_NAME
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {spec.name}\n"
    if spec.precision != original.spec.precision or spec.name != original.spec.name:
        text = card_of_copy(text, original.spec, original.spec.files[FRAME_NAME], spec, report)
    (partial / CARD_NAME).write_text(text, encoding="utf-8")
    return report, spec


def _golden(original: ModelFolder, partial: Path) -> dict[str, tuple[Array, Array]]:
    """(expected, got) of every output on the golden inputs."""
    golden = read_golden(original.golden)
    try:
        answers = _run(partial / FRAME_NAME, {"faces": golden["faces"]})
        found = {name: (golden[name], got) for name, got in answers.items()}
        if original.temporal_onnx is not None:
            inputs = {"features": golden["sequence_features"]}
            for name, got in _run(partial / TEMPORAL_NAME, inputs).items():
                found[f"sequence_{name}"] = (golden[f"sequence_{name}"], got)
    except KeyError as error:
        raise ModelError(f"{original.golden}: lacks {error}; export the model again") from error
    return found


def _run(path: Path, inputs: dict[str, Array]) -> dict[str, Array]:
    engine = open_engine(path, device="cpu")
    try:
        return engine.run(inputs)
    finally:
        engine.close()


def _write_spec(partial: Path, spec: ModelSpec) -> None:
    describe_folder(partial, spec)
    names = sorted(path.name for path in partial.iterdir() if path.name != SPEC_NAME)
    finished = dataclasses.replace(spec, files={name: sha256(partial / name) for name in names})
    (partial / SPEC_NAME).write_text(finished.to_json(), encoding="utf-8")
